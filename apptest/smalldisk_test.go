package apptest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk is a disk of its own that can be filled. Where the test may not
// mount one it is a folder, which cannot.
type smallDisk struct {
	t      *testing.T
	dir    string
	filler string // "" if it cannot be filled
}

// smallDiskBytes holds what a test writes, and the 128 MiB below which a server
// refuses writes.
const smallDiskBytes = 768 << 20

func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	d := &smallDisk{t: t, dir: t.TempDir()}
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size=768m"); err != nil {
		t.Logf("the disk is not filled in this run, since a small one cannot be mounted: %v", err)
		return d
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", d.dir, err)
		}
	})
	d.filler = filepath.Join(d.dir, "filler")
	return d
}

// fill takes all the room that is left, and reports whether it could.
func (d *smallDisk) fill() bool {
	d.t.Helper()
	if d.filler == "" {
		return false
	}
	f, err := os.Create(d.filler)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	// Ever smaller pieces, until not even a page is left.
	for at, size := int64(0), int64(smallDiskBytes); size >= 4096; {
		switch err := unix.Fallocate(int(f.Fd()), 0, at, size); {
		case err == nil:
			at += size
		case errors.Is(err, unix.ENOSPC):
			size /= 2
		case errors.Is(err, unix.EINTR):
		default:
			d.t.Fatalf("fill the disk: %v", err)
		}
	}
	return true
}

// free gives the room back.
func (d *smallDisk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler); err != nil {
		d.t.Fatal(err)
	}
}
