package query

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

// engine is two real shards that flush and merge all the time, with partitions
// of 1,000 ns and a clock that the test sets.
type engine struct {
	t         testing.TB
	fs        vfs.FS
	shards    [2]*shard.Shard
	at        atomic.Int64 // nanoseconds since 1970
	retention int64        // nanoseconds; 0: for ever
}

func newEngine(t testing.TB, retention int64) *engine {
	t.Helper()
	e := &engine{t: t, fs: vfs.NewMem(time.Now), retention: retention}
	e.at.Store(5000)
	e.open()
	t.Cleanup(e.close)
	return e
}

func (e *engine) now() time.Time { return time.Unix(0, e.at.Load()) }

func (e *engine) open() {
	e.t.Helper()
	for i := range e.shards {
		c := shard.Default()
		c.FS, c.Dir, c.ID = e.fs, fmt.Sprint("data/", i), uint32(i)
		c.OpenLog = func(dir string, start wlog.Position) (wlog.Log, error) {
			lc := file.Default(e.fs, dir)
			lc.Start, lc.FileBytes = start, 16<<10
			l, err := file.Open(lc)
			if err != nil {
				return nil, err
			}
			return l, nil
		}
		c.Bucket = func(uint64) (shard.Bucket, bool) {
			return shard.Bucket{Retention: time.Duration(e.retention), Partition: 1000, Level: encoding.LevelBalanced}, true
		}
		c.MemtableBytes, c.MaxMemtableBytes, c.MinFreeBytes = 24<<10, 96<<10, 0
		c.Compaction.Fanout, c.Compaction.MaxSegments = 3, 4
		c.IdleAfter = time.Millisecond
		c.Now, c.Logger = e.now, slog.New(slog.NewTextHandler(io.Discard, nil))
		s, err := shard.Open(e.t.Context(), c)
		if err != nil {
			e.t.Fatal(err)
		}
		e.shards[i] = s
	}
}

func (e *engine) close() {
	for _, s := range e.shards {
		if err := s.Close(); err != nil {
			e.t.Error(err)
		}
	}
}

// Horizon implements Buckets.
func (e *engine) Horizon(uint64) (int64, bool) {
	if e.retention == 0 {
		return math.MinInt64, true
	}
	return e.at.Load() - e.retention, true
}

// Snapshots implements Store.
func (e *engine) Snapshots() (all []Snapshot, release func(), err error) {
	release = func() {
		for _, s := range all {
			s.(*shard.Snapshot).Close()
		}
	}
	for _, s := range e.shards {
		n, err := s.Snapshot()
		if err != nil {
			release()
			return nil, nil, err
		}
		all = append(all, n)
	}
	return all, release, nil
}

