package shard_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
)

// TestDeleteRefused gives deletes that a restart could not read back, or would
// read as something else. They are refused before they reach the log.
func TestDeleteRefused(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem(time.Now)
	cfg := testConfig(fs, t)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Write(ctx, 1, oneSeries("m", 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	deep := predicate.Eq("host", "a")
	for range 3000 {
		deep = predicate.Negate(deep)
	}
	for what, d := range map[string]*tombstone.Tombstone{
		"an unknown operation": {Bucket: 1, Min: 1, Max: 3, Where: &predicate.Expr{Op: "like", Key: "host"}},
		"a pattern":            {Bucket: 1, Min: 1, Max: 3, Where: predicate.Match("host", "(")},
		"a deep condition":     {Bucket: 1, Min: 1, Max: 3, Where: deep},
		"a measurement":        {Bucket: 1, Min: 1, Max: 3, Measurement: "m\xff"},
		"a field":              {Bucket: 1, Min: 1, Max: 3, Fields: []string{"f\xff"}},
		"a tag value":          {Bucket: 1, Min: 1, Max: 3, Where: predicate.All(predicate.Eq("host", "\xff"), predicate.Eq("a", "b"))},
		"a tag key":            {Bucket: 1, Min: 1, Max: 3, Where: predicate.Eq("\xff", "x")},
		"times":                {Bucket: 1, Min: 3, Max: 1},
	} {
		if err := s.Delete(ctx, d); err == nil {
			t.Errorf("%s that cannot be stored was taken", what)
		}
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := mustDump(t, s, 1); len(got) != 3 {
		t.Errorf("%d values, want 3", len(got))
	}
}

// TestManyDeletes deletes faster than manifests can be committed. They are
// committed together, and come back from the log as well.
func TestManyDeletes(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem(time.Now)
	fault := vfs.NewFault(mem, func(c vfs.Call) vfs.Action {
		if c.Op == vfs.OpRename && strings.HasSuffix(c.Name, "ROOT") {
			time.Sleep(20 * time.Millisecond) // many deletes long
		}
		return vfs.Action{}
	})
	cfg := testConfig(fault, t)
	cfg.IdleAfter = time.Hour
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(ctx, 1, oneSeries("m", upTo(1000)...)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	const deletes = 500
	for w := range 5 {
		wg.Go(func() {
			for i := range deletes / 5 {
				at := int64(w*deletes/5 + i)
				if err := s.Delete(ctx, &tombstone.Tombstone{Bucket: 1, Min: at, Max: at}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Flushes; n > deletes/2 {
		t.Errorf("%d flushes for %d deletes", n, deletes)
	}
	for range 2 {
		if got := mustDump(t, s, 1); len(got) != 1000-deletes {
			t.Errorf("%d values, want %d", len(got), 1000-deletes)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = shard.Open(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Tombstones != 0 || st.SegmentRows != 1000-deletes {
		t.Errorf("%d tombstones and %d rows are left", st.Tombstones, st.SegmentRows)
	}
	_ = s.Close()
}

// TestDeleteRewritesLittle deletes what few segments hold, or none: only those
// are written anew.
func TestDeleteRewritesLittle(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem(time.Now)
	cfg := testConfig(fs, t)
	cfg.Bucket = func(uint64) (shard.Bucket, bool) { return shard.Bucket{Partition: 100}, true }
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := range int64(20) {
		name := "m"
		if i == 7 {
			name = "other"
		}
		if err := s.Write(ctx, 1, oneSeries(name, i*100, i*100+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		d        tombstone.Tombstone
		rewrites uint64
	}{
		{tombstone.Tombstone{Measurement: "nothing"}, 0},
		{tombstone.Tombstone{Where: predicate.Eq("host", "z")}, 0},
		{tombstone.Tombstone{Fields: []string{"z"}}, 0},
		{tombstone.Tombstone{Measurement: "other", Where: predicate.Eq("host", "a"), Fields: []string{"f"}}, 1},
	} {
		before := s.Stats()
		d := c.d
		d.Bucket, d.Min, d.Max = 1, 0, 5000
		if err := s.Delete(ctx, &d); err != nil {
			t.Fatal(err)
		}
		if err := s.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		after := s.Stats()
		what := fmt.Sprintf("delete of %+v", c.d)
		if n := after.Compactions - before.Compactions; n != c.rewrites {
			t.Errorf("%s: %d segments were written anew, want %d", what, n, c.rewrites)
		}
		if after.Tombstones != 0 {
			t.Errorf("%s: %d tombstones are left", what, after.Tombstones)
		}
	}
	if got := mustDump(t, s, 1); len(got) != 38 {
		t.Errorf("%d values, want 38", len(got))
	}
}

// TestDeletedFieldGoes deletes all values of a field. Once that is done
// nothing names it any more, so that it may come back with another type.
func TestDeletedFieldGoes(t *testing.T) {
	ctx := context.Background()
	cfg := testConfig(vfs.NewMem(time.Now), t)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	b := oneSeries("m", 1, 2)
	g := column.Field{Name: "g", Vector: column.Vector{Type: column.Int64}}
	g.AppendWord(1)
	g.AppendWord(2)
	b.Tables[0].Fields = append(b.Tables[0].Fields, g)
	if err := s.Write(ctx, 1, b); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, &tombstone.Tombstone{Bucket: 1, Min: 0, Max: 10, Fields: []string{"f"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	n, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	runs, err := n.Runs(1, "m", 0, 10)
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	if f := runs[0].Run.Meta().Fields; len(f) != 1 || f[0].Name != "g" {
		t.Errorf("fields %v: want g alone", f)
	}
}
