package series

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// freely is memory without a limit.
type freely struct{}

func (freely) Reserve(int64) error { return nil }
func (freely) Release(int64)       {}

// sample makes a table with a value each ten seconds of values with commas
// between them, of which empty ones are null. Its key is tag=t1.
func sample(t testing.TB, kind value.Kind, values string) *table.Table {
	t.Helper()
	b := table.NewBuilder(table.NewKey([]string{"tag"}, []value.Value{value.OfString("t1")}))
	at, _ := b.Column("_time", value.Time)
	v, _ := b.Column("_value", kind)
	for i, text := range strings.Split(values, ",") {
		if values == "" {
			break
		}
		b.Set(at, value.OfTime(int64(i)*10*int64(time.Second)))
		cell := value.NullOf(kind)
		if text != "" {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			switch kind {
			case value.Int:
				cell = value.OfInt(int64(f))
			case value.Uint:
				cell = value.OfUint(uint64(f))
			default:
				cell = value.OfFloat(f)
			}
		}
		b.Set(v, cell)
		b.EndRow()
	}
	return b.Table()
}

// render renders the rows of tables like 10:5 20:null, seconds and the value of
// a column.
func render(tables []*table.Table, column string) string {
	var rows []string
	for _, t := range tables {
		c, at := t.Col(column), t.Col("_time")
		for i := range t.Rows {
			text := "null"
			if !c.Null(i) {
				text = c.Value(i).Text()
				if c.Kind == value.Float {
					text = fmt.Sprintf("%.10g", c.Float(i))
				}
			}
			if at != nil {
				text = fmt.Sprintf("%d:", at.Int(i)/int64(time.Second)) + text
			}
			rows = append(rows, text)
		}
	}
	return strings.Join(rows, " ")
}

// apply runs an operator over tables.
func apply(op flow.Op, in ...*table.Table) ([]*table.Table, error) {
	run := flow.NewRun(context.Background(), freely{}, time.Unix(0, 0))
	out, err := op.Open(run, []table.Reader{table.NewList(in...)})
	if err != nil {
		return nil, err
	}
	defer out.Close()
	var all []*table.Table
	for {
		t, err := out.Next()
		if t == nil || err != nil {
			return all, err
		}
		if t.Key.String() != "{tag=t1}" {
			return nil, fmt.Errorf("key is %s", t.Key)
		}
		all = append(all, t)
	}
}

const (
	plain = "-2,10,7,17,15,4"
	gappy = "-2,,7,,,4"
	late  = ",4,-3,19,,1"
	other = "19,4,-3,19,13,1"
)

