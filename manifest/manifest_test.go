package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func example() *Manifest {
	return &Manifest{
		Epoch: 3, Parent: 0, Flushed: Position{1, 90}, NextSegment: 9,
		Segments: []Segment{
			{ID: 8, Bucket: 5, PartMin: 0, PartMax: 99, MinTime: 10, MaxTime: 99, MinSeq: 41, MaxSeq: 80, Rows: 7, Values: 9, Size: 1000, Checksum: 77, Kind: KindRaw, Encoding: 1},
			{ID: 7, Bucket: 5, PartMin: 0, PartMax: 99, MinTime: 0, MaxTime: 50, MinSeq: 1, MaxSeq: 40, Applied: 60, Kind: KindRaw, Encoding: 1},
		},
		Tombstones: []*tombstone.Tombstone{
			{Seq: 85, Bucket: 5, Measurement: "m", Min: 0, Max: 20, Where: predicate.Eq("a", "b"), Fields: []string{"f"}},
			{Seq: 50, Bucket: 5, Min: 0, Max: 20}, // 7 has it applied, 8 is younger
			{Seq: 88, Bucket: 6, Min: 0, Max: 20}, // of a bucket without segments
		},
		Cursors: []Cursor{
			{Name: "b", Next: Position{1, 20}, Dropped: "it held too much"},
			{Name: "a", Next: Position{1, 30}, MaxBytes: 1 << 20},
		},
	}
}

func TestCommitAndLoad(t *testing.T) {
	fs := vfs.NewMem(time.Now)
	if err := fs.MkdirAll("d", 0o700); err != nil {
		t.Fatal(err)
	}
	s := NewStore(fs, "d")
	st, err := s.Load()
	if err != nil || st.Manifest.NextSegment != 1 || len(st.Manifest.Segments) != 0 {
		t.Fatalf("an empty folder loads as %+v, %v", st, err)
	}
	m := example()
	if err := s.Commit(m); err != nil {
		t.Fatal(err)
	}
	got := mustLoad(t, fs)
	if d := cmp.Diff(m, got); d != "" {
		t.Fatal(d)
	}
	if len(got.Tombstones) != 1 || got.Tombstones[0].Seq != 85 {
		t.Fatalf("tombstones %v: want the one that still hides something", got.Tombstones)
	}
	if got.Segments[0].ID != 7 || len(got.Partitions) != 1 {
		t.Fatalf("segments %v, partitions %v", got.Segments, got.Partitions)
	}
	for range 5 {
		got = got.Clone()
		if err := s.Commit(got); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := fs.List("d")
	if want := "ROOT manifest-0000000000000005 manifest-0000000000000006 manifest-copy"; strings.Join(names, " ") != want {
		t.Fatalf("files %v, want %s", names, want)
	}
}

func TestFence(t *testing.T) {
	fs := vfs.NewMem(time.Now)
	_ = fs.MkdirAll("d", 0o700)
	s := NewStore(fs, "d")
	m := example()
	if err := s.Commit(m); err != nil {
		t.Fatal(err)
	}
	later := m.Clone()
	later.Epoch++
	if err := s.Commit(later); err != nil {
		t.Fatal(err)
	}
	for _, stale := range []*Manifest{m.Clone(), later.Clone().Clone()} {
		stale.Epoch--
		if err := s.Commit(stale); !errors.Is(err, ErrFenced) {
			t.Errorf("a stale owner's commit gave %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, change := range map[string]func(m *Manifest){
		"twice":     func(m *Manifest) { m.Segments[0].ID = 7 },
		"next one":  func(m *Manifest) { m.NextSegment = 8 },
		"times":     func(m *Manifest) { m.Segments[0].MaxTime = 100 },
		"sequences": func(m *Manifest) { m.Segments[0].MinSeq = 81 },
		"overlap":   func(m *Manifest) { m.Segments[0].MinSeq = 40 },
		"kind":      func(m *Manifest) { m.Segments[0].Kind = "x" },
		"cursor":    func(m *Manifest) { m.Cursors[0].Name = "a" },
	} {
		m := example()
		change(m)
		m.Normalize()
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := example()
	m.Normalize()
	m.Tombstones = append(m.Tombstones, nil)
	if err := m.Check(); err == nil {
		t.Error("an empty tombstone passes")
	}
}

func TestGolden(t *testing.T) {
	m := example()
	m.Normalize()
	before := *m
	before.Cursors = nil // version 1 had none
	head := &root{Epoch: 3, Number: 7, Manifest: manifestName(7), Checksum: 1234}
	for name, v := range map[string]struct {
		magic       string
		value, back any
	}{
		"manifest.v2.golden": {manifestMagic, m, &Manifest{}},
		"root.v2.golden":     {rootMagic, head, &root{}},
		"manifest.v1.golden": {manifestMagic, &before, &Manifest{}}, // is read, but no longer written
	} {
		got, err := encode(v.magic, v.value)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		old := strings.Contains(name, ".v1.")
		if *rewrite && !old {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !old && !bytes.Equal(got, want) {
			t.Errorf("the encoding of %s changed: a new layout needs a new version", name)
		}
		if _, err := decode(name, v.magic, want, v.back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(v.value, v.back); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func FuzzDecode(f *testing.F) {
	raw, err := encode(manifestMagic, example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m Manifest
		if _, err := decode("f", manifestMagic, raw, &m); err == nil {
			normalizes(t, &m)
		}
	})
}

// FuzzBody sees to the checksum, so that it gets behind the header.
func FuzzBody(f *testing.F) {
	m := example()
	m.Normalize()
	body, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		raw, err := encode(manifestMagic, json.RawMessage(body))
		if err != nil {
			return
		}
		var m Manifest
		if _, err := decode("f", manifestMagic, raw, &m); err == nil {
			normalizes(t, &m)
		}
	})
}

// normalizes expects that a manifest which passes its check can be worked with
// as the next commit does.
func normalizes(t *testing.T, m *Manifest) {
	if m.Check() != nil {
		return
	}
	c := m.Clone()
	c.Normalize()
	if err := c.Check(); err != nil {
		return // it was not in order before
	}
	raw, err := encode(manifestMagic, c)
	if err != nil {
		t.Fatal(err)
	}
	var back Manifest
	if _, err := decode("f", manifestMagic, raw, &back); err != nil {
		t.Fatal(err)
	}
	if err := back.Check(); err != nil {
		t.Fatalf("encoded and decoded: %v", err)
	}
}