// driver returns a driver over e, with a cache of results or without.
func (e *engine) driver(results *ResultCache) *Driver {
	e.t.Helper()
	d, err := New(Default(), Parts{
		Store: e, Buckets: e, Memory: memory.NewPool("queries", 64<<20), Results: results,
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return d
}

func newResultCache() *ResultCache { return NewResultCache(4 << 20) }

// write stores some rows with times from lo on. Sums of its floats are exact,
// in whatever order they are added.
func (e *engine) write(rng *rand.Rand, lo, span int64) {
	e.t.Helper()
	for i := range e.shards {
		b := &column.Batch{}
		for _, name := range []string{"cpu", "mem"}[:1+rng.IntN(2)] {
			t := &column.Table{Measurement: name}
			for s := range 4 {
				key := fmt.Appendf(nil, "host=h%d,zone=z%d", 2*s+i, s%2) // each shard has its own
				t.Series.Add(key, column.HashSeries(name, key))
			}
			t.Fields = []column.Field{{Name: "f", Vector: column.Vector{Type: column.Float64}}, {Name: "i", Vector: column.Vector{Type: column.Int64}}, {Name: "s", Vector: column.Vector{Type: column.String}}}
			for range 1 + rng.IntN(100) {
				t.Row, t.Time = append(t.Row, uint32(rng.IntN(4))), append(t.Time, lo+rng.Int64N(span))
				if rng.IntN(4) == 0 {
					t.Fields[0].AppendNulls(1)
				} else {
					t.Fields[0].AppendFloat(float64(rng.IntN(1000)) / 8)
				}
				t.Fields[1].AppendWord(uint64(rng.IntN(500)))
				t.Fields[2].AppendString(fmt.Appendf(nil, "text %d", rng.IntN(50)))
			}
			b.Tables = append(b.Tables, t)
		}
		if err := e.shards[i].Write(e.t.Context(), 1, b); err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e *engine) delete(rng *rand.Rand, lo, span int64) {
	e.t.Helper()
	d := tombstone.Tombstone{Bucket: 1, Min: lo + rng.Int64N(span)}
	d.Max = d.Min + rng.Int64N(500)
	if rng.IntN(2) == 0 {
		d.Measurement = "cpu"
	}
	if rng.IntN(2) == 0 {
		d.Where = predicate.Eq("zone", "z1")
	}
	if rng.IntN(3) == 0 {
		d.Fields = []string{"f"}
	}
	for _, s := range e.shards {
		own := d
		if err := s.Delete(e.t.Context(), &own); err != nil {
			e.t.Fatal(err)
		}
	}
}

// randomPlan returns one of not very many plans, so that some come again.
func randomPlan(rng *rand.Rand, lo, span int64) *plan.Plan {
	from := lo / 500 * 500
	p := plan.New(1, from+500*rng.Int64N(span/500), 0)
	p.Stop = p.Start + 500*(1+rng.Int64N(4))
	if rng.IntN(4) > 0 {
		p.Measurements = []string{"cpu"}
	}
	if rng.IntN(3) == 0 {
		p.Tags = predicate.Eq("zone", "z1")
	}
	switch rng.IntN(5) {
	case 0:
		p.List = &plan.List{What: []plan.ListKind{plan.Measurements, plan.TagKeys, plan.Fields}[rng.IntN(3)]}
		return p
	case 1:
		p.Rows = &plan.Rows{Merged: true}
		p.Desc = rng.IntN(2) == 0
		p.Total.Limit = rng.Int64N(2) * 20
		return p
	case 2:
		p.Rows = &plan.Rows{Fields: []string{"f"}}
		p.Where = plan.Compare("i", plan.Gt, plan.Int(250))
		return p
	}
	p.Aggregate = &plan.Aggregate{Group: plan.ByTags("zone"), Calls: []plan.Call{{Func: plan.Sum, Field: "f"}, {Func: plan.Max, Field: "i"}, {Func: plan.Last, Field: "s"}}}
	if rng.IntN(2) == 0 {
		p.Aggregate.Group = plan.BySeries()
	}
	if rng.IntN(2) == 0 {
		p.Aggregate.Window = &plan.Window{Every: plan.Nanos(250), CreateEmpty: rng.IntN(2) == 0}
	}
	return p
}

// ask returns the rows of an answer as text, a row a line, and how they came.
func ask(t testing.TB, d *Driver, p *plan.Plan) (rows string, explain string) {
	t.Helper()
	var out strings.Builder
	explain, err := d.Run(t.Context(), p, func(b *scan.Batch) error {
		for _, g := range b.Groups {
			for i := g.From; i < g.To; i++ {
				fmt.Fprintf(&out, "%s{%s}", b.Measurement, g.Key)
				for _, times := range [][]int64{b.Time, b.Start, b.Stop} {
					if times != nil {
						fmt.Fprintf(&out, " %d", times[i])
					}
				}
				for c := range b.Columns {
					rowText(&out, &b.Columns[c], i)
				}
				out.WriteByte('\n')
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), explain
}

func rowText(out *strings.Builder, c *scan.Column, i int) {
	fmt.Fprintf(out, " %s/%d/%s:%s=", c.Field, c.Call, c.Func, c.Type)
	switch {
	case !c.Valid.Get(i):
		out.WriteString("null")
	case c.Type == column.String:
		fmt.Fprintf(out, "%q", c.Str(i))
	default:
		fmt.Fprintf(out, "%x", c.Words[i])
	}
	if c.At != nil {
		fmt.Fprintf(out, "@%d", c.At[i])
	}
	if c.Series != nil {
		fmt.Fprintf(out, "{%s}", c.Series[i])
	}
	if c.Overflow != nil {
		fmt.Fprintf(out, " overflow %t", c.Overflow[i])
	}
}
