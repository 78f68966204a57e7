package vfs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/varvedb/varve/vfs"
)

func TestFaultHook(t *testing.T) {
	m := vfs.NewMem(nil)
	f := vfs.NewFault(m, nil)
	write(t, f, "/a", "abc", true)

	fail := func(op vfs.Op, a vfs.Action) {
		f.SetHook(func(c vfs.Call) vfs.Action {
			if c.Op == op {
				return a
			}
			return vfs.Action{}
		})
	}
	eio := vfs.Action{Err: syscall.EIO}
	fail(vfs.OpCreate, eio)
	if _, err := f.Create("/b"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("create: %v", err)
	}
	wantFile(t, m, "/b", nil)
	fail(vfs.OpRename, eio)
	if err := f.Rename("/a", "/b"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("rename: %v", err)
	}
	fail(vfs.OpRemove, eio)
	if err := f.Remove("/a"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("remove: %v", err)
	}
	fail(vfs.OpReadAt, eio)
	if _, err := vfs.ReadFile(f, "/a"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("read: %v", err)
	}
	fail(vfs.OpDirSync, eio)
	if err := vfs.SyncDir(f, "/"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("directory sync: %v", err)
	}
	wantFile(t, m.CrashClone(nil), "/a", nil)

	// A short write reaches the file as far as it went.
	fail(vfs.OpWrite, vfs.Action{Err: syscall.ENOSPC, Short: 2})
	file, err := f.Create("/short")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := file.Write([]byte("12345")); n != 2 || !vfs.IsNoSpace(err) {
		t.Fatalf("short write: %d, %v", n, err)
	}
	wantFile(t, m, "/short", []byte("12"))

	// An operation may happen although it says it did not.
	fail(vfs.OpSync, vfs.Action{Err: syscall.EIO, After: true})
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	f.SetHook(nil)
	syncDir(t, f, "/")
	wantFile(t, m.CrashClone(nil), "/short", []byte("12"))
	if got := f.Count(vfs.OpSync); got != 2 {
		t.Fatalf("%d syncs counted, want 2", got)
	}
}

// WriteFileAtomic is crashed at each of its operations: the old content or
// the new is there, and the new if it said so.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 1))
	for _, random := range []*rand.Rand{nil, rng} {
		for k := 1; ; k++ {
			m := vfs.NewMem(nil)
			f := vfs.NewFault(m, nil)
			f.CrashAt(k)
			acked := 0
			for i := 1; i <= 3; i++ {
				if err := vfs.WriteFileAtomic(f, "/root", []byte(fmt.Sprint("version ", i))); err != nil {
					if !errors.Is(err, vfs.ErrCrashed) {
						t.Fatalf("k=%d: %v", k, err)
					}
					break
				}
				acked = i
			}
			got, err := vfs.ReadFile(m.CrashClone(random), "/root")
			want, next := fmt.Sprint("version ", acked), fmt.Sprint("version ", acked+1)
			if acked == 0 {
				want = ""
			}
			if string(got) != want && string(got) != next {
				t.Fatalf("k=%d: content %q (%v) after %d acknowledged writes", k, got, err, acked)
			}
			if !f.Crashed() {
				if acked != 3 {
					t.Fatalf("k=%d: not crashed, but %d acknowledged", k, acked)
				}
				if k < 15 {
					t.Fatalf("only %d operations were tried", k)
				}
				break
			}
			if _, err := f.Open("/root"); !errors.Is(err, vfs.ErrCrashed) {
				t.Fatalf("k=%d: open after the crash: %v", k, err)
			}
		}
	}
}

// A directory whose name did not become durable the first time does the
// second time, though it is there already.
func TestMkdirAllSyncAgain(t *testing.T) {
	for k := 1; ; k++ {
		m := vfs.NewMem(nil)
		failed := false
		f := vfs.NewFault(m, func(c vfs.Call) vfs.Action {
			if c.N == k && c.Op.Mutates() && !failed {
				failed = true
				return vfs.Action{Err: syscall.EIO}
			}
			return vfs.Action{}
		})
		if err := vfs.MkdirAllSync(f, "/a/b/c"); failed != (err != nil) {
			t.Fatalf("k=%d: failed %v, error %v", k, failed, err)
		}
		if !failed {
			break
		}
		if err := vfs.MkdirAllSync(f, "/a/b/c"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.CrashClone(nil).Stat("/a/b/c"); err != nil {
			t.Fatalf("k=%d: %v", k, err)
		}
	}
}
