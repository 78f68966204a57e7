package vfs

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// memFile is an open file or directory of a Mem. As on Linux it outlives the
// removal of its name. Its fields are guarded by m.mu.
type memFile struct {
	m        *Mem
	name     string
	n        *memNode
	writable bool
	closed   bool
}

func (f *memFile) check(op string) error {
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	return nil
}

func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("write"); err != nil {
		return 0, err
	}
	if !f.writable {
		return 0, pathError("write", f.name, syscall.EBADF)
	}
	var err error
	if f.m.quota > 0 && f.n.linked {
		if room := max(f.m.quota-f.m.used, 0); int64(len(p)) > room {
			p, err = p[:room], pathError("write", f.name, syscall.ENOSPC)
		}
	}
	f.n.data = append(f.n.data, p...)
	f.n.modTime = f.m.now()
	if f.n.linked {
		f.m.used += int64(len(p))
	}
	return len(p), err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if f.n.isDir() {
		return 0, pathError("read", f.name, syscall.EISDIR)
	}
	if off < 0 {
		return 0, pathError("read", f.name, syscall.EINVAL)
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("sync"); err != nil {
		return err
	}
	if f.n.isDir() {
		f.n.durable = maps.Clone(f.n.entries)
		f.n.pending = nil
		return nil
	}
	f.n.synced = len(f.n.data)
	return nil
}

func (f *memFile) Stat() (os.FileInfo, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("stat"); err != nil {
		return nil, err
	}
	return newMemInfo(f.name, f.n), nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("close"); err != nil {
		return err
	}
	f.closed = true
	return nil
}

type memInfo struct {
	name    string
	size    int64
	dir     bool
	modTime time.Time
}

func newMemInfo(name string, n *memNode) memInfo {
	return memInfo{name: filepath.Base(name), size: int64(len(n.data)), dir: n.isDir(), modTime: n.modTime}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) ModTime() time.Time { return i.modTime }
func (i memInfo) Sys() any           { return nil }

func (i memInfo) Mode() os.FileMode {
	if i.dir {
		return DirPerm | os.ModeDir
	}
	return FilePerm
}
