package aggregate

import (
	"strings"
	"testing"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/tdigest"
)

func v(label string) One { return One{Column: label} }
func by(label string) By { return By{Column: label} }

const (
	fiveOf = "*h:string v:float\na 2\na _\na 4\na 9\na 1"
	empty  = "v:float n:int s:string"
)

// quantileOf returns a quantile of the column v.
func quantileOf(q float64, method string) *Quantile {
	return &Quantile{One: v("v"), Q: q, Method: method, Compression: tdigest.Compression}
}

func TestAggregates(t *testing.T) {
	flowtest.Check(t, []flowtest.Case{
		{Name: "count has nulls", Op: &Count{v("v")}, In: fiveOf, Want: "*h:string v:int\na 5\n"},
		{Name: "count of strings", Op: &Count{v("s")}, In: "s:string\nx\n_", Want: "s:int\n2\n"},
		{Name: "count of nothing", Op: &Count{v("v")}, In: empty, Want: "v:int\n0\n"},
		{Name: "sum", Op: &Sum{v("v")}, In: fiveOf, Want: "*h:string v:float\na 16\n"},
		{Name: "sum of integers", Op: &Sum{v("v")}, In: "v:int\n-5\n3", Want: "v:int\n-2\n"},
		{Name: "sum of unsigned integers", Op: &Sum{v("v")}, In: "v:uint\n5\n3", Want: "v:uint\n8\n"},
		{Name: "sum of nothing", Op: &Sum{v("v")}, In: empty, Want: "v:float\n_\n"},
		{Name: "sum of nulls", Op: &Sum{v("v")}, In: "v:int\n_\n_", Want: "v:int\n_\n"},
		{Name: "sum of strings", Op: &Sum{v("s")}, In: "s:string\nx", Err: "sum: unsupported aggregate column type string"},
		{Name: "sum of a column of the key", Op: &Sum{v("h")}, In: "*h:int\n1", Err: "part of the group key"},
		{Name: "sum without the column", Op: &Sum{v("w")}, In: fiveOf, Err: `column "w" does not exist`},
		{Name: "mean", Op: &Mean{v("v")}, In: fiveOf, Want: "*h:string v:float\na 4\n"},
		{Name: "mean of integers", Op: &Mean{v("v")}, In: "v:int\n1\n2", Want: "v:float\n1.5\n"},
		{Name: "mean of unsigned integers", Op: &Mean{v("v")}, In: "v:uint\n1\n2", Want: "v:float\n1.5\n"},
		{Name: "mean of nothing", Op: &Mean{v("v")}, In: empty, Want: "v:float\n_\n"},
		{Name: "two tables", Op: &Mean{v("v")}, In: "*h:string v:int x:int\na 1 7\na 3 7\n\n*h:string v:float\nb 4", Want: "*h:string v:float\na 2\n\n*h:string v:float\nb 4\n"},
		{Name: "spread", Op: &Spread{v("v")}, In: fiveOf, Want: "*h:string v:float\na 8\n"},
		{Name: "spread of integers", Op: &Spread{v("v")}, In: "v:int\n-3\n4\n0", Want: "v:int\n7\n"},
		{Name: "spread of unsigned integers", Op: &Spread{v("v")}, In: "v:uint\n3\n4", Want: "v:uint\n1\n"},
		{Name: "stddev", Op: &Stddev{v("v"), OfSample}, In: "v:float\n2\n4\n4\n4\n5\n5\n7\n9", Want: "v:float\n2.138089935299395\n"},
		{Name: "stddev of all", Op: &Stddev{v("v"), OfPopulation}, In: "v:int\n2\n4\n4\n4\n5\n5\n7\n9", Want: "v:float\n2\n"},
		{Name: "stddev of one value", Op: &Stddev{v("v"), OfSample}, In: "v:uint\n2", Want: "v:float\nNaN\n"},
		{Name: "stddev of all of one value", Op: &Stddev{v("v"), OfPopulation}, In: "v:float\n2", Want: "v:float\n0\n"},
		{Name: "stddev of nothing", Op: &Stddev{v("v"), OfSample}, In: empty, Want: "v:float\n_\n"},
		{Name: "skew", Op: &Skew{v("v")}, In: "v:uint\n70\n48\n33\n24\n38\n75", Want: "v:float\n0.3057387969724792\n"},
		{Name: "skew of one value", Op: &Skew{v("v")}, In: "v:float\n2", Want: "v:float\nNaN\n"},
		{Name: "median", Op: quantileOf(0.5, EstimateTDigest), In: fiveOf, Want: "*h:string v:float\na 3\n"},
		{Name: "median of integers", Op: quantileOf(0.5, EstimateTDigest), In: "v:int\n1\n5", Want: "v:float\n3\n"},
		{Name: "quantile of nulls", Op: quantileOf(0.5, EstimateTDigest), In: "v:uint\n_", Want: "v:float\n_\n"},
		{Name: "exact quantile", Op: quantileOf(0.9, ExactMean), In: "v:float\n5\n1\n4\n2\n3", Want: "v:float\n4.6\n"},
		{Name: "greatest", Op: quantileOf(1, ExactMean), In: "v:int\n5\n1", Want: "v:float\n5\n"},
		{Name: "exact quantile of nothing", Op: quantileOf(0.9, ExactMean), In: empty, Want: "v:float\n_\n"},
		{Name: "quantile of strings", Op: quantileOf(0.9, ExactMean), In: "v:string\nx", Err: "unsupported aggregate column type string"},
		{Name: "row of a quantile", Op: &QuantileRow{Column: "v", Q: 0.5}, In: "*h:string v:int s:string\na 3 x\na _ y\na 1 z\na 2 w", Want: "*h:string s:string v:int\na w 2\n"},
		{Name: "row of a quantile of strings", Op: &QuantileRow{Column: "s", Q: 1}, In: "s:string\nx\nz\ny", Want: "s:string\nz\n"},
		{Name: "row of a quantile of nulls", Op: &QuantileRow{Column: "v", Q: 0.5}, In: "v:int\n_", Want: "v:int\n"},
		{Name: "row of a quantile of no column", Op: &QuantileRow{Column: "w", Q: 0.5}, In: "v:int\n1", Err: `no column "w" exists`},
		{Name: "covariance", Op: &Covariance{X: "x", Y: "y", ValueDst: "_value"}, In: "*h:string x:float y:float\na 1 2\na _ 9\na 2 4\na 3 6", Want: "_value:float *h:string\n2 a\n"},
		{Name: "correlation", Op: &Covariance{X: "x", Y: "y", Pearson: true, ValueDst: "r"}, In: "x:int y:int\n1 -2\n2 -4\n3 -6", Want: "r:float\n-1\n"},
		{Name: "covariance of nothing", Op: &Covariance{X: "x", Y: "y", ValueDst: "r"}, In: "x:int y:int\n1 _", Want: "r:float\n_\n"},
		{Name: "covariance of one kind and another", Op: &Covariance{X: "x", Y: "y", ValueDst: "r"}, In: "x:int y:float\n1 2", Err: "between different types: int and float"},
		{Name: "covariance of strings", Op: &Covariance{X: "x", Y: "y", ValueDst: "r"}, In: "x:string y:string\n1 2", Err: "does not support values of type string"},
		{Name: "covariance without a column", Op: &Covariance{X: "x", Y: "z", ValueDst: "r"}, In: "x:int\n1", Err: "covariance: specified column does not exist in table: z"},
	})
}

