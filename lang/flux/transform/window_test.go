package transform

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

func ns(n int64) value.Span { return value.Span{Nanos: n} }

// windowIn returns a window of the usual columns over a range.
func windowIn(every, period int64, start, stop int64) *Window {
	return &Window{
		Every: ns(every), Period: ns(period), TimeColumn: "_time", StartColumn: "_start", StopColumn: "_stop",
		Bounds: flow.Bounds{Start: start, Stop: stop}, Bounded: true,
	}
}

func changed(w *Window, change func(*Window)) *Window {
	change(w)
	return w
}

func TestWindows(t *testing.T) {
	endless := windowIn(Endless, Endless, 0, 30)
	flowtest.Check(t, []flowtest.Case{
		{
			Name: "cut to the range", In: "*h:string _time:time n:int\na 5 1\na 9 2\na 10 3\na 27 4\na _ 5\na 40 6", Op: windowIn(10, 10, 3, 28),
			Want: "*_start:time *_stop:time _time:time *h:string n:int\n3 10 5 a 1\n3 10 9 a 2\n\n" +
				"*_start:time *_stop:time _time:time *h:string n:int\n10 20 10 a 3\n\n" +
				"*_start:time *_stop:time _time:time *h:string n:int\n20 28 27 a 4\n",
		},
		{
			Name: "tables that differ in their bounds only become one", In: "*h:string *_start:time _time:time\na 0 5\n\n*h:string *_start:time _time:time\na 1 6",
			Op:   windowIn(10, 10, 0, 30),
			Want: "*_start:time *_stop:time _time:time *h:string\n0 10 5 a\n0 10 6 a\n",
		},
		{
			Name: "rows in no order", In: "_time:time\n25\n5\n26\n6", Op: windowIn(10, 10, 0, 30),
			Want: "*_start:time *_stop:time _time:time\n20 30 25\n20 30 26\n\n*_start:time *_stop:time _time:time\n0 10 5\n0 10 6\n",
		},
		{
			Name: "windows that overlap", In: "_time:time\n12", Op: windowIn(10, 25, 0, 30),
			// That from -10 on is cut to the start; that from 10 on to the end.
			Want: "*_start:time *_stop:time _time:time\n0 15 12\n\n*_start:time *_stop:time _time:time\n0 25 12\n\n*_start:time *_stop:time _time:time\n10 30 12\n",
		},
		{
			Name: "windows that are the same once they are cut are one", In: "_time:time\n12", Op: windowIn(10, 60, 0, 30),
			Want: "*_start:time *_stop:time _time:time\n0 20 12\n\n*_start:time *_stop:time _time:time\n0 30 12\n\n*_start:time *_stop:time _time:time\n10 30 12\n",
		},
		{
			Name: "gaps", In: "_time:time\n2\n7\n12", Op: windowIn(10, 5, 0, 30),
			Want: "*_start:time *_stop:time _time:time\n0 5 2\n\n*_start:time *_stop:time _time:time\n10 15 12\n",
		},
		{
			Name: "a negative period goes back from the grid", In: "_time:time\n2\n7\n12", Op: windowIn(10, -5, 0, 30),
			Want: "*_start:time *_stop:time _time:time\n5 10 7\n",
		},
		{
			Name: "empty windows", In: "*h:string _time:time\na 12", Op: changed(windowIn(10, 10, 0, 25), func(w *Window) { w.CreateEmpty = true }),
			Want: "*_start:time *_stop:time _time:time *h:string\n\n*_start:time *_stop:time _time:time *h:string\n10 20 12 a\n\n*_start:time *_stop:time _time:time *h:string\n",
		},
		{
			Name: "one window of everything", In: "*_start:time *_stop:time h:string _time:time\n0 10 a 10\n\n*_start:time *_stop:time h:string _time:time\n10 20 b 40", Op: endless,
			Want: "*_start:time *_stop:time _time:time h:string\n0 30 10 a\n0 30 40 b\n",
		},
		{
			Name: "other columns", In: "t:time a:string\n12 x",
			Op:   changed(windowIn(10, 10, 0, 30), func(w *Window) { w.TimeColumn, w.StartColumn, w.StopColumn = "t", "a", "b" }),
			Want: "*a:time *b:time t:time\n10 20 12\n",
		},
		{Name: "without times", In: "n:int\n1", Op: windowIn(10, 10, 0, 30), Err: `missing time column "_time"`},
		{Name: "times of another kind", In: "_time:int\n1", Op: windowIn(10, 10, 0, 30), Err: "is of type int, not time"},
		{
			Name: "without a range", In: "_time:time\n12", Op: changed(windowIn(10, 10, 0, 0), func(w *Window) { w.Bounded = false }),
			Want: "*_start:time *_stop:time _time:time\n10 20 12\n",
		},
		{
			Name: "empty windows without a range", In: "_time:time\n12",
			Op:  changed(windowIn(10, 10, 0, 0), func(w *Window) { w.Bounded, w.CreateEmpty = false, true }),
			Err: "nil bounds passed to window; use range to set the window range",
		},
		{
			Name: "months and nanoseconds", In: "_time:time\n12", Err: "cannot mix month and nanosecond units",
			Op: changed(windowIn(10, 10, 0, 30), func(w *Window) { w.Every.Months = 1 }),
		},
		{Name: "going back", In: "_time:time\n12", Op: windowIn(-10, -10, 0, 30), Err: "must be positive"},
	})
}

