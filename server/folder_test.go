package server

import (
	"slices"
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

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	f, err := openFolder(vfs.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	want := []string{dir, "in use by another varve", "choose another folder by --data-dir"}
	for range 2 {
		_, err := openFolder(vfs.OS{}, dir)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("second open: %v, want %q", err, w)
			}
		}
		if told, err := f.writeAddresses(Addresses{HTTP: "127.0.0.1:8086", PID: 4711, TLS: true}); err != nil || !told {
			t.Fatal(err)
		}
		want = append(want, "process 4711 on https://127.0.0.1:8086")
	}
}

// A server starts on a full disk, on which it can say neither where it is nor
// which program it is; what a former one said about addresses is gone.
func TestFolderOnFullDisk(t *testing.T) {
	disk := vfs.NewMem(time.Now)
	f, err := openFolder(disk, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.layout(1, "v1"); err != nil {
		t.Fatal(err)
	}
	if told, err := f.writeAddresses(Addresses{HTTP: "127.0.0.1:1"}); err != nil || !told {
		t.Fatalf("with room: %t, %v", told, err)
	}
	disk.SetQuota(1)
	if l, err := f.layout(1, "v2"); err != nil || l.Shards != 1 {
		t.Errorf("layout on a full disk: %+v, %v", l, err)
	}
	if told, err := f.writeAddresses(Addresses{HTTP: "127.0.0.1:2"}); err != nil || told {
		t.Errorf("addresses on a full disk: told %t, %v", told, err)
	}
	if names, err := disk.List("/data"); err != nil || slices.Contains(names, addressesFile) {
		t.Errorf("the folder holds %v, %v", names, err)
	}
	if err := f.removeAddresses(); err != nil {
		t.Errorf("a stop without addresses: %v", err)
	}
}

// The number of shards is that of the first start, and the file tells which
// program has it.
func TestLayout(t *testing.T) {
	disk := vfs.NewMem(time.Now)
	f, err := openFolder(disk, "/data")
	if err != nil {
		t.Fatal(err)
	}
	for i, program := range []string{"v1.0.0", "v1.0.0", "v1.1.0", ""} {
		l, err := f.layout(3+i, program)
		if err != nil || l.Shards != 3 {
			t.Errorf("layout %+v, %v: want 3 shards for ever", l, err)
		}
		if l, err = f.readLayout("any"); err != nil || l.WrittenBy != []string{"v1.0.0", "v1.0.0", "v1.1.0", "v1.1.0"}[i] {
			t.Errorf("after %q: %+v, %v", program, l, err)
		}
	}
	// What programs wrote before they noted their version. The file is of the
	// program's own version before anything else is.
	if err := vfs.WriteFileAtomic(disk, f.name(storeFolder, layoutFile), []byte(`{"version":1,"shards":2}`+"\n")); err != nil {
		t.Fatal(err)
	}
	if l, err := f.readLayout(""); err != nil || l != (layout{1, 2, ""}) {
		t.Errorf("a look at the first version: %+v, %v", l, err)
	}
	if l, err := f.layout(1, "v1.2.0"); err != nil || l != (layout{2, 2, "v1.2.0"}) {
		t.Errorf("layout %+v, %v", l, err)
	}
	if b, err := vfs.ReadFile(disk, f.name(storeFolder, layoutFile)); err != nil || string(b) != `{"version":2,"shards":2,"written_by":"v1.2.0"}`+"\n" {
		t.Errorf("the first version became %s, %v", b, err)
	}
	// The same program, where it was built before and after.
	if err := vfs.WriteFileAtomic(disk, f.name(storeFolder, layoutFile), []byte(`{"version":1,"shards":2,"written_by":"devel"}`)); err != nil {
		t.Fatal(err)
	}
	if l, err := f.layout(1, "devel"); err != nil || l.Version != 2 {
		t.Errorf("layout %+v, %v", l, err)
	}
}

// What cannot be read is refused instead of made anew, says why and what to do,
// and is left as it was.
func TestUnreadableLayout(t *testing.T) {
	disk := vfs.NewMem(time.Now)
	f, err := openFolder(disk, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if err := vfs.MkdirAllSync(disk, f.name(storeFolder, shardFolder(0))); err != nil {
		t.Fatal(err)
	}
	if l, err := f.layout(1, "v1.0.0"); err == nil || !strings.Contains(err.Error(), "layout.json is missing, but shard-0 beside it is not") {
		t.Errorf("no layout: %+v, %v", l, err)
	}
	for text, want := range map[string][]string{
		`{"version":3,"shards":1,"written_by":"v2.3.4"}`: {
			"format version 3", "last written by varve v2.3.4", "this is varve v1.0.0, which reads versions up to 2", "Start that varve or a later one", "nothing was changed"},
		`{"version":7,"shards":1}`: {"format version 7", "did not note its version"},
		`{"version":0,"shards":1}`: {"no format version 0", "this is varve v1.0.0, which reads versions 1 to 2", "Restore the file"},
		`{"shards":1}`:             {"no format version 0"},
		`{"version":1,"shards":0}`: {"0 shards are impossible", "restore the file"},
		`{"version`:                {"layout.json", "restore the file"},
		``:                         {"layout.json", "restore the file"},
	} {
		name := f.name(storeFolder, layoutFile)
		if err := vfs.WriteFileAtomic(disk, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		l, err := f.layout(1, "v1.0.0")
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %+v, %v, want %q", text, l, err, w)
			}
		}
		if b, err := vfs.ReadFile(disk, name); err != nil || string(b) != text {
			t.Errorf("%s became %s, %v", text, b, err)
		}
	}
}