func TestIntegral(t *testing.T) {
	second := value.Span{Nanos: 1e9}
	area := func(change func(*Integral)) *Integral {
		op := &Integral{One: v("v"), Unit: second, TimeColumn: "_time"}
		change(op)
		return op
	}
	const in = "*_start:time *_stop:time _time:time v:float\n0 6000000000 1000000000 1\n0 6000000000 _ 100\n0 6000000000 2000000000 _\n0 6000000000 3000000000 5\n0 6000000000 4000000000 5"
	const key = "*_start:time *_stop:time v:float\n"
	flowtest.Check(t, []flowtest.Case{
		{Name: "area", In: in, Op: area(func(*Integral) {}), Want: key + "0 6000000000 11\n"},
		{Name: "area in halves of a second", In: in, Op: area(func(i *Integral) { i.Unit.Nanos /= 2 }), Want: key + "0 6000000000 22\n"},
		// The line starts at -1 and is level at its end.
		{Name: "extended", In: in, Op: area(func(i *Integral) { i.Linear = true }), Want: key + "0 6000000000 21\n"},
		{Name: "average", In: in, Op: area(func(i *Integral) { i.Average, i.Linear = true, true }), Want: key + "0 6000000000 3.5\n"},
		{
			Name: "average of one value", In: "*_start:time *_stop:time _time:time v:int\n0 60 10 7", Want: key + "0 60 7\n",
			Op: area(func(i *Integral) { i.Average, i.Linear = true, true }),
		},
		{
			Name: "average of nothing", In: "*_start:time *_stop:time _time:time v:int\n0 60 10 _", Want: key + "0 60 _\n",
			Op: area(func(i *Integral) { i.Average, i.Linear = true, true }),
		},
		{Name: "extended to nowhere", In: "_time:time v:float\n1 1", Op: area(func(i *Integral) { i.Linear = true }), Err: `column "_start" must be a time in the group key`},
		{Name: "without times", In: "v:float\n1", Op: area(func(*Integral) {}), Err: `no column "_time" exists`},
		{Name: "without values", In: "_time:time\n1", Op: area(func(*Integral) {}), Err: `column "v" does not exist`},
		{Name: "of strings", In: "_time:time v:string\n1 a", Op: area(func(*Integral) {}), Err: "unsupported aggregate column type string"},
	})
	if err := (&Integral{Unit: value.Span{Months: 1}}).Check(); err == nil {
		t.Error("an integral by the month is accepted")
	}
}

