package vfs_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/varvedb/varve/vfs"
)

var seed = flag.Uint64("seed", 1, "seed of the random tests")

func TestCrashForgetsUnsynced(t *testing.T) {
	m := vfs.NewMem(nil)
	if err := vfs.MkdirAllSync(m, "/d/e"); err != nil {
		t.Fatal(err)
	}
	write(t, m, "/d/synced", "synced", true)
	write(t, m, "/d/unsynced", "unsynced", false)
	syncDir(t, m, "/d")
	write(t, m, "/d/nameless", "nameless", true)
	f, err := m.Create("/d/e/part")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []string{"abc", "def"} {
		if _, err := f.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	syncDir(t, m, "/d/e")

	c := m.CrashClone(nil)
	wantFile(t, c, "/d/synced", []byte("synced"))
	wantFile(t, c, "/d/unsynced", []byte{})
	wantFile(t, c, "/d/nameless", nil)
	wantFile(t, c, "/d/e/part", []byte("abc"))
	if got := c.Used(); got != 9 {
		t.Fatalf("used %d bytes after the crash, want 9", got)
	}
	// The original goes on, and the copy is independent of it.
	wantFile(t, m, "/d/nameless", []byte("nameless"))
	write(t, c, "/d/new", "new", true)
	syncDir(t, c, "/d")
	wantFile(t, m, "/d/new", nil)
	// What survived one crash survives the next.
	wantFile(t, c.CrashClone(nil), "/d/e/part", []byte("abc"))
}

func TestCrashForgetsUnsyncedNames(t *testing.T) {
	m := vfs.NewMem(nil)
	write(t, m, "/old", "content", true)
	write(t, m, "/gone", "still here", true)
	write(t, m, "/target", "before", true)
	write(t, m, "/recreated", "first", true)
	syncDir(t, m, "/")
	if err := m.Rename("/old", "/new"); err != nil {
		t.Fatal(err)
	}
	if err := m.Remove("/gone"); err != nil {
		t.Fatal(err)
	}
	write(t, m, "/temp", "after", true)
	if err := m.Rename("/temp", "/target"); err != nil {
		t.Fatal(err)
	}
	write(t, m, "/recreated", "second", true)

	c := m.CrashClone(nil)
	wantFile(t, c, "/old", []byte("content"))
	wantFile(t, c, "/new", nil)
	wantFile(t, c, "/gone", []byte("still here"))
	wantFile(t, c, "/target", []byte("before"))
	wantFile(t, c, "/recreated", []byte("first"))

	syncDir(t, m, "/")
	c = m.CrashClone(nil)
	wantFile(t, c, "/old", nil)
	wantFile(t, c, "/new", []byte("content"))
	wantFile(t, c, "/gone", nil)
	wantFile(t, c, "/target", []byte("after"))
	wantFile(t, c, "/recreated", []byte("second"))
}

// A directory that was only made is lost with all that was synced inside it.
func TestCrashForgetsUnsyncedDirectory(t *testing.T) {
	m := vfs.NewMem(nil)
	if err := m.MkdirAll("/a/b", vfs.DirPerm); err != nil {
		t.Fatal(err)
	}
	write(t, m, "/a/b/file", "x", true)
	syncDir(t, m, "/a/b")
	syncDir(t, m, "/a")
	wantFile(t, m.CrashClone(nil), "/a/b/file", nil)
	syncDir(t, m, "/")
	wantFile(t, m.CrashClone(nil), "/a/b/file", []byte("x"))
}

func TestRandomCrashKeepsPart(t *testing.T) {
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	m := vfs.NewMem(nil)
	f, err := m.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	syncDir(t, m, "/")
	synced, rest := bytes.Repeat([]byte{1}, 5000), bytes.Repeat([]byte{2}, 20000)
	if _, err := f.Write(synced); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(rest); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		write(t, m, "/new"+string(rune('0'+i)), "", true)
	}
	var none, all, part, holes bool
	names := map[int]bool{}
	for range 200 {
		c := m.CrashClone(rng)
		got, err := vfs.ReadFile(c, "/f")
		if err != nil || !bytes.HasPrefix(got, synced) {
			t.Fatalf("synced bytes lost: %d bytes, %v", len(got), err)
		}
		switch tail := got[len(synced):]; {
		case len(tail) == 0:
			none = true
		case bytes.IndexByte(tail, 0) >= 0:
			holes = true
		case len(tail) == len(rest):
			all = true
		default:
			part = true
		}
		list, err := c.List("/")
		if err != nil {
			t.Fatal(err)
		}
		if want := "f new0 new1 new2 new3 new4 new5 new6 new7"; !strings.HasPrefix(want, strings.Join(list, " ")) {
			t.Fatalf("names survived out of order: %q", list)
		}
		names[len(list)] = true
	}
	if !none || !all || !part || !holes || len(names) != 9 {
		t.Fatalf("not every outcome was seen: none %v, all %v, part %v, holes %v, names %v", none, all, part, holes, names)
	}
}

func TestQuota(t *testing.T) {
	m := vfs.NewMem(nil)
	m.SetQuota(10)
	write(t, m, "/a", "12345678", true)
	f, err := m.Create("/b")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte("abcd")); n != 2 || !vfs.IsNoSpace(err) {
		t.Fatalf("write past the quota: %d, %v", n, err)
	}
	if u, _ := m.DiskUsage("/"); u != (vfs.Usage{Total: 10}) {
		t.Fatalf("usage when full: %+v", u)
	}
	if err := m.Remove("/a"); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte("cd")); n != 2 || err != nil {
		t.Fatalf("write after making room: %d, %v", n, err)
	}
	// Replacing a file, by any way, gives its room back.
	write(t, m, "/b", "x", true)
	write(t, m, "/c", "xyz", true)
	if err := m.Rename("/c", "/b"); err != nil {
		t.Fatal(err)
	}
	if got := m.Used(); got != 3 {
		t.Fatalf("used %d, want 3", got)
	}
	if err := vfs.MkdirAllSync(m, "/d/e"); err != nil {
		t.Fatal(err)
	}
	write(t, m, "/d/e/f", "1234567", true)
	if err := m.RemoveAll("/d"); err != nil {
		t.Fatal(err)
	}
	if got := m.Used(); got != 3 {
		t.Fatalf("used %d after RemoveAll, want 3", got)
	}
}

func TestMemListIsSorted(t *testing.T) {
	m := vfs.NewMem(nil)
	for _, n := range []string{"/c", "/a", "/b"} {
		write(t, m, n, "", true)
	}
	if got, _ := m.List("/"); !slices.IsSorted(got) || len(got) != 3 {
		t.Fatalf("list %q", got)
	}
}
