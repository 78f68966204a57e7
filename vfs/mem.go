package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// memPage is the unit in which a crash keeps or loses bytes that were written
// but not synced; the page cache of every machine we run on writes back so.
const memPage = 4096

// Mem is a filesystem in memory that knows what a power cut would leave of
// it: of a file the bytes that its last Sync covered, of a directory the names
// that its last Sync covered, where a file or directory without a durable name
// is lost with all that it holds.
type Mem struct {
	now func() time.Time

	mu    sync.Mutex // guards everything below, the nodes included
	root  *memNode
	quota int64 // bytes, 0: none
	used  int64
	locks map[string]bool
}

var _ FS = (*Mem)(nil)

// NewMem returns an empty filesystem that has a root directory only. Files
// carry the time that now tells; nil gives them the zero time.
func NewMem(now func() time.Time) *Mem {
	if now == nil {
		now = func() time.Time { return time.Time{} }
	}
	return &Mem{now: now, root: newMemDir(), locks: map[string]bool{}}
}

type memNode struct {
	// A file. Writes only append, so the bytes that Sync covered are
	// data[:synced].
	data   []byte
	synced int
	linked bool // has a name, counts against the quota

	// A directory, where entries is not nil.
	entries map[string]*memNode
	durable map[string]*memNode
	pending []memLink // what Sync has not covered, in order

	modTime time.Time
}

// memLink is one change of a directory: names set, or removed where nil. The
// two halves of a rename within a directory are one change.
type memLink map[string]*memNode

func newMemDir() *memNode {
	return &memNode{entries: map[string]*memNode{}, durable: map[string]*memNode{}}
}

func (n *memNode) isDir() bool { return n.entries != nil }

func (n *memNode) link(change memLink) {
	change.apply(n.entries)
	n.pending = append(n.pending, change)
}

func (l memLink) apply(entries map[string]*memNode) {
	for name, node := range l {
		if node == nil {
			delete(entries, name)
		} else {
			entries[name] = node
		}
	}
}

// SetQuota bounds the bytes in files; writes past it fail with ENOSPC after
// filling what is left, as a full disk does. 0 lifts the bound.
func (m *Mem) SetQuota(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quota = bytes
}

// Used returns the bytes in files that have a name.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// CrashClone returns the filesystem as a power cut at this moment would leave
// it; m goes on unharmed, so that what still runs on it cannot disturb the
// copy. Without rng everything that was not synced is lost. With rng some of
// it survives: of each directory's unsynced changes a prefix in their order,
// of each file's unsynced bytes none, all, a prefix cut anywhere, or any
// subset of its pages with zeros in the holes.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem(m.now)
	c.quota = m.quota
	c.root = c.crashNode(m.root, rng, map[*memNode]*memNode{})
	return c
}

