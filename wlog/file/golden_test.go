package file_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

const goldenFile = "testdata/v1.wlog"

// goldenName is the name that the file has in a log: its content repeats it.
const goldenName = "00000007-0000000001-00000000000000001000.wlog"

func goldenRecords() []wlog.Record {
	return []wlog.Record{
		{Kind: wlog.KindWrite, Shard: 3, Bucket: 1 << 40, CommitTime: 1700000000123456789, Origin: 11, OriginSeq: 12, Payload: []byte("not worth compressing")},
		{Kind: wlog.KindDelete, Bucket: 5, CommitTime: -1, Payload: []byte{}},
		{Kind: 200, Shard: 1<<32 - 1, Bucket: 1<<64 - 1, Payload: bytes.Repeat([]byte("varve "), 100)},
	}
}

// TestGolden reads a file of this version as it was written once, and writes
// the same. If a newer S2 encoder makes other bytes of the same payload, that
// part may go; reading what is there may not.
func TestGolden(t *testing.T) {
	fs := vfs.NewMem(nil)
	cfg := file.Default(fs, "/log")
	cfg.Start = wlog.Position{Epoch: 7, Seq: 1000}
	l, err := file.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	recs := goldenRecords()
	for _, group := range [][]wlog.Record{recs[:2], recs[2:]} {
		if err := l.Append(t.Context(), group, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := contents(t, fs)[goldenName]
	if *rewrite {
		if err := os.WriteFile(goldenFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the format has changed: wrote %d bytes %x, the golden file has %d bytes", len(got), got, len(want))
	}

	cfg.FS = restore(t, map[string][]byte{goldenName: want})
	if l, err = file.Open(cfg); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := l.Read(t.Context(), wlog.Position{}, wlog.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range recs {
		rec, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want.Pos = wlog.Position{Epoch: 7, Seq: 1000 + uint64(i)}
		if diff := cmp.Diff(want, rec); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i, diff)
		}
	}
	if l.TornTail() != nil {
		t.Errorf("torn tail: %v", l.TornTail())
	}
}