// TestRows compares what operators make of short tables with what their
// documentation says, with the table in one piece and cut anywhere.
func TestRows(t *testing.T) {
	seconds := value.Span{Nanos: int64(time.Second)}
	columns := []string{"_value"}
	above := func(limit int64) *value.Func {
		return &value.Func{Params: []value.Param{{Name: "r", Kinds: value.AnyKind}}, Do: func(c *value.Call) (value.Value, error) {
			v, _ := c.Args[0].Record().Get("_value")
			return value.Greater.Apply(v, value.OfInt(limit))
		}}
	}
	for _, test := range []struct {
		op     flow.Op
		kind   value.Kind
		in     string
		want   string
		column string // empty: _value
	}{
		{op: &Difference{Columns: columns}, kind: value.Int, in: plain, want: "10:12 20:-3 30:10 40:-2 50:-11"},
		{op: &Difference{Columns: columns}, kind: value.Float, in: "1.5,2,1", want: "10:0.5 20:-1"},
		{op: &Difference{Columns: columns}, kind: value.Uint, in: "5,2,9", want: "10:-3 20:7"},
		{op: &Difference{Columns: columns, NonNegative: true}, kind: value.Int, in: plain, want: "10:12 20:null 30:10 40:null 50:null"},
		{op: &Difference{Columns: columns, NonNegative: true, InitialZero: true}, kind: value.Int, in: other, want: "10:4 20:null 30:22 40:13 50:1"},
		{op: &Difference{Columns: columns}, kind: value.Int, in: gappy, want: "10:null 20:9 30:null 40:null 50:-3"},
		{op: &Difference{Columns: columns}, kind: value.Int, in: late, want: "10:null 20:-7 30:22 40:null 50:-18"},
		{op: &Difference{Columns: columns, KeepFirst: true}, kind: value.Int, in: "1,3", want: "0:null 10:2"},
		{op: &Difference{Columns: columns}, kind: value.Int, in: "7", want: ""},
		{op: &Derivative{Columns: columns, TimeColumn: "_time", Unit: seconds, NonNegative: true}, kind: value.Int, in: plain, want: "10:1.2 20:null 30:1 40:null 50:null"},
		{op: &Derivative{Columns: columns, TimeColumn: "_time", Unit: seconds}, kind: value.Int, in: gappy, want: "10:null 20:0.45 30:null 40:null 50:-0.1"},
		{op: &Derivative{Columns: columns, TimeColumn: "_time", Unit: seconds}, kind: value.Int, in: late, want: "10:null 20:-0.7 30:2.2 40:null 50:-0.9"},
		{op: &Derivative{Columns: columns, TimeColumn: "_time", Unit: seconds.Times(60), NonNegative: true, InitialZero: true}, kind: value.Uint, in: "9,4,6", want: "10:24 20:12"},
		{op: &CumulativeSum{Columns: columns}, kind: value.Int, in: plain, want: "0:-2 10:8 20:15 30:32 40:47 50:51"},
		{op: &CumulativeSum{Columns: columns}, kind: value.Int, in: late, want: "0:0 10:4 20:1 30:20 40:20 50:21"},
		{op: &Elapsed{Unit: seconds, TimeColumn: "_time", Column: "e"}, kind: value.Int, in: "1,2,3", want: "10:10 20:10", column: "e"},
		{op: &MovingAverage{N: 3}, kind: value.Int, in: plain, want: "20:5 30:11.33333333 40:13 50:12"},
		{op: &MovingAverage{N: 3}, kind: value.Int, in: gappy, want: "20:2.5 30:7 40:7 50:4"},
		{op: &MovingAverage{N: 3}, kind: value.Int, in: late, want: "20:0.5 30:6.666666667 40:8 50:10"},
		{op: &MovingAverage{N: 2}, kind: value.Float, in: "1,,,3", want: "10:1 20:null 30:3"},
		{op: &MovingAverage{N: 9}, kind: value.Int, in: "1,2,6", want: "20:3"},
		{op: &MovingAverage{N: 2}, kind: value.Float, in: "Inf,1,2,4", want: "10:+Inf 20:1.5 30:3"},
		{op: &Exponential{N: 3}, kind: value.Int, in: plain, want: "20:5 30:11 40:13 50:8.5"},
		{op: &Exponential{N: 3}, kind: value.Int, in: gappy, want: "20:2.5 30:2.5 40:2.5 50:3.25"},
		{op: &Exponential{N: 3}, kind: value.Int, in: late, want: "20:0.5 30:9.75 40:9.75 50:5.375"},
		{op: &Exponential{N: 9}, kind: value.Int, in: "1,2,6", want: "20:3"},
		{op: &Exponential{N: 2}, kind: value.Int, in: ",,4,7", want: "10:null 20:4 30:6"},
		{op: &Exponential{N: 3, Made: Double}, kind: value.Int, in: plain, want: "40:16.33333333 50:7.916666667"},
		{op: &Exponential{N: 3, Made: Double}, kind: value.Int, in: other, want: "40:15.02777778 50:5.034722222"},
		{op: &Exponential{N: 4, Made: Double}, kind: value.Int, in: "1,2", want: "10:NaN"},
		{op: &Exponential{N: 1, Made: Triple}, kind: value.Int, in: "1,2", want: "0:1 10:2"},
		{op: &Exponential{N: 1, Made: TripleDerivative}, kind: value.Int, in: "1,2,3", want: "10:100 20:50"},
		{op: &Exponential{N: 3, Made: TripleDerivative}, kind: value.Int, in: "1,2,3", want: "20:NaN"},
		{op: &Momentum{N: 3, Columns: columns, Of: Efficiency}, kind: value.Int, in: plain, want: "30:0.76 40:0.3333333333 50:0.1304347826"},
		{op: &Momentum{N: 3, Columns: columns, Of: Efficiency}, kind: value.Int, in: other, want: "30:0 40:0.2571428571 50:0.1"},
		{op: &Momentum{N: 3, Columns: columns, Of: Adaptive}, kind: value.Int, in: plain, want: "30:9.72641184 40:10.09740102 50:9.972614968"},
		{op: &Momentum{N: 3, Columns: columns, Of: Adaptive}, kind: value.Int, in: other, want: "30:-2.90842872 40:-2.142970089 50:-2.094072176"},
		{op: &Momentum{N: 3, Columns: columns, Of: Strength}, kind: value.Int, in: plain, want: "30:84.375 40:73.97260274 50:36.67232598"},
		{op: &Momentum{N: 3, Columns: columns, Of: Strength}, kind: value.Int, in: other, want: "30:70.27027027 40:59.42857143 50:40.625"},
		{op: &Momentum{N: 2, Columns: columns, Of: Chande}, kind: value.Int, in: "1,2,3,3,3,2", want: "20:100 30:100 40:0 50:-100"},
		{op: &Momentum{N: 3, Columns: columns, Of: Chande}, kind: value.Int, in: "1,2", want: ""},
		{op: &StateTracking{Fn: above(6), CountColumn: "n"}, kind: value.Int, in: plain, want: "0:-1 10:1 20:2 30:3 40:4 50:-1", column: "n"},
		{op: &StateTracking{Fn: above(6), DurationColumn: "d", DurationUnit: seconds, TimeColumn: "_time"}, kind: value.Int, in: plain, want: "0:-1 10:0 20:10 30:20 40:30 50:-1", column: "d"},
		{op: &StateTracking{Fn: above(6), CountColumn: "n"}, kind: value.Int, in: gappy, want: "0:-1 10:-1 20:1 30:-1 40:-1 50:-1", column: "n"},
		{op: &TimeShift{Duration: seconds.Times(-5), Columns: []string{"_time"}}, kind: value.Int, in: "1,2", want: "-5:1 5:2"},
		{op: &Histogram{Column: "_value", CountColumn: "_value", UpperBoundColumn: "le", Bins: []float64{0, 5, 10, 20}}, kind: value.Float, in: "-2.18,10.92,7.35,17.53,15.23,4.43,", want: "1 2 3 6"},
		{op: &Histogram{Column: "_value", CountColumn: "_value", UpperBoundColumn: "le", Bins: []float64{20, 5}, Normalize: true}, kind: value.Float, in: "5,7", want: "0.5 1"},
		{op: &Interpolate{Every: seconds.Times(4)}, kind: value.Float, in: "10,20,10", want: "0:10 4:14 8:18 10:20 12:18 16:14 20:10"},
	} {
		in := sample(t, test.kind, test.in)
		column := test.column
		if column == "" {
			column = "_value"
		}
		name := test.op.Name() + " " + test.op.Details() + " of " + test.in
		for cut := range max(in.Rows, 1) {
			pieces := []*table.Table{in}
			if cut > 0 {
				pieces = []*table.Table{in.Slice(0, cut), in.Slice(cut, in.Rows)}
			}
			out, err := apply(test.op, pieces...)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if got := render(out, column); got != test.want {
				t.Errorf("%s, cut at %d:\n got %s\nwant %s", name, cut, got, test.want)
			}
		}
	}
}

