// Package vfs owns every touch of a local filesystem: the interface that the
// log, segments and manifests write through, the real one (OS), one in memory
// that forgets what was not synced when it crashes (Mem), and one that breaks
// on demand (Fault).
//
// The contract is the pessimistic reading of POSIX:
//   - File.Sync makes the bytes of the file durable, not its name.
//   - A name that was created, renamed or removed is durable once the
//     directory that holds it was opened with OpenDir and synced.
//   - A rename within one directory is atomic; between two it is not.
//
// An FS is safe for concurrent use. A File may be read (ReadAt) from many
// goroutines; Write, Sync and Close belong to one at a time.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is the part of a filesystem that Varve uses. Errors satisfy errors.Is
// with the values of io/fs (fs.ErrNotExist, ...) and with syscall.Errno.
type FS interface {
	// Create makes a file for writing, from its beginning; what was there
	// under that name is gone. The name is durable after SyncDir.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenDir opens a directory, for Sync and Close only.
	OpenDir(dir string) (File, error)
	// Remove deletes a file or an empty directory.
	Remove(name string) error
	// RemoveAll deletes name and everything below it; nothing there is fine.
	RemoveAll(name string) error
	// Rename moves a file, replacing what was under the new name.
	Rename(oldName, newName string) error
	// MkdirAll makes dir and its missing parents. The new names are durable
	// after a sync of each parent: see MkdirAllSync.
	MkdirAll(dir string, perm os.FileMode) error
	// List returns the names in dir in ascending order.
	List(dir string) ([]string, error)
	// Stat describes a file or a directory.
	Stat(name string) (os.FileInfo, error)
	// Lock takes an exclusive lock on name, creating the file if needed, and
	// fails with ErrLocked if another holds it. The lock ends with Close or
	// with the process.
	Lock(name string) (io.Closer, error)
	// DiskUsage tells how full the volume is that holds dir.
	DiskUsage(dir string) (Usage, error)
}

// File is an open file or directory.
type File interface {
	// Write appends. After an error the content of the file past its last
	// Sync is unknown.
	io.Writer
	io.ReaderAt
	io.Closer
	// Sync makes everything that was written durable, and the size with it.
	// After an error nothing that was written since the last successful Sync
	// may be trusted, whatever a later Sync says.
	Sync() error
	Stat() (os.FileInfo, error)
}

// Usage is the room on a volume in bytes.
type Usage struct {
	Total     uint64
	Available uint64 // to this user
}

// DirPerm is the mode of directories: data is its owner's alone.
const DirPerm os.FileMode = 0o700

// FilePerm is the mode of files, for the same reason.
const FilePerm os.FileMode = 0o600

// ErrLocked says that another process, or another part of this one, holds
// the lock.
var ErrLocked = errors.New("already locked")

// IsNoSpace tells whether an error means that the volume, or the owner's
// share of it, is full: a state that may pass by itself.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// SyncDir makes the names in dir durable.
func SyncDir(fs FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// MkdirAllSync makes dir and its missing parents, and makes their names
// durable: each before the next one is made, so that only the last that is
// found may be without a durable name, from a call that did not come to its
// end. That one is synced again.
func MkdirAllSync(fs FS, dir string) error {
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if parent == dir {
		return nil
	}
	_, err := fs.Stat(dir)
	if err == nil {
		err = SyncDir(fs, parent)
		if errors.Is(err, os.ErrPermission) {
			// We could not have made dir there.
			return nil
		}
		return err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("create directory %s: %w", dir, err)
	}
	if err := MkdirAllSync(fs, parent); err != nil {
		return err
	}
	if err := fs.MkdirAll(dir, DirPerm); err != nil {
		return fmt.Errorf("create directory %s: %w", dir, err)
	}
	return SyncDir(fs, parent)
}

// TempSuffix ends the name of a file that WriteFileAtomic has not finished. A
// file so named that is found at start is rubbish of a crash.
const TempSuffix = ".tmp"

// WriteFileAtomic replaces the content of name: after a crash it is the old
// or the new, wholly, and after a return without error it is the new. Two
// calls for one name must not run at the same time.
func WriteFileAtomic(fs FS, name string, data []byte) error {
	if err := StageFile(fs, name, data); err != nil {
		return err
	}
	temp := name + TempSuffix
	if err := fs.Rename(temp, name); err != nil {
		_ = fs.Remove(temp)
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := SyncDir(fs, filepath.Dir(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// StageFile writes the content that name will have after a rename from the
// same name with TempSuffix, and makes its bytes durable.
func StageFile(fs FS, name string, data []byte) error {
	temp := name + TempSuffix
	if err := writeSynced(fs, temp, data); err != nil {
		// The temporary file is rubbish; failing to remove it as well would
		// only hide the cause.
		_ = fs.Remove(temp)
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeSynced(fs FS, name string, data []byte) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// ReadFile returns the whole content of a file; for small ones.
func ReadFile(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	data := make([]byte, info.Size())
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