func TestClockOperators(t *testing.T) {
	hour := int64(time.Hour)
	day := func(hours ...int64) string {
		text := "_time:time\n"
		for _, h := range hours {
			text += fmt.Sprintf("%d\n", h*hour+17)
		}
		return text
	}
	flowtest.Check(t, []flowtest.Case{
		{Name: "hours", In: day(1, 9, 17, 18, 33), Op: &HourSelection{First: 9, Last: 17, TimeColumn: "_time"}, Want: day(9, 17, 33)},
		{Name: "hours over midnight", In: day(1, 9, 17, 22), Op: &HourSelection{First: 22, Last: 3, TimeColumn: "_time"}, Want: day(1, 22)},
		{Name: "hours of a zone", In: day(1, 9), Op: &HourSelection{First: 10, Last: 10, TimeColumn: "_time", Zone: "Europe/Berlin"}, Want: day(9)},
		{Name: "hours of an offset", In: day(1, 9), Op: &HourSelection{First: 7, Last: 7, TimeColumn: "_time", Offset: ns(-2 * hour)}, Want: day(9)},
		{Name: "truncate", In: "_time:time n:int\n12 1\n_ 2\n19 3\n-1 4", Op: &TruncateTime{Unit: ns(10), TimeColumn: "_time"}, Want: "_time:time n:int\n10 1\n_ 2\n10 3\n-10 4\n"},
		{
			Name: "truncate the key", In: "*_time:time n:int\n12 1\n\n*_time:time n:int\n13 2", Op: &TruncateTime{Unit: ns(10), TimeColumn: "_time"},
			Want: "*_time:time n:int\n10 1\n10 2\n",
		},
		{Name: "truncate to nothing", In: "_time:time\n1", Op: &TruncateTime{TimeColumn: "_time"}, Err: "must be positive"},
	})
}

// At must agree with a walk along all windows.
func TestGridFindsAllWindowsOfATime(t *testing.T) {
	for _, w := range []*Window{
		windowIn(10, 10, 3, 97), windowIn(10, 35, -20, 97), windowIn(10, 4, 3, 97), windowIn(7, -20, 3, 97), windowIn(10, 300, 3, 97),
	} {
		g, err := w.Grid()
		if err != nil {
			t.Fatal(err)
		}
		run := flowtest.NewRun(&flowtest.Budget{})
		for at := w.Bounds.Start - 5; at < w.Bounds.Stop+5; at++ {
			var want, got []int64
			if at >= w.Bounds.Start && at < w.Bounds.Stop {
				_ = g.Each(run, func(i int64) error {
					if start, stop := g.Bounds(i); start <= at && at < stop {
						want = append(want, i)
					}
					return nil
				})
			}
			p := g.At(at)
			_ = g.EachOf(run, &p, func(i int64) error { got = append(got, i); return nil })
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %d is in windows %v: want %v", w.Details(), at, got, want)
			}
			if !p.Holds(at) {
				t.Errorf("%s: the place of %d is %+v", w.Details(), at, p)
			}
			for _, other := range []int64{p.From, p.To - 1} {
				q := g.At(other)
				if other > math.MinInt64 && other < math.MaxInt64-1 && (q.First != p.First || q.Last != p.Last) {
					t.Errorf("%s: %d and %d are said to be in the same windows: %+v and %+v", w.Details(), at, other, p, q)
				}
			}
		}
	}
}

func TestWindowKeepsToMemory(t *testing.T) {
	w := windowIn(1, 1, 0, 1<<40)
	w.CreateEmpty = true
	_, err := flowtest.Run(&flowtest.Budget{Limit: 1 << 20}, w, flowtest.Parse(t, "_time:time\n1"))
	if err == nil {
		t.Error("a trillion empty windows fit into a megabyte")
	}
}

// Nothing walks along windows that are more than it may keep.
func TestLongPeriods(t *testing.T) {
	const year = 365 * 24 * int64(time.Hour)
	for _, period := range []int64{year, -year} {
		w := windowIn(1, period, 0, 2*year)
		if _, err := flowtest.Run(&flowtest.Budget{Limit: 1 << 20}, w, flowtest.Parse(t, fmt.Sprintf("_time:time\n%d", year))); err == nil {
			t.Error("a year of windows of a nanosecond fits into a megabyte")
		}
		// All windows that a short range has are the same, but for one or two.
		w = windowIn(1, period, 100, 102)
		got, err := flowtest.Run(&flowtest.Budget{}, w, flowtest.Parse(t, "_time:time\n101"))
		if err != nil || len(got) > 2 {
			t.Errorf("%d windows, %v", len(got), err)
		}
	}
}

// manyRows returns a table of a series in pieces of 4,096 rows, a row a second.
func manyRows(rows int) []*table.Table {
	key := table.NewKey([]string{"_start", "_stop", "host"}, []value.Value{value.OfTime(0), value.OfTime(int64(rows) * 1e9), value.OfString("h1")})
	times, values := make([]int64, rows), make([]float64, rows)
	for i := range times {
		times[i], values[i] = int64(i)*1e9, float64(i%1000)
	}
	t := &table.Table{Key: key, Rows: rows, Cols: []table.Column{table.Times("_time", times), table.Floats("_value", values)}}
	return flowtest.Cut([]*table.Table{t.WithKey(key)}, 4096)
}

func BenchmarkWindow(b *testing.B) {
	const rows = 1_000_000
	in := manyRows(rows)
	w := windowIn(60e9, 60e9, 0, rows*1e9)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flowtest.Run(&flowtest.Budget{}, w, in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
