package vfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/varvedb/varve/vfs"
)

// each runs a test of the contract against every implementation.
func each(t *testing.T, test func(t *testing.T, fs vfs.FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, vfs.OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) { test(t, vfs.NewMem(time.Now), "/") })
	t.Run("fault", func(t *testing.T) { test(t, vfs.NewFault(vfs.NewMem(nil), nil), "/") })
}

func write(t *testing.T, fs vfs.FS, name, content string, sync bool) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func syncDir(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	if err := vfs.SyncDir(fs, dir); err != nil {
		t.Fatal(err)
	}
}

// wantFile checks the content of a file; want nil means that it is not there.
func wantFile(t *testing.T, fsys vfs.FS, name string, want []byte) {
	t.Helper()
	got, err := vfs.ReadFile(fsys, name)
	if want == nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: content %q, error %v; want no file", name, got, err)
		}
		return
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: content %q, error %v; want %q", name, got, err, want)
	}
}

func TestContract(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "sub", "deep", "b")
		if _, err := fsys.Open(a); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("open of nothing: %v", err)
		}
		if _, err := fsys.Create(b); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("create without a directory: %v", err)
		}
		if err := vfs.MkdirAllSync(fsys, filepath.Dir(b)); err != nil {
			t.Fatal(err)
		}
		write(t, fsys, a, "hello", true)
		write(t, fsys, b, "world", true)
		write(t, fsys, b, "world again", true)
		wantFile(t, fsys, b, []byte("world again"))

		f, err := fsys.Open(a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("x")); err == nil {
			t.Fatal("wrote to a file that is open for reading")
		}
		if n, err := f.ReadAt(make([]byte, 9), 1); n != 4 || err == nil {
			t.Fatalf("short read: %d, %v", n, err)
		}
		info, err := f.Stat()
		if err != nil || info.Size() != 5 || info.IsDir() || info.Mode().Perm() != vfs.FilePerm || info.Name() != "a" {
			t.Fatalf("stat: %v, %v", info, err)
		}
		if info, err := fsys.Stat(filepath.Join(dir, "sub")); err != nil || !info.IsDir() || info.Mode().Perm() != vfs.DirPerm {
			t.Fatalf("stat of a directory: %v, %v", info, err)
		}

		// An open file outlives its name.
		if err := fsys.Remove(a); err != nil {
			t.Fatal(err)
		}
		if n, err := f.ReadAt(make([]byte, 5), 0); n != 5 {
			t.Fatalf("read of a removed file: %d, %v", n, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("read after close: %v", err)
		}
		if err := fsys.Remove(a); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("remove of nothing: %v", err)
		}
		if err := fsys.Remove(filepath.Join(dir, "sub")); err == nil {
			t.Fatal("removed a directory with something in it")
		}

		if err := fsys.Rename(b, a); err != nil {
			t.Fatal(err)
		}
		wantFile(t, fsys, a, []byte("world again"))
		wantFile(t, fsys, b, nil)
		if err := fsys.Rename(b, a); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("rename of nothing: %v", err)
		}
		if got, err := fsys.List(dir); err != nil || !slices.Equal(got, []string{"a", "sub"}) {
			t.Fatalf("list: %q, %v", got, err)
		}
		if _, err := fsys.List(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("list of nothing: %v", err)
		}
		if err := fsys.RemoveAll(filepath.Join(dir, "sub")); err != nil {
			t.Fatal(err)
		}
		if err := fsys.RemoveAll(filepath.Join(dir, "sub")); err != nil {
			t.Fatal(err)
		}
		if got, _ := fsys.List(dir); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("list after RemoveAll: %q", got)
		}

		lock, err := fsys.Lock(filepath.Join(dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Lock(filepath.Join(dir, "lock")); !errors.Is(err, vfs.ErrLocked) {
			t.Fatalf("second lock: %v", err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		lock, err = fsys.Lock(filepath.Join(dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		lock.Close()

		if u, err := fsys.DiskUsage(dir); err != nil || u.Total == 0 || u.Available > u.Total {
			t.Fatalf("disk usage: %+v, %v", u, err)
		}
	})
}

func TestWriteFileAtomic(t *testing.T) {
	each(t, func(t *testing.T, fs vfs.FS, dir string) {
		name := filepath.Join(dir, "root")
		for _, content := range []string{"one", "", "three"} {
			if err := vfs.WriteFileAtomic(fs, name, []byte(content)); err != nil {
				t.Fatal(err)
			}
			wantFile(t, fs, name, []byte(content))
			if got, _ := fs.List(dir); !slices.Equal(got, []string{"root"}) {
				t.Fatalf("left behind: %q", got)
			}
		}
		if err := vfs.WriteFileAtomic(fs, filepath.Join(dir, "none", "x"), nil); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("into no directory: %v", err)
		}
	})
}