// TestSeparateTables tells that nothing of a table is left when the next begins.
func TestSeparateTables(t *testing.T) {
	a, b := sample(t, value.Int, "1,2"), sample(t, value.Int, "100,101")
	b.Key = table.NewKey([]string{"tag"}, []value.Value{value.OfString("t2")})
	b = b.With(table.Constant("tag", value.OfString("t2")))
	run := flow.NewRun(context.Background(), freely{}, time.Unix(0, 0))
	in := table.NewList(a, b)
	out, err := (&MovingAverage{N: 3}).Open(run, []table.Reader{in})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for {
		piece, err := out.Next()
		if err != nil {
			t.Fatal(err)
		}
		if piece == nil {
			break
		}
		if piece.Rows > 0 {
			got[piece.Key.String()] += render([]*table.Table{piece}, "_value")
		}
	}
	if got["{tag=t1}"] != "10:1.5" || got["{tag=t2}"] != "10:100.5" {
		t.Errorf("got %v", got)
	}
}

func TestRepeatedTimes(t *testing.T) {
	in := sample(t, value.Float, "6,8,10,3,20")
	at := in.Col("_time")
	at.Vec.Words[1], at.Vec.Words[3] = at.Vec.Words[0], at.Vec.Words[2]
	d := &Derivative{Columns: []string{"_value"}, TimeColumn: "_time", Unit: value.Span{Nanos: int64(time.Second)}}
	out, err := apply(d, in)
	if err != nil {
		t.Fatal(err)
	}
	if got := render(out, "_value"); got != "20:0.2 40:0.5" {
		t.Errorf("got %s: want rows of a time that was there already left out", got)
	}
	at.Vec.Words[4] = 0
	if _, err := apply(d, in); err == nil || !strings.Contains(err.Error(), "out-of-order") {
		t.Errorf("got %v for times that fall: want an error", err)
	}
}

