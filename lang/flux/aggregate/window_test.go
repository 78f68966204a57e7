package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

func windowIn(every, period, start, stop int64, createEmpty bool) *transform.Window {
	return &transform.Window{
		Every: value.Span{Nanos: every}, Period: value.Span{Nanos: period}, TimeColumn: "_time", StartColumn: "_start", StopColumn: "_stop",
		CreateEmpty: createEmpty, Bounds: flow.Bounds{Start: start, Stop: stop}, Bounded: true,
	}
}

func TestAggregateWindow(t *testing.T) {
	over := func(createEmpty bool, fn flow.Op, src string) *AggregateWindow {
		return &AggregateWindow{Window: windowIn(10, 10, 3, 38, createEmpty), Fn: fn, TimeSrc: src, TimeDst: "_time"}
	}
	const in = "*h:string *_start:time *_stop:time _time:time v:int s:string\na 3 38 5 1 p\na 3 38 9 3 q\na 3 38 22 _ r\na 3 38 31 7 s"
	const head = "*_start:time *_stop:time _time:time *h:string v:"
	const rows = "*_start:time *_stop:time _time:time *h:string s:string v:int\n"
	flowtest.Check(t, []flowtest.Case{
		{Name: "mean", Op: over(true, &Mean{v("v")}, "_stop"), In: in, Want: head + "float\n3 38 10 a 2\n3 38 20 a _\n3 38 30 a _\n3 38 38 a 7\n"},
		{Name: "mean without empty windows", Op: over(false, &Mean{v("v")}, "_stop"), In: in, Want: head + "float\n3 38 10 a 2\n3 38 30 a _\n3 38 38 a 7\n"},
		{Name: "count", Op: over(true, &Count{v("v")}, "_start"), In: in, Want: head + "int\n3 38 3 a 2\n3 38 10 a 0\n3 38 20 a 1\n3 38 30 a 1\n"},
		{Name: "last", Op: over(true, &Last{by("v")}, "_stop"), In: in, Want: rows + "3 38 10 a q 3\n3 38 20 a _ _\n3 38 30 a _ _\n3 38 38 a s 7\n"},
		{Name: "last without empty windows", Op: over(false, &Last{by("v")}, "_stop"), In: in, Want: rows + "3 38 10 a q 3\n3 38 38 a s 7\n"},
		{Name: "max at its time", Op: over(true, &Max{by("v")}, "_time"), In: in, Want: rows + "3 38 9 a q 3\n3 38 31 a s 7\n"},
		{
			Name: "tables of windows become one", Op: over(false, &Sum{v("v")}, "_start"), Want: head + "int\n3 38 3 a 3\n3 38 10 a 4\n",
			In: "*h:string *_start:time _time:time v:int\na 3 5 1\n\n*h:string *_start:time _time:time v:int\na 5 6 2\n\n*h:string *_start:time _time:time v:int\na 10 12 4",
		},
		{
			Name: "a time that is in the key", Op: over(false, &Sum{v("v")}, "_stop"), Want: "*_start:time *_stop:time *_time:time v:int\n3 38 10 1\n3 38 10 2\n\n*_start:time *_stop:time *_time:time v:int\n3 38 20 4\n",
			In: "*_time:time v:int\n5 1\n\n*_time:time v:int\n11 4\n\n*_time:time v:int\n6 2",
		},
		{Name: "strings", Op: over(true, &Mean{v("s")}, "_stop"), In: in, Err: "unsupported aggregate column type string"},
		{Name: "max of strings", Op: over(true, &Max{by("s")}, "_stop"), In: in, Err: "no implementation for type string"},
		{Name: "no column", Op: over(true, &Mean{v("w")}, "_stop"), In: in, Err: `column "w" does not exist`},
		{Name: "no column to select by", Op: over(true, &Max{by("w")}, "_stop"), In: in, Err: `no column "w" exists`},
		{Name: "no time to take", Op: over(true, &Max{by("v")}, "t"), In: in, Err: `column "t" doesn't exist`},
		{Name: "what is no time", Op: over(true, &Max{by("v")}, "v"), In: in, Err: "is of type int, not time"},
		{Name: "no times", Op: over(true, &Max{by("v")}, "_stop"), In: "v:int\n1", Err: `missing time column "_time"`},
	})
}

