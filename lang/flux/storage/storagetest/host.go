// Package storagetest is a host for scripts in tests: a real query driver over
// runs in memory. It is safe for use by one goroutine.
package storagetest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/run/runtest"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/shard"
)

// Points are points by measurement.
type Points map[string][]runtest.Point

// Host has one organisation "org" with the buckets "b" (id 1), which has Points,
// "empty" (id 2), which may be written, and "secret" (id 3), which may neither
// be read nor written.
type Host struct {
	*query.Question
	Plans   []*plan.Plan // that were run
	Written []*column.Batch
	pool    *memory.Pool
}

// New returns a host over points, cut into so many runs that overlap. It fails the
// test at its end if memory was not given back.
func New(t testing.TB, points Points, runs int) *Host {
	t.Helper()
	s := store{}
	for m, all := range points {
		parts := make([][]runtest.Point, runs)
		for i, p := range all { // later runs overwrite earlier ones
			at := i * runs / len(all)
			parts[at] = append(parts[at], p)
		}
		for i, part := range parts {
			if len(part) > 0 {
				s[m] = append(s[m], runtest.New(part, runtest.Options{MinSeq: uint64(i + 1), MaxSeq: uint64(i + 1), Span: 64}))
			}
		}
	}
	h := &Host{pool: memory.NewPool("queries", 256<<20)}
	d, err := query.New(query.Default(), query.Parts{
		Store: s, Buckets: s, Memory: h.pool, Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Question = d.Begin(t.Context())
	t.Cleanup(func() {
		h.Close()
		if n := h.pool.Stats().Used; n != 0 {
			t.Errorf("%d bytes of memory were not given back", n)
		}
	})
	return h
}

// NewRun returns a run on the host.
func (h *Host) NewRun(ctx context.Context, now time.Time) *flow.Run {
	r := flow.NewRun(ctx, h.Question, now)
	r.Host = h
	return r
}

// Run implements storage.Host.
func (h *Host) Run(p *plan.Plan) (*query.Answer, error) {
	h.Plans = append(h.Plans, p)
	return h.Question.Run(p)
}

func all() []storage.Bucket {
	return []storage.Bucket{{ID: 1, Name: "b", OrgID: "000000000000000a"}, {ID: 2, Name: "empty", OrgID: "000000000000000a", Retention: time.Hour}}
}

// Bucket implements storage.Host.
func (h *Host) Bucket(ref storage.Ref) (storage.Bucket, error) {
	i := slices.IndexFunc(all(), func(b storage.Bucket) bool {
		return b.Name == ref.Name || fmt.Sprintf("%016x", b.ID) == ref.ID
	})
	if i < 0 || ref.Org.Name != "" && ref.Org.Name != "org" {
		return storage.Bucket{}, &storage.NotFoundError{What: "bucket", Name: ref.String()}
	}
	return all()[i], nil
}

// Buckets implements storage.Host.
func (h *Host) Buckets(org storage.Org) ([]storage.Bucket, error) {
	if org.Name != "" && org.Name != "org" {
		return nil, &storage.NotFoundError{What: "organization", Name: org.Name}
	}
	return all(), nil
}

// Writable implements storage.Writer.
func (h *Host) Writable(ref storage.Ref) (storage.Bucket, error) {
	b, err := h.Bucket(ref)
	if err == nil && b.ID == 1 {
		return b, fmt.Errorf("no permission to write bucket %q", b.Name)
	}
	return b, err
}

// Write implements storage.Writer.
func (h *Host) Write(bucket uint64, b *column.Batch) error {
	if bucket != 2 {
		return fmt.Errorf("bucket %d is not to be written", bucket)
	}
	h.Written = append(h.Written, b)
	return nil
}

// store is runs by measurement, in bucket 1.
type store map[string][]*runtest.Run

// Horizon implements query.Buckets.
func (s store) Horizon(bucket uint64) (int64, bool) { return math.MinInt64, bucket == 1 || bucket == 2 }

// Snapshots implements query.Store.
func (s store) Snapshots() ([]query.Snapshot, func(), error) {
	return []query.Snapshot{s}, func() {}, nil
}

// Runs implements scan.Snapshot.
func (s store) Runs(bucket uint64, measurement string, lo, hi int64) ([]shard.Input, error) {
	var out []shard.Input
	for _, r := range s[measurement] {
		if m := r.Meta(); bucket == 1 && m.MinTime <= hi && m.MaxTime >= lo {
			out = append(out, shard.Input{Run: r, PartMin: m.MinTime, PartMax: m.MaxTime})
		}
	}
	return out, nil
}

// Measurements implements scan.Snapshot.
func (s store) Measurements(bucket uint64, lo, hi int64) ([]string, error) {
	var out []string
	for m := range s {
		if runs, _ := s.Runs(bucket, m, lo, hi); len(runs) > 0 {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Fingerprint implements query.Snapshot.
func (s store) Fingerprint(uint64, string, int64, int64) shard.Fingerprint {
	return shard.Fingerprint{}
}

var _ scan.Snapshot = store{}
