package scan_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/shard"
)

// fleet is the data of benchmarks: hosts with integer fields that walk between
// 0 and 100, cut into partitions.
type fleet struct {
	hosts, fields int
	rows          int // of each host in a partition
	partitions    int
	step          int64
	keys          [][]byte
	stopped       int // every how many hosts one has only the oldest partition; 0: none
}

var benchStart = int64(1_700_006_400) * 1e9 // a midnight

func (f *fleet) infos() []column.FieldInfo {
	var out []column.FieldInfo
	for i := range f.fields {
		out = append(out, column.FieldInfo{Name: fmt.Sprintf("usage_%d", i), Type: column.Int64})
	}
	return out
}

func (f *fleet) makeKeys() {
	for i := range f.hosts {
		f.keys = append(f.keys, fmt.Appendf(nil, "datacenter=eu-central-1%c,hostname=host_%d,os=Ubuntu16.%d,rack=%d,region=eu-central-1,team=%s",
			'a'+i%3, i, i%2*5+4, i%97, []string{"NYC", "LON", "SF", "CHI"}[i%4]))
	}
	slices.SortFunc(f.keys, bytes.Compare)
}

func (f *fleet) length() int64 { return int64(f.rows) * f.step }

// fill makes the rows of a host in a partition.
func (f *fleet) fill(r *column.Rows, infos []column.FieldInfo, host, partition int) {
	r.Reset(infos)
	start := benchStart + int64(partition)*f.length()
	for i := range f.rows {
		r.Time = append(r.Time, start+int64(i)*f.step)
	}
	rnd := rand.New(rand.NewPCG(uint64(host), uint64(partition)))
	for c := range r.Cols {
		v := rnd.Float64() * 100
		for range f.rows {
			v = min(max(v+rnd.NormFloat64(), 0), 100)
			r.Cols[c].AppendWord(uint64(int64(v)))
		}
	}
}

type blob struct{ *bytes.Reader }

// benchSnapshot is a shard of segments, or of one memtable.
type benchSnapshot struct{ inputs []shard.Input }

func (s *benchSnapshot) Runs(_ uint64, _ string, lo, hi int64) ([]shard.Input, error) {
	var out []shard.Input
	for _, in := range s.inputs {
		if m := in.Run.Meta(); m.MinTime <= hi && m.MaxTime >= lo {
			out = append(out, in)
		}
	}
	return out, nil
}

func (s *benchSnapshot) Measurements(uint64, int64, int64) ([]string, error) {
	return []string{"cpu"}, nil
}

func (f *fleet) segments(b testing.TB) *benchSnapshot {
	f.makeKeys()
	infos := f.infos()
	s := &benchSnapshot{}
	var r column.Rows
	for p := range f.partitions {
		var buf bytes.Buffer
		lo := benchStart + int64(p)*f.length()
		w := segment.NewWriter(&buf, segment.WriterOptions{PartMin: lo, PartMax: lo + f.length() - 1, MinSeq: uint64(p + 1), MaxSeq: uint64(p + 1)})
		check(b, w.BeginSection("cpu", infos))
		for h, key := range f.keys {
			if f.stopped > 0 && h%f.stopped == 0 && p > 0 {
				continue
			}
			f.fill(&r, infos, h, p)
			check(b, w.Append(key, &r))
		}
		check(b, w.EndSection())
		_, err := w.Finish()
		check(b, err)
		rd, err := segment.Open(blob{bytes.NewReader(buf.Bytes())}, fmt.Sprintf("s%d", p), segment.Caches{})
		check(b, err)
		sec, _ := rd.Section("cpu")
		s.inputs = append(s.inputs, shard.Input{Run: sec, PartMin: lo, PartMax: lo + f.length() - 1})
	}
	return s
}

func (f *fleet) memtable(b testing.TB) *benchSnapshot {
	f.makeKeys()
	infos := f.infos()
	mem := memtable.New()
	var r column.Rows
	for h, key := range f.keys {
		f.fill(&r, infos, h, 0)
		t := &column.Table{Measurement: "cpu", Time: slices.Clone(r.Time), TagKeys: []string{"datacenter", "hostname", "os", "rack", "region", "team"}}
		t.Series.Add(key, column.HashSeries("cpu", key))
		t.Row = make([]uint32, len(r.Time))
		for i, info := range infos {
			t.Fields = append(t.Fields, column.Field{Name: info.Name, Vector: r.Cols[i]})
		}
		mem.Apply(0, &column.Batch{Tables: []*column.Table{t}}, uint64(h+1), uint64(h+1))
	}
	v := mem.View(0, "cpu", uint64(f.hosts+1))
	return &benchSnapshot{inputs: []shard.Input{{Run: v, PartMin: v.Meta().MinTime, PartMax: v.Meta().MaxTime}}}
}

