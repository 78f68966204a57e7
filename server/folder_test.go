package server

import (
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/vfs"
)

func TestFolderIsLocked(t *testing.T) {
	disk := vfs.NewMem(time.Now)
	f, err := openFolder(disk, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(disk, "/data"); err == nil || !strings.Contains(err.Error(), "in use by another varve") {
		t.Errorf("second open: %v", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(disk, "/data"); err != nil {
		t.Errorf("after close: %v", err)
	}
}

// The number of shards is that of the first start, and what cannot be read is
// refused instead of made anew.
func TestLayout(t *testing.T) {
	disk := vfs.NewMem(time.Now)
	f, err := openFolder(disk, "/data")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if l, err := f.layout(3); err != nil || l.Shards != 3 {
			t.Errorf("layout %+v, %v", l, err)
		}
	}
	if l, err := f.layout(7); err != nil || l.Shards != 3 {
		t.Errorf("layout %+v, %v: want 3 shards for ever", l, err)
	}
	for text, want := range map[string]string{
		`{"version":2,"shards":1}`: "layout version 2",
		`{"version":1,"shards":0}`: "0 shards",
		`{"version`:                "read",
	} {
		if err := vfs.WriteFileAtomic(disk, f.name(storeFolder, layoutFile), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if l, err := f.layout(1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", text, l, err)
		}
	}
}
