package exec

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/run/runtest"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
)

// each calls fn with the rows of every series of a run.
func each(t *testing.T, r run.Run, fn func(key []byte, rows *column.Rows)) {
	t.Helper()
	var names []string
	for _, f := range r.Meta().Fields {
		names = append(names, f.Name)
	}
	c, err := r.Cursor(names)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ords, err := r.Select(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := r.Keys()
	for _, ord := range ords {
		key, err := keys.Key(ord)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Seek(ord, column.MinTime, column.MaxTime); err != nil {
			t.Fatal(err)
		}
		var all column.Rows
		all.Reset(r.Meta().Fields)
		for {
			rows, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if rows == nil {
				break
			}
			all.Append(rows)
		}
		fn(key, &all)
	}
}

type blob struct{ *bytes.Reader }

// asSegment returns the rows of a run as a section of a segment.
func asSegment(t *testing.T, r run.Run) run.Run {
	t.Helper()
	var buf bytes.Buffer
	m := r.Meta()
	w := segment.NewWriter(&buf, segment.WriterOptions{BlockRows: 500, PartMin: m.MinTime, PartMax: m.MaxTime, MinSeq: m.MinSeq, MaxSeq: m.MaxSeq})
	if err := w.BeginSection("m", m.Fields); err != nil {
		t.Fatal(err)
	}
	each(t, r, func(key []byte, rows *column.Rows) {
		if err := w.Append(key, rows); err != nil {
			t.Fatal(err)
		}
	})
	if err := w.EndSection(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	rd, err := segment.Open(blob{bytes.NewReader(buf.Bytes())}, fmt.Sprint("segment", m.MinSeq, m.MinTime), segment.Caches{})
	if err != nil {
		t.Fatal(err)
	}
	sec, ok := rd.Section("m")
	if !ok {
		t.Fatal("the segment has no section")
	}
	return sec
}

// asMemtable returns the rows of a run as a view of a memtable.
func asMemtable(t *testing.T, r run.Run) run.Run {
	t.Helper()
	mem := memtable.New()
	seq := r.Meta().MaxSeq
	each(t, r, func(key []byte, rows *column.Rows) {
		table := &column.Table{Measurement: "m", Time: rows.Time, Row: make([]uint32, rows.Len()), TagKeys: []string{"host", "region"}}
		table.Series.Add(key, column.HashSeries("m", key))
		for i, f := range r.Meta().Fields {
			table.Fields = append(table.Fields, column.Field{Name: f.Name, Vector: rows.Cols[i]})
		}
		mem.Apply(0, &column.Batch{Tables: []*column.Table{table}}, seq, seq)
	})
	return mem.View(0, "m", seq)
}

// Segments and memtables give what the runs of tests give, long series with
// blocks, spans and late rows among them.
func TestSegmentsAndMemtables(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	points := func(from, to, every int64, share int) []runtest.Point {
		var out []runtest.Point
		for s := range 12 {
			for at := from; at < to; at += every {
				if rnd.IntN(100) >= share {
					continue
				}
				p := runtest.Point{Series: fmt.Sprintf("host=h%02d,region=r%d", s, s%3), Time: at, Fields: map[string]any{"f": float64(rnd.IntN(1000)) / 8}}
				if s%2 == 0 {
					p.Fields["i"] = rnd.Int64N(1000) - 500
				}
				if rnd.IntN(3) == 0 {
					p.Fields["s"] = fmt.Sprint("state", rnd.IntN(4))
				}
				if s%4 == 0 {
					p.Fields["u"], p.Fields["b"] = rnd.Uint64N(100), rnd.IntN(2) == 0
				}
				out = append(out, p)
			}
		}
		return out
	}
	minute := int64(time.Minute)
	type piece struct {
		points   []runtest.Point
		from, to int64
	}
	pieces := []piece{
		{points(begin, begin+day, minute, 100), begin, begin + day - 1},
		{points(begin+day/2, begin+day/2+day/8, minute, 3), begin, begin + day - 1},
		{points(begin+day, begin+2*day-day/4, minute, 95), begin + day, begin + 2*day - 1},
		{points(begin+2*day-day/4-3*minute, begin+2*day, minute, 95), begin + day, begin + 2*day - 1},
		{points(begin+2*day-10*minute, begin+2*day+day/16, minute, 90), column.MinTime, column.MaxTime},
	}
	deletes := []*tombstone.Tombstone{{Seq: 4, Min: begin + day/4, Max: begin + day/4 + day/16, Fields: []string{"f"}}}
	plain, stored := &snapshot{inputs: map[string][]shard.Input{}}, &snapshot{inputs: map[string][]shard.Input{}}
	for i, p := range pieces {
		r := runtest.New(p.points, runtest.Options{MinSeq: uint64(i + 1), MaxSeq: uint64(i + 1)})
		hidden, err := tombstone.Select(deletes, 0, "m", r.Meta().MinTime, r.Meta().MaxTime, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		in := shard.Input{Run: r, Hidden: hidden, PartMin: p.from, PartMax: p.to}
		plain.inputs["m"] = append(plain.inputs["m"], in)
		if i == len(pieces)-1 {
			in.Run = asMemtable(t, r)
		} else {
			in.Run = asSegment(t, r)
		}
		stored.inputs["m"] = append(stored.inputs["m"], in)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		var answers [2][]answer
		for i, s := range []*snapshot{plain, stored} {
			r, err := Run(context.Background(), p, []scan.Snapshot{s}, scan.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if answers[i], err = collect(r, p); err != nil {
				t.Fatal(err)
			}
			r.Close()
		}
		if d := cmp.Diff(answers[0], answers[1], cmp.AllowUnexported(answer{})); d != "" {
			t.Fatalf("result differs (-runs of tests +stored):\n%s\n%s", d, p)
		}
	})
	daily := plan.New(0, begin, begin+3*day)
	daily.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Mean, Field: "i"}}, Group: plan.BySeries()}
	daily.Total = plan.Page{Limit: 5}
	r, err := Run(context.Background(), daily, []scan.Snapshot{stored}, scan.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := collect(r, daily); err != nil {
		t.Fatal(err)
	}
	whole := *daily
	whole.Total = plan.Page{}
	w, err := Run(context.Background(), &whole, []scan.Snapshot{stored}, scan.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := collect(w, &whole); err != nil {
		t.Fatal(err)
	}
	if w.Stats().Spans == 0 {
		t.Error("no summary was used where the window covers all spans")
	}
	text := r.Explain()
	for _, want := range []string{"page: rows 0 to 4 (5 rows", "  scan: measurements 1, partitions 3, runs 5 (0 pruned), series 60, blocks ", "aggregate: mean(\"i\") by series"} {
		if !strings.Contains(text, want) {
			t.Errorf("explained plan lacks %q:\n%s", want, text)
		}
	}
}

// Last values from last spans are those of the rows: where another run ends at
// the same time or later, where a delete took the end, and where the last rows
// lack a field.
func TestLastSpans(t *testing.T) {
	point := func(host string, at int64, f any) runtest.Point {
		p := runtest.Point{Series: "host=" + host, Time: at, Fields: map[string]any{"g": int64(at)}}
		if f != nil {
			p.Fields["f"] = f
		}
		return p
	}
	var old, late []runtest.Point
	for at := range int64(100) {
		old = append(old, point("same", at, float64(at)), point("earlier", at, float64(at)), point("gone", at, float64(at)), point("alone", at, float64(at)))
		if at < 96 {
			old = append(old, point("sparse", at, float64(at)), point("later", at, float64(at)))
		} else {
			old = append(old, point("sparse", at, nil))
		}
		if at >= 90 {
			late = append(late, point("same", at, -float64(at)), point("later", at, -float64(at)))
			if at < 99 {
				late = append(late, point("earlier", at, -float64(at)))
			}
		}
	}
	deletes := []*tombstone.Tombstone{{Seq: 9, Min: 98, Max: 200, Where: predicate.Eq("host", "gone")}}
	summed := &snapshot{inputs: map[string][]shard.Input{}}
	plain := &snapshot{inputs: map[string][]shard.Input{}}
	for i, points := range [][]runtest.Point{old, late} {
		for _, s := range []struct {
			to   *snapshot
			span int
		}{{summed, 4}, {plain, 0}} {
			r := runtest.New(points, runtest.Options{MinSeq: uint64(i + 1), MaxSeq: uint64(i + 1), Span: s.span})
			hidden, err := tombstone.Select(deletes, 0, "m", r.Meta().MinTime, r.Meta().MaxTime, uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			s.to.inputs["m"] = append(s.to.inputs["m"], shard.Input{Run: r, Hidden: hidden, PartMin: 0, PartMax: 1000})
		}
	}
	for _, stop := range []int64{1000, 100, 99, 98, 95, 50} {
		for _, group := range []plan.Group{plan.BySeries(), plan.ByTags("host"), plan.ByTags()} {
			p := plan.New(0, 0, stop)
			p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last, Field: "f"}}, Group: group}
			var answers [2][]answer
			spans := int64(0)
			for i, s := range []*snapshot{plain, summed} {
				r, err := Run(context.Background(), p, []scan.Snapshot{s}, scan.Config{})
				if err != nil {
					t.Fatal(err)
				}
				if answers[i], err = collect(r, p); err != nil {
					t.Fatal(err)
				}
				spans = r.Stats().Spans
				r.Close()
			}
			if d := cmp.Diff(answers[0], answers[1], cmp.AllowUnexported(answer{})); d != "" {
				t.Errorf("before %d, %v: result differs (-rows +spans):\n%s", stop, group, d)
			}
			if stop == 1000 && spans == 0 {
				t.Errorf("%v: no span was used", group)
			}
		}
	}
}
