package shard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
)

// rewrite changes a file behind everyone's back.
func rewrite(t *testing.T, fs vfs.FS, name string, change func(data []byte) []byte) {
	t.Helper()
	data, err := vfs.ReadFile(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(change(data)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

// oneSeries is a batch of one series with one integer field, whose values are
// the times.
func oneSeries(measurement string, times ...int64) *column.Batch {
	tb := &column.Table{Measurement: measurement, Fields: []column.Field{{Name: "f", Vector: column.Vector{Type: column.Int64}}}}
	key := []byte("host=a")
	tb.Series.Add(key, column.HashSeries(measurement, key))
	for _, at := range times {
		tb.Row, tb.Time = append(tb.Row, 0), append(tb.Time, at)
		tb.Fields[0].AppendWord(uint64(at))
	}
	return &column.Batch{Tables: []*column.Table{tb}}
}

func upTo(n int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

func files(t *testing.T, s *shard.Shard) []shard.File {
	t.Helper()
	n, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	return n.Files()
}

// TestDamagedSegment tears or flips a segment of one partition, or lets its
// disk refuse to read it. The file is named, its partition gives an error and
// never a wrong answer, and all others are served, written to, compacted and
// rid of deleted rows.
func TestDamagedSegment(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"torn":           func(b []byte) []byte { return b[:len(b)/2] },
		"empty":          func([]byte) []byte { return nil },
		"block flipped":  func(b []byte) []byte { b[12] ^= 1; return b },
		"footer flipped": func(b []byte) []byte { b[len(b)-9] ^= 1; return b },
		"not readable":   nil,
	} {
		t.Run(name, func(t *testing.T) { damageSegment(t, change) })
	}
}

// damageSegment does so with a shard that is closed while change is applied,
// or without a change to one that is open while reads begin to fail.
func damageSegment(t *testing.T, change func([]byte) []byte) {
	ctx := context.Background()
	fs := vfs.NewMem(time.Now)
	fault := vfs.NewFault(fs, nil)
	cfg := testConfig(fault, t)
	cfg.MemtableBytes, cfg.MaxMemtableBytes = 1<<20, 2<<20
	cfg.IdleAfter = time.Hour // merges wait for Settle
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for range 2 { // each flush gives each partition a segment
		if err := s.Write(ctx, 1, oneSeries("m", upTo(5000)...)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	all := files(t, s)
	if len(all) != 10 {
		t.Fatalf("%d segments, want 2 in each of 5 partitions", len(all))
	}
	broken := all[4] // times 2000 to 2999
	if change == nil {
		fault.SetHook(func(c vfs.Call) vfs.Action {
			if c.Op == vfs.OpReadAt && c.Name == broken.Name {
				return vfs.Action{Err: fmt.Errorf("read %s: input/output error", c.Name)}
			}
			return vfs.Action{}
		})
	} else {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		rewrite(t, fs, broken.Name, change)
		if s, err = shard.Open(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, &tombstone.Tombstone{Bucket: 1, Min: 3500, Max: 3599}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(files(t, s)) != 6 {
		_ = s.Settle(ctx) // may say that it cannot merge the damaged one
		if time.Now().After(deadline) {
			t.Fatalf("%d segments: want 1 in each whole partition and 2 in the damaged one", len(files(t, s)))
		}
	}
	if p := strings.Join(s.Stats().Problems, "; "); change != nil && !strings.Contains(p, filepath.Base(broken.Name)) {
		t.Errorf("problems %q do not name %s", p, broken.Name)
	}
	n, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for part := range int64(5) {
		got := model{}
		runs, err := n.Runs(1, "m", part*1000, part*1000+999)
		if err == nil {
			err = dumpRuns(got, 1, "m", runs)
		}
		want := 1000
		if part == 3 {
			want = 900
		}
		switch {
		case part == 2 && err == nil:
			t.Errorf("partition %d gave %d values and no error", part, len(got))
		case part == 2 && !strings.Contains(err.Error(), filepath.Base(broken.Name)):
			t.Errorf("error %q does not name %s", err, broken.Name)
		case part != 2 && (err != nil || len(got) != want):
			t.Errorf("partition %d: %d values, want %d; %v", part, len(got), want, err)
		}
	}
	// Its neighbours behind it are merged still.
	for range 20 {
		if err := s.Write(ctx, 1, oneSeries("m", 2500)); err != nil {
			t.Error(err)
		}
		if err := s.Flush(ctx); err != nil {
			t.Error(err)
		}
	}
	if change == nil {
		fault.SetHook(nil)
		for len(files(t, s)) != 5 {
			_ = s.Settle(ctx)
			if time.Now().After(deadline) {
				t.Fatalf("%d segments, though everything can be read again", len(files(t, s)))
			}
		}
		return
	}
	if err := s.Settle(ctx); err != nil {
		t.Error(err)
	}
	if n := len(files(t, s)); n > 8 {
		t.Errorf("%d segments after 20 more flushes", n)
	}
}

// TestDamagedLog flips bits in every place of the log, at several stages of a
// shard's life. It opens, everything that is in segments is there, nothing is
// there that was not written, and it goes on from there without giving a
// sequence away twice.
func TestDamagedLog(t *testing.T) {
	ctx := context.Background()
	for _, flush := range []bool{false, true} {
		fs := vfs.NewMem(time.Now)
		cfg := testConfig(fs, t)
		s, err := shard.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		all, safe := model{}, model{}
		for i := range int64(6) {
			b := oneSeries("m", i, i+1000)
			if err := s.Write(ctx, 1, b); err != nil {
				t.Fatal(err)
			}
			for k, v := range modelOf(1, b) {
				all[k] = v
			}
			if flush && i%2 == 1 {
				if err := s.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				safe = all.clone()
			}
		}
		fs = fs.CrashClone(nil) // a log that was closed says so at its end
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		names, err := fs.List(shard.LogDir(cfg.Dir))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			full := filepath.Join(shard.LogDir(cfg.Dir), name)
			info, err := fs.Stat(full)
			if err != nil {
				t.Fatal(err)
			}
			step := max(info.Size()/40, 1)
			if testing.Short() {
				step = max(info.Size()/8, 1)
			}
			for at := int64(0); at < info.Size(); at += step {
				clone := fs.CrashClone(nil)
				rewrite(t, clone, full, func(b []byte) []byte { b[at] ^= 4; return b })
				what := fmt.Sprintf("flush=%t, %s with byte %d flipped", flush, name, at)
				goOn(t, what, clone, safe, all)
			}
			clone := fs.CrashClone(nil)
			if err := clone.Remove(full); err != nil {
				t.Fatal(err)
			}
			goOn(t, fmt.Sprintf("flush=%t, %s removed", flush, name), clone, safe, all)
		}
	}
}

// goOn opens a shard of which at least safe and at most all should be there,
// writes to it, and opens it twice more.
func goOn(t *testing.T, what string, fs vfs.FS, safe, all model) {
	t.Helper()
	ctx := context.Background()
	cfg := testConfig(fs, t)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got := mustDump(t, s, 1)
	for k, v := range safe {
		if got[k] != v {
			t.Fatalf("%s: %+v is gone", what, k)
		}
	}
	for k, v := range got {
		if all[k] != v {
			t.Fatalf("%s: %+v = %s was never written", what, k, v)
		}
	}
	for i := range int64(3) {
		b := oneSeries("m", 2000+i)
		if err := s.Write(ctx, 1, b); err != nil {
			t.Fatalf("%s: write: %v", what, err)
		}
		for k, v := range modelOf(1, b) {
			got[k] = v
		}
		if i == 1 {
			if err := s.Settle(ctx); err != nil {
				t.Fatalf("%s: settle: %v", what, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatalf("%s: close: %v", what, err)
		}
		if s, err = shard.Open(ctx, cfg); err != nil {
			t.Fatalf("%s: open again: %v", what, err)
		}
		if d := mustDump(t, s, 1).diff(got); d != "" {
			t.Fatalf("%s: after %d more writes and restarts: %s", what, i+1, d)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedSegment flips bits all over a segment. What is read is right or
// an error that names the file, merged or not.
func TestFlippedSegment(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(4, 4))
	fs := vfs.NewMem(time.Now)
	cfg := testConfig(fs, t)
	cfg.MemtableBytes, cfg.MaxMemtableBytes = 1<<20, 2<<20
	cfg.Bucket = func(uint64) (shard.Bucket, bool) { return shard.Bucket{Partition: time.Hour}, true }
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := model{}
	for range 2 {
		if err := s.Write(ctx, 1, randomBatch(rng, 1, 300, want)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	file := files(t, s)[0]
	fs = fs.CrashClone(nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	step := file.Entry.Size / 150
	if testing.Short() {
		step = file.Entry.Size / 20
	}
	for at := int64(0); at < file.Entry.Size; at += step {
		clone := fs.CrashClone(nil)
		rewrite(t, clone, file.Name, func(b []byte) []byte { b[at] ^= 1 << rng.IntN(8); return b })
		s, err := shard.Open(ctx, testConfig(clone, t))
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		_ = s.Settle(ctx) // merges the two, or says that it cannot
		n, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		got, err := dump(n, 1)
		n.Close()
		if err == nil {
			if d := got.diff(want); d != "" {
				t.Fatalf("byte %d: %s", at, d)
			}
		} else if !strings.Contains(err.Error(), filepath.Base(file.Name)) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