func TestSelectors(t *testing.T) {
	const in = "*h:string v:int s:string\na _ p\na 2 q\na 7 r\na 7 s\na 1 t\na _ u"
	row := func(cells string) string { return "*h:string s:string v:int\n" + cells }
	flowtest.Check(t, []flowtest.Case{
		{Name: "first", Op: &First{by("v")}, In: in, Want: row("a q 2\n")},
		{Name: "last", Op: &Last{by("v")}, In: in, Want: row("a t 1\n")},
		{Name: "min", Op: &Min{by("v")}, In: in, Want: row("a t 1\n")},
		{Name: "max is the first of the greatest", Op: &Max{by("v")}, In: in, Want: row("a r 7\n")},
		{Name: "first string", Op: &First{by("s")}, In: in, Want: row("a p _\n")},
		{Name: "max of times", Op: &Max{by("_time")}, In: "_time:time\n5\n9\n7", Want: "_time:time\n9\n"},
		{Name: "min of unsigned integers", Op: &Min{by("v")}, In: "v:uint\n5\n18446744073709551615", Want: "v:uint\n5\n"},
		{Name: "max of floats", Op: &Max{by("v")}, In: "v:float\n-5\n-2.5\n_", Want: "v:float\n-2.5\n"},
		{Name: "max of a column of the key", Op: &Max{by("h")}, In: "*h:int v:int\n3 1\n3 2", Want: "*h:int v:int\n3 1\n"},
		{Name: "nothing to choose", Op: &Max{by("v")}, In: "*h:string v:int\na _", Want: "*h:string v:int\n"},
		{Name: "max of strings", Op: &Max{by("s")}, In: in, Err: "max: invalid use of function: *universe.MaxSelector has no implementation for type string"},
		{Name: "min of bools", Op: &Min{by("v")}, In: "v:bool\ntrue", Err: "*universe.MinSelector has no implementation for type bool"},
		{Name: "last without the column", Op: &Last{by("w")}, In: in, Err: `no column "w" exists`},
		{Name: "unique", Op: &Unique{by("v")}, In: in, Want: row("a p _\na q 2\na r 7\na t 1\n")},
		{Name: "unique strings", Op: &Unique{by("s")}, In: "s:string\nx\ny\n_\nx\n_", Want: "s:string\nx\ny\n_\n"},
		{Name: "unique without the column", Op: &Unique{by("w")}, In: in, Err: `no column "w" exists`},
		{Name: "distinct", Op: &Distinct{by("v")}, In: in, Want: "_value:int *h:string\n_ a\n2 a\n7 a\n1 a\n"},
		{Name: "distinct of a column of the key", Op: &Distinct{by("h")}, In: in, Want: "_value:string *h:string\na a\n"},
		{Name: "distinct without the column", Op: &Distinct{by("w")}, In: in, Want: "_value:string *h:string\n"},
		{Name: "mode", Op: &Mode{by("v")}, In: in, Want: "_value:int *h:string\n7 a\n"},
		{Name: "modes", Op: &Mode{by("s")}, In: "s:string\nd\nc\nd\nc\n_\n_\n_\ne", Want: "_value:string\nc\nd\n"},
		{Name: "no mode", Op: &Mode{by("s")}, In: "s:string\nd\nc", Want: "_value:string\n_\n"},
		{Name: "mode of a column of the key", Op: &Mode{by("h")}, In: in, Want: "_value:string *h:string\na a\n"},
		{Name: "mode of nothing", Op: &Mode{by("v")}, In: empty, Want: "_value:float\n"},
		{Name: "mode without the column", Op: &Mode{by("w")}, In: in, Err: `no column "w" exists`},
		{Name: "sample", Op: &Sample{by("v"), 2, 1}, In: in, Want: row("a q 2\na s 7\na u _\n")},
		{Name: "sample of any", Op: &Sample{by("v"), 1, -1}, In: "v:int\n1\n2", Want: "v:int\n1\n2\n"},
		{Name: "sample without the column", Op: &Sample{by("w"), 1, 0}, In: in, Err: `no column "w" exists`},
	})
	for _, s := range []Sample{{N: 0}, {N: 2, Pos: 2}, {N: 2, Pos: -2}} {
		if s.Check() == nil {
			t.Errorf("a sample of every %d from %d on is accepted", s.N, s.Pos)
		}
	}
}