func check(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func measure(b *testing.B, s *benchSnapshot, p *plan.Plan, rows int) {
	b.Helper()
	b.ReportAllocs()
	n := 0
	var stats scan.Stats
	for b.Loop() {
		sc, err := scan.Open(context.Background(), p, []scan.Snapshot{s}, scan.Config{})
		check(b, err)
		n = 0
		for {
			batch, err := sc.Next()
			check(b, err)
			if batch == nil {
				break
			}
			n += batch.Rows()
		}
		stats = sc.Stats()
		sc.Close()
	}
	if n == 0 {
		b.Fatalf("no rows: %s", stats)
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms/op")
	if testing.Verbose() {
		b.Logf("%d rows: %s", n, stats)
	}
}

func hourlyMeans(fields int, group plan.Group) *plan.Plan {
	p := plan.New(0, benchStart, benchStart+int64(12*time.Hour))
	p.Measurements = []string{"cpu"}
	p.Aggregate = &plan.Aggregate{Window: &plan.Window{Every: plan.Nanos(time.Hour)}, Group: group}
	for i := range fields {
		p.Aggregate.Calls = append(p.Aggregate.Calls, plan.Call{Func: plan.Mean, Field: fmt.Sprintf("usage_%d", i)})
	}
	return p
}

func BenchmarkHourlyMean(b *testing.B) {
	f := &fleet{hosts: 100, fields: 10, rows: 8640, partitions: 1, step: 1e10}
	seg := f.segments(b)
	g := &fleet{hosts: 100, fields: 10, rows: 4320, partitions: 1, step: 1e10}
	mem := g.memtable(b)
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprintf("segment/fields=%d", n), func(b *testing.B) { measure(b, seg, hourlyMeans(n, plan.BySeries()), 432000) })
		b.Run(fmt.Sprintf("memtable/fields=%d", n), func(b *testing.B) { measure(b, mem, hourlyMeans(n, plan.BySeries()), 432000) })
	}
	p := hourlyMeans(1, plan.BySeries())
	p.Aggregate.Window.Offset = plan.Nanos(7 * time.Minute) // no summary helps
	b.Run("segment/unaligned", func(b *testing.B) { measure(b, seg, p, 432000) })
	b.Run("segment/all", func(b *testing.B) { measure(b, seg, hourlyMeans(1, plan.ByTags()), 432000) })
}

func BenchmarkOneSeries(b *testing.B) {
	f := &fleet{hosts: 100, fields: 10, rows: 8640, partitions: 4, step: 1e10}
	s := f.segments(b)
	g := &fleet{hosts: 100, fields: 10, rows: 1000, partitions: 1, step: 1e10}
	s.inputs = append(s.inputs, g.memtable(b).inputs...)
	p := plan.New(0, benchStart+int64(time.Hour), benchStart+int64(2*time.Hour))
	p.Tags = predicate.Eq("hostname", "host_17")
	p.Aggregate = &plan.Aggregate{
		Calls:  []plan.Call{{Func: plan.Max, Field: "usage_3"}},
		Window: &plan.Window{Every: plan.Nanos(time.Minute)}, Group: plan.BySeries(),
	}
	b.Run("hour", func(b *testing.B) { measure(b, s, p, 360) })
	q := *p
	q.Stop = benchStart + 4*f.length()
	b.Run("four-partitions", func(b *testing.B) { measure(b, s, &q, 4*8640) })
}

func BenchmarkFilter(b *testing.B) {
	f := &fleet{hosts: 100, fields: 2, rows: 100_000, partitions: 1, step: 1e9}
	s := f.segments(b)
	p := plan.New(0, benchStart, benchStart+f.length())
	p.Where = plan.Compare("usage_0", plan.Gt, plan.Int(99))
	p.Rows = &plan.Rows{Fields: []string{"usage_1"}}
	b.Run("walk", func(b *testing.B) { measure(b, s, p, 10_000_000) })
	p2 := *p
	p2.Rows = &plan.Rows{Fields: []string{"usage_0"}}
	b.Run("same", func(b *testing.B) { measure(b, s, &p2, 10_000_000) })
}

func BenchmarkLast(b *testing.B) {
	for _, rows := range []int{360, 2000} {
		f := &fleet{hosts: 4000, fields: 2, rows: rows, partitions: 1, step: 1e10}
		s := f.segments(b)
		p := plan.New(0, benchStart, benchStart+f.length())
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last, Field: "usage_0"}}, Group: plan.BySeries()}
		b.Run(fmt.Sprintf("segment/rows=%d", rows), func(b *testing.B) { measure(b, s, p, 4000) })
		q := *p
		q.Aggregate = &plan.Aggregate{Calls: p.Aggregate.Calls, Group: plan.ByTags("hostname")}
		b.Run(fmt.Sprintf("segment/hosts/rows=%d", rows), func(b *testing.B) { measure(b, s, &q, 4000) })
	}
	f := &fleet{hosts: 4000, fields: 2, rows: 60, partitions: 1, step: 1e10}
	p := plan.New(0, benchStart, benchStart+f.length())
	p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last, Field: "usage_0"}}, Group: plan.BySeries()}
	m := f.memtable(b)
	b.Run("memtable/rows=60", func(b *testing.B) { measure(b, m, p, 4000) })
}

func BenchmarkMillion(b *testing.B) {
	f := &fleet{hosts: 1_000_000, fields: 1, rows: 1, partitions: 30, step: int64(24 * time.Hour), stopped: 10}
	s := f.segments(b)
	p := plan.New(0, benchStart, benchStart+30*f.length())
	p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last, Field: "usage_0"}}, Group: plan.BySeries()}
	b.Run("last", func(b *testing.B) { measure(b, s, p, 1_000_000) })
	q := plan.New(0, benchStart, benchStart+30*f.length())
	q.List = &plan.List{What: plan.TagValues, Tag: "rack"}
	b.Run("values", func(b *testing.B) { measure(b, s, q, 1_000_000) })
	r := *q
	r.List = &plan.List{What: plan.TagValues, Tag: "hostname"}
	b.Run("hostnames", func(b *testing.B) { measure(b, s, &r, 1_000_000) })
}
