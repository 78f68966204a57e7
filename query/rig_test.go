package query

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/run/runtest"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/shard"
)

// rig is a driver over rows in memory: measurement m with field x, 10 series
// of 20,000 rows each, at the times 0 to 19,999.
type rig struct {
	*Driver
	store *fakeStore
	pool  *memory.Pool
	reg   *prometheus.Registry
	log   *bytes.Buffer
}

const rigSeries, rigRows = 10, 20_000

// rigRun is made once for all tests, which do not change it.
var rigRun = sync.OnceValue(func() *runtest.Run {
	var points []runtest.Point
	for s := range rigSeries {
		for i := range rigRows {
			points = append(points, runtest.Point{Series: fmt.Sprintf("host=h%d", s), Time: int64(i), Fields: map[string]any{"x": int64(i)}})
		}
	}
	return runtest.New(points, runtest.Options{MinSeq: 1, MaxSeq: 1})
})

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	b := &rig{store: &fakeStore{run: rigRun()}, pool: memory.NewPool("queries", 64<<20), reg: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	c := Default()
	c.Slow = 0
	if change != nil {
		change(&c)
	}
	d, err := New(c, Parts{Store: b.store, Buckets: b.store, Memory: b.pool, Registry: b.reg, Log: slog.New(slog.NewTextHandler(b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.Driver = d
	t.Cleanup(func() {
		if n := b.pool.Stats().Used; n != 0 {
			t.Errorf("%d bytes of memory were not given back", n)
		}
		if n := b.store.pinned.Load(); n != 0 {
			t.Errorf("%d snapshots were not closed", n)
		}
		if n := b.value(t, "varve_query_running"); n != 0 {
			t.Errorf("%g places were not given back", n)
		}
		if n := b.value(t, "varve_query_waiting"); n != 0 {
			t.Errorf("%g questions count as waiting", n)
		}
	})
	return b
}

// value returns what a metric without labels says, or the sum over its labels.
func (b *rig) value(t testing.TB, name string) float64 {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		sum := 0.0
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
		return sum
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// fakeStore has one shard with one run, in bucket 1.
type fakeStore struct {
	run     *runtest.Run
	horizon int64
	pinned  atomic.Int64
	version atomic.Int64
}

func (s *fakeStore) Horizon(bucket uint64) (int64, bool) {
	if s.horizon == 0 {
		return math.MinInt64, bucket == 1
	}
	return s.horizon, bucket == 1
}

func (s *fakeStore) Snapshots() ([]Snapshot, func(), error) {
	s.pinned.Add(1)
	return []Snapshot{s}, func() { s.pinned.Add(-1) }, nil
}

func (s *fakeStore) Runs(_ uint64, measurement string, lo, hi int64) ([]shard.Input, error) {
	m := s.run.Meta()
	if measurement != "m" || m.MinTime > hi || m.MaxTime < lo {
		return nil, nil
	}
	return []shard.Input{{Run: s.run, PartMin: m.MinTime, PartMax: m.MaxTime}}, nil
}

func (s *fakeStore) Fingerprint(_ uint64, _ string, _, _ int64) shard.Fingerprint {
	return shard.Fingerprint{byte(s.version.Load())}
}

func (s *fakeStore) Measurements(uint64, int64, int64) ([]string, error) { return []string{"m"}, nil }

// rowsOf is a plan of all rows from start on.
func rowsOf(start int64) *plan.Plan {
	p := plan.New(1, start, rigRows)
	p.Measurements, p.Rows = []string{"m"}, &plan.Rows{}
	return p
}

// namesOf is a plan that is light.
func namesOf() *plan.Plan {
	p := plan.New(1, 0, rigRows)
	p.List = &plan.List{What: plan.TagKeys}
	return p
}

// count asks p and returns the number of rows.
func (b *rig) count(ctx context.Context, p *plan.Plan) (rows int, explain string, err error) {
	explain, err = b.Run(ctx, p, func(batch *scan.Batch) error {
		rows += batch.Rows()
		return nil
	})
	return rows, explain, err
}

// hold asks p and keeps the answer open, and with it a place, until release.
func (b *rig) hold(t testing.TB, p *plan.Plan) (release func()) {
	t.Helper()
	q := b.Begin(t.Context())
	a, err := q.Run(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Next(); err != nil {
		t.Fatal(err)
	}
	return q.Close
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