// record returns a record of labels and values.
func record(labels string, values ...value.Value) *value.Fields {
	return value.NewRecord(strings.Fields(labels), values)
}

func TestReduce(t *testing.T) {
	// adds returns a function that adds the column n up and counts.
	adds := func(result func(sum, count int64) value.Value) *value.Func {
		return &value.Func{
			Params: []value.Param{{Name: "r", Kinds: value.AnyKind}, {Name: "accumulator", Kinds: value.AnyKind}},
			Do: func(c *value.Call) (value.Value, error) {
				n, _ := c.Arg("r").Record().Get("n")
				sum, _ := c.Arg("accumulator").Record().Get("sum")
				count, _ := c.Arg("accumulator").Record().Get("count")
				return result(sum.Int()+n.Int(), count.Int()+1), nil
			},
		}
	}
	both := adds(func(sum, count int64) value.Value {
		return value.OfRecord(record("sum count", value.OfInt(sum), value.OfInt(count)))
	})
	zero := record("sum count", value.OfInt(0), value.OfInt(0))
	flowtest.Check(t, []flowtest.Case{
		{
			Name: "two tables", Op: &Reduce{both, zero}, In: "*h:string n:int\na 1\na 2\na 4\n\n*h:string n:int\nb 5",
			Want: "count:int *h:string sum:int\n3 a 7\n\ncount:int *h:string sum:int\n1 b 5\n",
		},
		{Name: "nothing", Op: &Reduce{both, zero}, In: "n:int", Want: "count:int sum:int\n0 0\n"},
		{
			Name: "a column of the key", In: "*h:int n:int\n1 10\n\n*h:int n:int\n2 20", Want: "*h:int\n10\n\n*h:int\n20\n",
			Op: &Reduce{adds(func(sum, _ int64) value.Value { return value.OfRecord(record("h", value.OfInt(sum))) }), zero},
		},
		{
			Name: "two tables that become one", In: "*h:int n:int\n1 10\n\n*h:int n:int\n2 20", Err: "two reducers writing result to the same table",
			Op: &Reduce{adds(func(int64, int64) value.Value { return value.OfRecord(record("h", value.OfInt(1))) }), zero},
		},
		{
			Name: "a null has the kind of the identity", In: "n:int\n1", Want: "sum:int\n_\n",
			Op: &Reduce{adds(func(int64, int64) value.Value { return value.OfRecord(record("sum", value.NullOf(value.Null))) }), zero},
		},
		{Name: "no record", In: "n:int\n1", Err: "must return a record, not int", Op: &Reduce{adds(func(sum, _ int64) value.Value { return value.OfInt(sum) }), zero}},
		{Name: "no accumulator", In: "n:int\n1", Err: "must have a parameter accumulator", Op: &Reduce{&value.Func{Params: []value.Param{{Name: "r"}}}, zero}},
		{Name: "no row", In: "n:int\n1", Err: "must have a parameter r", Op: &Reduce{&value.Func{}, zero}},
	})
}

func TestChecks(t *testing.T) {
	for name, err := range map[string]error{
		"quantile above 1": CheckQuantile(1.1, ExactMean),
		"quantile below 0": CheckQuantile(-0.1, ExactMean),
		"method":           CheckQuantile(0.5, "guess"),
		"mode of stddev":   (&Stddev{Mode: "some"}).Check(),
	} {
		if err == nil {
			t.Errorf("%s: a wrong argument is accepted", name)
		}
	}
}

// A value keeps what it has to and reserves it.
func TestMemoryOfWhatIsKept(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("v:int s:string\n")
	for i := range 5000 {
		rows.WriteString(value.OfInt(int64(i)).Text() + " text" + value.OfInt(int64(i)).Text() + "\n")
	}
	in := flowtest.Cut(flowtest.Parse(t, rows.String()), 100)
	for _, c := range []struct {
		op   flow.Op
		keep bool
	}{
		{&Mean{v("v")}, false}, {&Max{by("v")}, false}, {&Last{by("s")}, false}, {quantileOf(0.5, EstimateTDigest), true},
		{quantileOf(0.5, ExactMean), true}, {&Distinct{by("s")}, true}, {&Unique{by("v")}, true}, {&Mode{by("s")}, true},
	} {
		budget := &flowtest.Budget{}
		if _, err := flowtest.Run(budget, c.op, in); err != nil {
			t.Fatal(err)
		}
		if c.keep != (budget.Most > 20_000) {
			t.Errorf("%s reserved %d bytes at most", c.op.Name(), budget.Most)
		}
		if !c.keep {
			continue
		}
		if _, err := flowtest.Run(&flowtest.Budget{Limit: 10_000}, c.op, in); err == nil {
			t.Errorf("%s stays below 10,000 bytes", c.op.Name())
		}
	}
}
