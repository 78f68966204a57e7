package shard_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
)

// view is what can be asked of a fingerprint.
type view struct {
	bucket      uint64
	measurement string
	min, max    int64
}

// rowsOf returns the points of m that a view is about.
func (v view) rowsOf(m model) model {
	out := model{}
	for p, value := range m {
		if p.bucket == v.bucket && p.measurement == v.measurement && p.time >= v.min && p.time <= v.max {
			out[p] = value
		}
	}
	return out
}

// TestFingerprint expects that whenever a fingerprint comes a second time, the
// rows are those of the first, whatever was written, deleted, flushed, merged
// or restarted in between.
func TestFingerprint(t *testing.T) {
	views := []view{{1, "cpu", 0, 4999}, {1, "cpu", 1200, 1800}, {1, "mem", 3000, 3999}, {2, "cpu", 0, 999}}
	type key struct {
		view
		f shard.Fingerprint
	}
	same := 0
	for _, seed := range seeds(6) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			ctx := context.Background()
			rng := rand.New(rand.NewPCG(seed, 77))
			cfg := testConfig(vfs.NewMem(time.Now), t)
			s, err := shard.Open(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			m, seen := model{}, map[key]model{}
			for op := range 150 {
				bucket := uint64(1 + rng.IntN(2))
				switch n := rng.IntN(100); {
				case n < 40:
					err = s.Write(ctx, bucket, randomBatch(rng, bucket, 1+rng.IntN(30), m))
				case n < 60:
					err = s.Delete(ctx, randomDelete(rng, bucket, m))
				case n < 70:
					err = s.Flush(ctx)
				case n < 75:
					err = s.Settle(ctx)
				case n < 85:
					if err = s.Close(); err == nil {
						s, err = shard.Open(ctx, cfg)
					}
				}
				if err != nil {
					t.Fatalf("operation %d: %v", op, err)
				}
				n, err := s.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range views {
					k := key{v, n.Fingerprint(v.bucket, v.measurement, v.min, v.max)}
					rows := v.rowsOf(m)
					before, ok := seen[k]
					if ok && !maps.Equal(before, rows) {
						t.Fatalf("operation %d: %+v has a fingerprint that it had before, but %s", op, v, rows.diff(before))
					}
					if ok {
						same++
					}
					seen[k] = rows
				}
				n.Close()
			}
		})
	}
	if same == 0 {
		t.Error("no fingerprint ever came twice: nothing was tested")
	}
}

// TestFingerprintStays expects that what does not concern a measurement and its
// time leaves the fingerprint alone, a restart included.
func TestFingerprintStays(t *testing.T) {
	ctx := context.Background()
	cfg := testConfig(vfs.NewMem(time.Now), t)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	take := func() shard.Fingerprint {
		n, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		return n.Fingerprint(1, "m", 0, 999)
	}
	none := take()
	if err := s.Write(ctx, 1, oneSeries("m", 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if take() == none {
		t.Fatal("a write did not change the fingerprint")
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	want := take()
	steps := map[string]func() error{
		"another measurement": func() error { return s.Write(ctx, 1, oneSeries("other", 1, 2, 3)) },
		"another bucket":      func() error { return s.Write(ctx, 2, oneSeries("m", 1, 2, 3)) },
		"another time":        func() error { return s.Write(ctx, 1, oneSeries("m", 1000, 2000)) },
		"a flush":             func() error { return s.Flush(ctx) },
		"a delete elsewhere": func() error {
			return s.Delete(ctx, &tombstone.Tombstone{Bucket: 1, Measurement: "m", Min: 1000, Max: 1500})
		},
		"a restart": func() error {
			if err := s.Close(); err != nil {
				return err
			}
			s, err = shard.Open(ctx, cfg)
			return err
		},
	}
	for name, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		if take() != want {
			t.Errorf("%s changed the fingerprint", name)
		}
	}
	if err := s.Delete(ctx, &tombstone.Tombstone{Bucket: 1, Measurement: "m", Min: 2, Max: 2}); err != nil {
		t.Fatal(err)
	}
	if take() == want {
		t.Error("a delete did not change the fingerprint")
	}
}

// BenchmarkFingerprint asks for a measurement that lies in many segments.
func BenchmarkFingerprint(b *testing.B) {
	ctx := context.Background()
	cfg := testConfig(vfs.NewMem(time.Now), b)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for part := range int64(200) { // a partition each
		if err := s.Write(ctx, 1, oneSeries("m", part*1000)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	n, err := s.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	b.ReportAllocs()
	for b.Loop() {
		n.Fingerprint(1, "m", 0, 200_000)
	}
	b.ReportMetric(float64(len(n.Files())), "segments")
}
