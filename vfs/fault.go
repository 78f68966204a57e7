package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Op is a kind of filesystem operation that Fault can break.
type Op uint8

// The operations that Fault counts. Changes of the disk come first.
const (
	OpCreate  Op = iota
	OpWrite      // File.Write
	OpSync       // File.Sync of a file
	OpDirSync    // File.Sync of a directory
	OpRename
	OpRemove // Remove and RemoveAll
	OpMkdir
	OpLock // may create the lock's file
	OpOpen // Open and OpenDir
	OpReadAt
	OpList
	OpStat
	opCount
)

var opNames = [opCount]string{"create", "write", "sync", "dirsync", "rename", "remove", "mkdir", "lock", "open", "readat", "list", "stat"}

func (o Op) String() string {
	if o < opCount {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Mutates tells whether the operation changes what a crash would leave.
func (o Op) Mutates() bool { return o <= OpLock }

// ErrCrashed is what every operation of a Fault returns after its crash point.
var ErrCrashed = errors.New("the machine has stopped")

// Call describes the operation that is about to happen.
type Call struct {
	Op   Op
	Name string
	// N counts the operations that change the disk, from 1; an operation
	// that only reads carries the count so far.
	N int
	// Size is the length of a write or of a read.
	Size int
}

// Action is what becomes of an operation. The zero value lets it happen.
type Action struct {
	// Err is returned by the operation, which then does not happen, but see
	// Short.
	Err error
	// Short is how many bytes of a write reach the file before Err.
	Short int
	// After lets the operation happen and returns Err nevertheless: a sync
	// that reached the disk, whose answer did not come back.
	After bool
}

// Fault passes everything to another filesystem and breaks what it is told
// to. It is safe for concurrent use.
type Fault struct {
	fs FS

	mu      sync.Mutex // guards everything below; not held while hook runs
	hook    func(Call) Action
	n       int
	counts  [opCount]int
	crashAt int
	crashed bool
}

var _ FS = (*Fault)(nil)

// NewFault wraps fs. hook decides on every operation and may be nil; it is
// called from the goroutine that does the operation.
func NewFault(fs FS, hook func(Call) Action) *Fault { return &Fault{fs: fs, hook: hook} }

// SetHook replaces the callback; nil lets everything happen.
func (f *Fault) SetHook(hook func(Call) Action) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// CrashAt stops everything at the k-th operation that changes the disk,
// counted from 1 since the Fault was made: neither it nor any later operation
// happens, except that a write which is the crash point leaves its first half.
// k = 0 never crashes.
func (f *Fault) CrashAt(k int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashAt = k
}

// Crash stops everything from now on.
func (f *Fault) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed = true
}

// Crashed tells whether the crash point was reached.
func (f *Fault) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// Mutations returns how many operations that change the disk were begun.
func (f *Fault) Mutations() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Count returns how many operations of one kind were begun.
func (f *Fault) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// decide counts the operation and returns what becomes of it.
func (f *Fault) decide(op Op, name string, size int) Action {
	f.mu.Lock()
	if f.crashed {
		f.mu.Unlock()
		return Action{Err: fmt.Errorf("%s %s: %w", op, name, ErrCrashed)}
	}
	f.counts[op]++
	if op.Mutates() {
		f.n++
		if f.n == f.crashAt {
			f.crashed = true
			f.mu.Unlock()
			return Action{Err: fmt.Errorf("%s %s: %w", op, name, ErrCrashed), Short: size / 2}
		}
	}
	hook, n := f.hook, f.n
	f.mu.Unlock()
	if hook == nil {
		return Action{}
	}
	a := hook(Call{Op: op, Name: name, N: n, Size: size})
	if a.Err != nil {
		a.Err = fmt.Errorf("%s %s: %w", op, name, a.Err)
	}
	return a
}

// run does an operation that either happens or not.
func (f *Fault) run(op Op, name string, do func() error) error {
	a := f.decide(op, name, 0)
	if a.Err != nil && !a.After {
		return a.Err
	}
	if err := do(); err != nil {
		return err
	}
	return a.Err
}

func (f *Fault) Create(name string) (File, error) {
	return f.openWith(OpCreate, name, false, f.fs.Create)
}

func (f *Fault) Open(name string) (File, error) { return f.openWith(OpOpen, name, false, f.fs.Open) }

func (f *Fault) OpenDir(dir string) (File, error) {
	return f.openWith(OpOpen, dir, true, f.fs.OpenDir)
}

func (f *Fault) openWith(op Op, name string, dir bool, open func(string) (File, error)) (File, error) {
	var file File
	err := f.run(op, name, func() (err error) {
		file, err = open(name)
		return err
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &faultFile{f: f, file: file, name: name, dir: dir}, nil
}

func (f *Fault) Remove(name string) error {
	return f.run(OpRemove, name, func() error { return f.fs.Remove(name) })
}

func (f *Fault) RemoveAll(name string) error {
	return f.run(OpRemove, name, func() error { return f.fs.RemoveAll(name) })
}

func (f *Fault) Rename(oldName, newName string) error {
	return f.run(OpRename, newName, func() error { return f.fs.Rename(oldName, newName) })
}

func (f *Fault) MkdirAll(dir string, perm os.FileMode) error {
	return f.run(OpMkdir, dir, func() error { return f.fs.MkdirAll(dir, perm) })
}

func (f *Fault) List(dir string) (names []string, err error) {
	err = f.run(OpList, dir, func() (err error) {
		names, err = f.fs.List(dir)
		return err
	})
	return names, err
}

func (f *Fault) Stat(name string) (info os.FileInfo, err error) {
	err = f.run(OpStat, name, func() (err error) {
		info, err = f.fs.Stat(name)
		return err
	})
	return info, err
}

func (f *Fault) Lock(name string) (c io.Closer, err error) {
	err = f.run(OpLock, name, func() (err error) {
		c, err = f.fs.Lock(name)
		return err
	})
	if err != nil && c != nil {
		c.Close()
		c = nil
	}
	return c, err
}

func (f *Fault) DiskUsage(dir string) (u Usage, err error) {
	err = f.run(OpStat, dir, func() (err error) {
		u, err = f.fs.DiskUsage(dir)
		return err
	})
	return u, err
}

type faultFile struct {
	f    *Fault
	file File
	name string
	dir  bool
}

func (f *faultFile) Write(p []byte) (int, error) {
	a := f.f.decide(OpWrite, f.name, len(p))
	if a.Err == nil || a.After {
		n, err := f.file.Write(p)
		if err == nil {
			err = a.Err
		}
		return n, err
	}
	n := 0
	if short := min(max(a.Short, 0), len(p)); short > 0 {
		// The injected error is the one to report.
		n, _ = f.file.Write(p[:short])
	}
	return n, a.Err
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if a := f.f.decide(OpReadAt, f.name, len(p)); a.Err != nil {
		return 0, a.Err
	}
	return f.file.ReadAt(p, off)
}

func (f *faultFile) Sync() error {
	op := OpSync
	if f.dir {
		op = OpDirSync
	}
	return f.f.run(op, f.name, f.file.Sync)
}

func (f *faultFile) Stat() (info os.FileInfo, err error) {
	err = f.f.run(OpStat, f.name, func() (err error) {
		info, err = f.file.Stat()
		return err
	})
	return info, err
}

// Close always closes: a test must not leak what the crash left open.
func (f *faultFile) Close() error { return f.file.Close() }