// graph is operators of one stream, one behind the other.
type graph []flow.Op

func (graph) Name() string    { return "graph" }
func (graph) Details() string { return "" }
func (g graph) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	r := in[0]
	for _, op := range g {
		var err error
		if r, err = op.Open(run, []table.Reader{r}); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// spelled returns the graph that a stands for.
func (a *AggregateWindow) spelled() graph {
	g := graph{a.Window, a.Fn}
	if a.Window.CreateEmpty {
		g = append(g, &transform.FillTables{})
	}
	all := *a.Window
	all.Every, all.Period = value.Span{Nanos: transform.Endless}, value.Span{Nanos: transform.Endless}
	all.TimeColumn, all.CreateEmpty = a.TimeDst, false
	return append(g, &transform.Duplicate{Column: a.TimeSrc, As: a.TimeDst}, &all)
}

// The operator must make what the graph makes, of any tables.
func TestAggregateWindowIsItsGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(-20, 20).Draw(t, "start")
		every := rapid.Int64Range(1, 30).Draw(t, "every")
		w := windowIn(every, rapid.Int64Range(1, 60).Draw(t, "period"), start, start+rapid.Int64Range(1, 100).Draw(t, "length"), rapid.Bool().Draw(t, "createEmpty"))
		w.Offset.Nanos = rapid.Int64Range(-10, 10).Draw(t, "offset")
		op := &AggregateWindow{Window: w, TimeDst: rapid.SampledFrom([]string{"_time", "at"}).Draw(t, "timeDst")}
		op.Fn = rapid.SampledFrom([]flow.Op{
			&Count{v("v")}, &Sum{v("v")}, &Mean{v("v")}, &Spread{v("v")}, &Stddev{v("v"), OfSample}, &Skew{v("v")},
			quantileOf(0.5, EstimateTDigest), quantileOf(0.7, ExactMean), &First{by("v")}, &Last{by("v")}, &Min{by("v")}, &Max{by("v")},
		}).Draw(t, "fn")
		sources := []string{"_start", "_stop"}
		if _, ok := op.Fn.(chooser); ok {
			sources = append(sources, "_time")
		}
		op.TimeSrc = rapid.SampledFrom(sources).Draw(t, "timeSrc")
		if !Fuses(op.Fn, w, op.TimeSrc, op.TimeDst) {
			t.Fatalf("%s is a graph", op.Details())
		}
		in := flowtest.Cut(drawTables(t), rapid.IntRange(0, 4).Draw(t, "pieces"))
		memory := &flowtest.Budget{}
		want, err := flowtest.Run(memory, op.spelled(), in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := flowtest.Run(memory, op, in)
		if err != nil {
			t.Fatal(err)
		}
		if g, w := sortedRows(got), sortedRows(want); g != w {
			t.Fatalf("%s made\n%s\nof\n%s\nwant\n%s", op.Details(), g, flowtest.Show(in), w)
		}
		if memory.Used != 0 {
			t.Fatalf("%d bytes were not given back", memory.Used)
		}
	})
}