func (m *Mem) crashNode(n *memNode, rng *rand.Rand, done map[*memNode]*memNode) *memNode {
	if c, ok := done[n]; ok {
		return c
	}
	if !n.isDir() {
		c := &memNode{data: crashData(n, rng), modTime: n.modTime, linked: true}
		c.synced = len(c.data)
		m.used += int64(len(c.data))
		done[n] = c
		return c
	}
	c := newMemDir()
	c.modTime = n.modTime
	done[n] = c
	survive := maps.Clone(n.durable)
	if rng != nil {
		for _, change := range n.pending[:rng.IntN(len(n.pending)+1)] {
			change.apply(survive)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(survive)) {
		child := m.crashNode(survive[name], rng, done)
		c.entries[name], c.durable[name] = child, child
	}
	return c
}

func crashData(n *memNode, rng *rand.Rand) []byte {
	unsynced := len(n.data) - n.synced
	if rng == nil || unsynced == 0 {
		return slices.Clone(n.data[:n.synced])
	}
	switch rng.IntN(4) {
	case 0:
		return slices.Clone(n.data[:n.synced])
	case 1:
		return slices.Clone(n.data)
	case 2:
		return slices.Clone(n.data[:n.synced+rng.IntN(unsynced+1)])
	}
	c := slices.Clone(n.data)
	end := n.synced
	for at := n.synced; at < len(c); {
		next := min((at/memPage+1)*memPage, len(c))
		if rng.IntN(2) == 0 {
			clear(c[at:next])
		} else {
			end = next
		}
		at = next
	}
	return c[:end]
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func splitPath(name string) []string {
	name = strings.Trim(filepath.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

func (m *Mem) find(op, name string) (*memNode, error) {
	n := m.root
	for _, part := range splitPath(name) {
		if !n.isDir() {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		next := n.entries[part]
		if next == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
		n = next
	}
	return n, nil
}

// findParent returns the directory that holds name, and its last part.
func (m *Mem) findParent(op, name string) (*memNode, string, error) {
	parts := splitPath(name)
	if len(parts) == 0 {
		return nil, "", pathError(op, name, syscall.EINVAL)
	}
	dir, err := m.find(op, strings.Join(parts[:len(parts)-1], "/"))
	if err != nil {
		return nil, "", err
	}
	if !dir.isDir() {
		return nil, "", pathError(op, name, syscall.ENOTDIR)
	}
	return dir, parts[len(parts)-1], nil
}

// Create gives the name a new node, so that after a crash the old content is
// there under the name until the directory is synced. That is kinder than a
// real truncation; callers never truncate a file that matters.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findParent("create", name)
	if err != nil {
		return nil, err
	}
	if old := dir.entries[base]; old != nil {
		if old.isDir() {
			return nil, pathError("create", name, syscall.EISDIR)
		}
		m.unlink(old)
	}
	n := &memNode{modTime: m.now(), linked: true}
	dir.link(memLink{base: n})
	return &memFile{m: m, name: name, n: n, writable: true}, nil
}

func (m *Mem) unlink(n *memNode) {
	if n.isDir() {
		for _, child := range n.entries {
			m.unlink(child)
		}
		return
	}
	if n.linked {
		n.linked = false
		m.used -= int64(len(n.data))
	}
}

func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

func (m *Mem) OpenDir(dir string) (File, error) { return m.open(dir, true) }

func (m *Mem) open(name string, dir bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	if dir && !n.isDir() {
		return nil, pathError("open", name, syscall.ENOTDIR)
	}
	return &memFile{m: m, name: name, n: n}, nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findParent("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if len(n.entries) > 0 {
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	m.unlink(n)
	dir.link(memLink{base: nil})
	return nil
}

func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findParent("remove", name)
	if err != nil || dir.entries[base] == nil {
		return nil
	}
	m.unlink(dir.entries[base])
	dir.link(memLink{base: nil})
	return nil
}

func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.findParent("rename", oldName)
	if err != nil {
		return err
	}
	n := from.entries[oldBase]
	if n == nil {
		return pathError("rename", oldName, fs.ErrNotExist)
	}
	to, newBase, err := m.findParent("rename", newName)
	if err != nil {
		return err
	}
	if from == to && oldBase == newBase {
		return nil
	}
	if old := to.entries[newBase]; old != nil {
		if len(old.entries) > 0 || old.isDir() != n.isDir() {
			return pathError("rename", newName, fs.ErrExist)
		}
		m.unlink(old)
	}
	if from == to {
		from.link(memLink{oldBase: nil, newBase: n})
		return nil
	}
	to.link(memLink{newBase: n})
	from.link(memLink{oldBase: nil})
	return nil
}

func (m *Mem) MkdirAll(dir string, _ os.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range splitPath(dir) {
		next := n.entries[part]
		if next == nil {
			next = newMemDir()
			next.modTime = m.now()
			n.link(memLink{part: next})
		} else if !next.isDir() {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		n = next
	}
	return nil
}

func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("list", dir)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, pathError("list", dir, syscall.ENOTDIR)
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

func (m *Mem) Stat(name string) (os.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	return newMemInfo(name, n), nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findParent("lock", name)
	if err != nil {
		return nil, err
	}
	key := strings.Join(splitPath(name), "/")
	if m.locks[key] {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	if dir.entries[base] == nil {
		dir.link(memLink{base: &memNode{modTime: m.now(), linked: true}})
	}
	m.locks[key] = true
	return &memLock{m: m, key: key}, nil
}

// DiskUsage tells the quota; without one the volume is as large as can be.
func (m *Mem) DiskUsage(string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := m.quota
	if total == 0 {
		total = 1 << 62
	}
	return Usage{Total: uint64(total), Available: uint64(max(total-m.used, 0))}, nil
}

type memLock struct {
	m    *Mem
	key  string
	once sync.Once
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		delete(l.m.locks, l.key)
	})
	return nil
}