func TestMistakes(t *testing.T) {
	text := sample(t, value.Int, "1,2").With(table.Constant("_value", value.OfString("x")))
	inKey := sample(t, value.Int, "1,1").With(table.Constant("tag", value.OfInt(1)))
	seconds := value.Span{Nanos: int64(time.Second)}
	for _, test := range []struct {
		op   flow.Op
		in   *table.Table
		want string
	}{
		{&Difference{Columns: []string{"_value"}}, text, "of type string, not a number"},
		{&Difference{Columns: []string{"_time"}}, text, "elapsed"},
		{&CumulativeSum{Columns: []string{"tag"}}, inKey, "group key"},
		{&MovingAverage{N: 0}, text, "between 1 and"},
		{&MovingAverage{N: 2}, text, "not a number"},
		{&Derivative{Unit: value.Span{Months: 1}}, text, "fixed length"},
		{&Derivative{Unit: seconds, TimeColumn: "t"}, text, `no column "t"`},
		{&Histogram{Column: "_value", Bins: []float64{1}}, text, "not float"},
		{&Histogram{Column: "_value", Bins: []float64{1}}, sample(t, value.Float, "2"), "greater than any bin"},
		{&Interpolate{}, text, "above zero"},
		{&HoltWinters{N: 1, Interval: value.Span{}}, text, "above zero"},
	} {
		if _, err := apply(test.op, test.in); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: error is %v: want one with %q", test.op.Name(), test.op.Details(), err, test.want)
		}
	}
}

// TestLongMean tells that rounding does not build up in a moving mean.
func TestLongMean(t *testing.T) {
	m := mean{window: ring{n: 3}}
	for i := range 300_000 {
		m.next(1e12/float64(i+1), true)
	}
	for range 3 {
		m.next(1e-3, true)
	}
	if y, _ := m.short(); y < 0.000999 || y > 0.001001 {
		t.Errorf("mean is %v after large values have left: want 0.001", y)
	}
}

func BenchmarkDerivative(b *testing.B) {
	n := 1 << 16
	times, values := make([]int64, n), make([]float64, n)
	for i := range times {
		times[i], values[i] = int64(i)*int64(time.Second), float64(i%1000)
	}
	in := &table.Table{Key: table.NewKey(nil, nil), Rows: n, Cols: []table.Column{table.Times("_time", times), table.Floats("_value", values)}}
	d := &Derivative{Columns: []string{"_value"}, TimeColumn: "_time", Unit: value.Span{Nanos: int64(time.Second)}, NonNegative: true}
	b.ReportAllocs()
	for b.Loop() {
		out, err := d.Open(nil, []table.Reader{table.NewList(in)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := out.Next(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