// drawTables returns up to four tables, of which some differ in their bounds
// only.
func drawTables(t *rapid.T) []*table.Table {
	var all []*table.Table
	have := map[string]bool{}
	for range rapid.IntRange(1, 4).Draw(t, "tables") {
		key := table.NewKey([]string{"_start", "h"}, []value.Value{
			value.OfTime(rapid.Int64Range(0, 1).Draw(t, "bound")), value.OfString(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "h")),
		})
		if have[key.ID()] {
			continue
		}
		have[key.ID()] = true
		rows := rapid.IntRange(0, 12).Draw(t, "rows")
		times, values, texts := table.NewColumn("_time", value.Time), table.NewColumn("v", value.Int), table.NewColumn("s", value.String)
		at := int64(-20)
		sorted := rapid.Bool().Draw(t, "sorted")
		for range rows {
			if at += rapid.Int64Range(0, 20).Draw(t, "step"); !sorted {
				at = rapid.Int64Range(-30, 110).Draw(t, "time")
			}
			put := func(c *table.Column, v value.Value) {
				if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
					v = value.NullOf(v.Kind())
				}
				c.Append(v)
			}
			put(&times, value.OfTime(at))
			put(&values, value.OfInt(rapid.Int64Range(-5, 5).Draw(t, "v")))
			texts.Append(value.OfString(rapid.StringMatching("[xyz]").Draw(t, "s")))
		}
		if rapid.IntRange(0, 4).Draw(t, "keyed") == 0 {
			times = table.Constant("_time", value.OfTime(rapid.Int64Range(-30, 110).Draw(t, "time")))
			key = key.Set("_time", times.Value(0))
			if have[key.ID()] {
				continue
			}
			have[key.ID()] = true
		}
		all = append(all, (&table.Table{Key: key, Rows: rows, Cols: []table.Column{times, values, texts}}).WithKey(key))
	}
	return all
}

// sortedRows shows tables with their rows in order, and the tables too.
func sortedRows(tables []*table.Table) string {
	var all []string
	for _, t := range tables {
		if t.Rows == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(flowtest.Show([]*table.Table{t})), "\n")
		slices.Sort(lines[1:])
		all = append(all, strings.Join(lines, "\n"))
	}
	slices.Sort(all)
	return strings.Join(all, "\n\n")
}

// manyRows returns a table of a series in pieces of 4,096 rows, a row a second.
func manyRows(rows int) []*table.Table {
	key := table.NewKey([]string{"_start", "_stop", "host"}, []value.Value{value.OfTime(0), value.OfTime(int64(rows) * 1e9), value.OfString("h1")})
	times, values := make([]int64, rows), make([]float64, rows)
	for i := range times {
		times[i], values[i] = int64(i)*1e9, float64(i*7919%1000)
	}
	t := &table.Table{Key: key, Rows: rows, Cols: []table.Column{table.Times("_time", times), table.Floats("v", values)}}
	return flowtest.Cut([]*table.Table{t.WithKey(key)}, 4096)
}

func Benchmark(b *testing.B) {
	const rows = 1_000_000
	in := manyRows(rows)
	window := func(every int64) *transform.Window { return windowIn(every*1e9, every*1e9, 0, rows*1e9, true) }
	for _, c := range []struct {
		name string
		op   flow.Op
	}{
		{"sum", &Sum{v("v")}},
		{"mean", &Mean{v("v")}},
		{"max", &Max{by("v")}},
		{"stddev", &Stddev{v("v"), OfSample}},
		{"median", quantileOf(0.5, EstimateTDigest)},
		{"distinct", &Distinct{by("v")}},
		{"aggregateWindow/mean/1h", &AggregateWindow{window(3600), &Mean{v("v")}, "_stop", "_time"}},
		{"aggregateWindow/mean/1m", &AggregateWindow{window(60), &Mean{v("v")}, "_stop", "_time"}},
		{"aggregateWindow/mean/2s", &AggregateWindow{window(2), &Mean{v("v")}, "_stop", "_time"}},
		{"aggregateWindow/last/1m", &AggregateWindow{window(60), &Last{by("v")}, "_stop", "_time"}},
		{"graph/mean/1m", (&AggregateWindow{window(60), &Mean{v("v")}, "_stop", "_time"}).spelled()},
	} {
		b.Run(fmt.Sprint(c.name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := flowtest.Run(&flowtest.Budget{}, c.op, in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
