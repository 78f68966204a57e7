package vector_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/interp"
	"github.com/varvedb/varve/lang/flux/stdlib"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/lang/flux/vector"
)

var (
	seed  = flag.Uint64("seed", 0, "of random tests; 0: by the clock")
	tries = flag.Int("tries", 2000, "random expressions to try")
)

// prelude is what the functions of tests capture.
const prelude = `
import "array"
import "math"
import "strings"
import "regexp"
limit = 3
half = 0.5
config = {name: "b", low: -1}
twice = (x) => x + x
pick = (c, a, b) => { d = not c return if d then b else a }
`

// function returns the function that a script gives to map().
func function(t testing.TB, run *flow.Run, text string) *value.Func {
	t.Helper()
	src := prelude + "array.from(rows: [{a: 1}]) |> map(fn: " + text + ")"
	f, err := syntax.Parse(src)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	results, err := interp.New(run, stdlib.Packages()).Exec(nil, f)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return results[0].Node.Op.(*transform.Map).Fn
}

// rows returns what calling fn row by row makes of t.
func rows(run *flow.Run, fn *value.Func, t *table.Table) (*table.Table, error) {
	f, err := flow.NewRowFunc(run, fn, "r")
	if err != nil {
		return nil, err
	}
	f.Table(t)
	b := table.NewBuilder(table.NewKey(nil, nil))
	for i := range t.Rows {
		v, err := f.Call(i)
		if err != nil {
			return nil, err
		}
		if err := b.AppendRecord(v.Record()); err != nil {
			return nil, err
		}
	}
	return b.Table(), nil
}

const example = "a:int b:int u:uint f:float g:float s:string q:string t:time p:bool z:bool same:int\n"

// random returns a table with few different values, nulls among them.
func random(t testing.TB, rng *rand.Rand) *table.Table {
	var text strings.Builder
	text.WriteString(example)
	nulls := rng.IntN(2) == 0
	cell := func(s string) string {
		if nulls && rng.IntN(5) == 0 {
			return "_"
		}
		return s
	}
	for range 1 + rng.IntN(70) {
		number := func() string { return cell(fmt.Sprint(rng.IntN(7) - 2)) }
		float := func() string {
			return cell([]string{"NaN", "-0", "0", "1.5", "-2", "3", "+Inf"}[rng.IntN(7)])
		}
		letter := func() string { return cell(string(rune('a' + rng.IntN(3)))) }
		yes := func() string { return cell(fmt.Sprint(rng.IntN(2) == 0)) }
		fmt.Fprintln(&text, number(), number(), cell(fmt.Sprint(rng.IntN(4))), float(), float(), letter(), letter(), cell(fmt.Sprint(rng.IntN(5))), yes(), yes(), 7)
	}
	out := flowtest.Parse(t, text.String())[0]
	*out.Col("same") = table.Constant("same", value.OfInt(7))
	if rng.IntN(3) == 0 {
		*out.Col("s") = table.Constant("s", value.NullOf(value.String))
	}
	if from := rng.IntN(out.Rows); rng.IntN(2) == 0 {
		out = out.Slice(from, out.Rows) // bitmaps that begin in the middle of a word
	}
	return out
}

// expression writes an expression of a kind; now and then of another one.
func expression(rng *rand.Rand, k value.Kind, depth int) string {
	if rng.IntN(60) == 0 {
		k = []value.Kind{value.Bool, value.Int, value.Uint, value.Float, value.String, value.Time}[rng.IntN(6)]
	}
	if rng.IntN(40) == 0 {
		return "r.missing"
	}
	sub := func(k value.Kind) string { return expression(rng, k, depth-1) }
	one := func(of ...string) string { return of[rng.IntN(len(of))] }
	if depth > 0 && rng.IntN(6) == 0 {
		return "(if " + sub(value.Bool) + " then " + sub(k) + " else " + sub(k) + ")"
	}
	if depth > 0 && rng.IntN(12) == 0 {
		return "pick(c: " + sub(value.Bool) + ", a: " + sub(k) + ", b: " + sub(k) + ")"
	}
	any := func() value.Kind {
		return []value.Kind{value.Bool, value.Int, value.Uint, value.Float, value.String, value.Time}[rng.IntN(6)]
	}
	switch k {
	case value.Bool:
		if depth == 0 || rng.IntN(6) == 0 {
			return one("r.p", "r.z", "true", "false", `r["p"]`)
		}
		switch rng.IntN(8) {
		case 0:
			return "(not " + sub(value.Bool) + ")"
		case 1:
			return "(exists " + sub(any()) + ")"
		case 2, 3:
			return "(" + sub(value.Bool) + one(" and ", " or ") + sub(value.Bool) + ")"
		case 4:
			return "(" + sub(value.String) + one(" =~ ", " !~ ") + one("/a|b/", "/^c$/", "/./") + ")"
		case 5:
			return "(" + sub(value.Int) + one(" == ", " != ", " < ", " <= ", " > ", " >= ") + sub([]value.Kind{value.Int, value.Uint, value.Float}[rng.IntN(3)]) + ")"
		}
		k := any()
		return "(" + sub(k) + one(" == ", " != ", " < ", " <= ", " > ", " >= ") + sub(k) + ")"
	case value.Int:
		if depth == 0 || rng.IntN(6) == 0 {
			return one("r.a", "r.b", "r.same", "limit", "2", "0", "config.low")
		}
		switch rng.IntN(6) {
		case 0:
			return "(-" + sub(value.Int) + ")"
		case 1:
			return one("int(v: ", "twice(x: ") + sub(value.Int) + ")"
		}
		return "(" + sub(value.Int) + one(" + ", " - ", " * ", " / ", " % ", " ^ ") + sub(value.Int) + ")"
	case value.Uint:
		if depth == 0 || rng.IntN(4) == 0 {
			return one("r.u", "uint(v: 2)")
		}
		return "(" + sub(value.Uint) + one(" + ", " - ", " * ", " / ", " % ", " ^ ") + sub(value.Uint) + ")"
	case value.Float:
		if depth == 0 || rng.IntN(6) == 0 {
			return one("r.f", "r.g", "half", "2.5", "0.0")
		}
		switch rng.IntN(6) {
		case 0:
			return "(-" + sub(value.Float) + ")"
		case 1:
			return "float(v: " + sub([]value.Kind{value.Int, value.Uint, value.Float}[rng.IntN(3)]) + ")"
		case 2:
			return "math.sqrt(x: " + sub(value.Float) + ")"
		}
		return "(" + sub(value.Float) + one(" + ", " - ", " * ", " / ", " % ", " ^ ") + sub(value.Float) + ")"
	case value.String:
		if depth == 0 || rng.IntN(4) == 0 {
			return one("r.s", "r.q", "config.name", `"a"`, `""`)
		}
		switch rng.IntN(4) {
		case 0:
			return `"<${` + sub(any()) + `}|${` + sub(value.String) + `}>"`
		case 1:
			return "string(v: " + sub(any()) + ")"
		case 2:
			return "strings.toUpper(v: " + sub(value.String) + ")"
		}
		return "(" + sub(value.String) + " + " + sub(value.String) + ")"
	}
	if depth == 0 || rng.IntN(2) == 0 {
		return one("r.t", "1970-01-01T00:00:00.000000002Z")
	}
	return "time(v: " + sub(value.Int) + ")"
}

// What a program computes is what calling the function row by row computes, and
// where that ends with an error the program cannot tell.
func TestAgreesWithRows(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 2))
	run := flowtest.NewRun(&flowtest.Budget{})
	compiled, told := 0, 0
	for range *tries {
		kinds := []value.Kind{value.Bool, value.Int, value.Uint, value.Float, value.String, value.Time}
		e := expression(rng, kinds[rng.IntN(len(kinds))], rng.IntN(4))
		text := []string{"(r) => ({r with x: %s})", "(r) => ({x: %s, a: r.a})", "(r) => ({r with a: %s})", "(r) => { y = %s return {r with x: y, y: y} }"}[rng.IntN(4)]
		text = fmt.Sprintf(text, e)
		fn := function(t, run, text)
		in := random(t, rng)
		want, err := rows(run, fn, in)
		program := vector.CompileRecord(fn, "r")
		if program == nil {
			continue
		}
		compiled++
		got, ok := program.Apply(run, in)
		if !ok {
			continue
		}
		told++
		if err != nil {
			t.Fatalf("%s was computed, but some row ends with: %v\nof\n%s", text, err, flowtest.Show([]*table.Table{in}))
		}
		if w, g := flowtest.Show([]*table.Table{want}), flowtest.Show([]*table.Table{got}); w != g {
			t.Fatalf("%s made\n%s\nrow by row\n%s\nof\n%s", text, g, w, flowtest.Show([]*table.Table{in}))
		}
		for i := range got.Cols {
			c := &got.Cols[i]
			for row := 0; row < got.Rows && c.Kind != value.String; row++ {
				if c.Null(row) && c.Word(row) != 0 {
					t.Fatalf("%s: a null of %s holds a word", text, c.Label)
				}
			}
		}
	}
	if compiled < *tries*8/10 || told < *tries/2 {
		t.Errorf("of %d functions %d were compiled and %d told: the test tries too little", *tries, compiled, told)
	}
}

// A condition says yes for the rows that it says yes for one by one.
func TestTest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	run := flowtest.NewRun(&flowtest.Budget{})
	for range 500 {
		e := expression(rng, value.Bool, 3)
		fn := function(t, run, "(r) => "+e)
		p := vector.Compile(fn, "r")
		in := random(t, rng)
		if p == nil {
			continue
		}
		got, all, ok := p.Test(run, in, nil)
		if !ok {
			continue
		}
		f, err := flow.NewRowFunc(run, fn, "r")
		if err != nil {
			t.Fatal(err)
		}
		f.Table(in)
		var want []int
		for i := range in.Rows {
			yes, err := f.Test(i)
			if err != nil {
				t.Fatalf("%s was computed, but row %d ends with %v", e, i, err)
			}
			if yes {
				want = append(want, i)
			}
		}
		if all && len(want) != in.Rows || !all && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s chose %v (all: %v), row by row %v", e, got, all, want)
		}
	}
}

// What cannot be compiled is left to the interpreter.
func TestNotCompiled(t *testing.T) {
	run := flowtest.NewRun(&flowtest.Budget{})
	for _, text := range []string{
		"(r) => ({r with x: array.from(rows: [{a: 1}])})", "(r) => ({x: 1 / 0})", "(r) => r", "(r) => ({config with x: 1})",
		"(r) => ({r with x: [r.a]})", "(r) => ({r with x: (() => r.a)()})", "(r, other=1) => ({r with x: other})",
		"(r) => { x = r return {x with a: 1} }",
	} {
		if vector.CompileRecord(function(t, run, text), "r") != nil {
			t.Errorf("%s was compiled", text)
		}
	}
	for text, want := range map[string]string{
		"(r) => ({r with x: r, y: 1})":                 "[x y]",
		"(r) => { a = 1 return {r with x: a} }":        "[x]",
		"(r) => { r = {b: 1} return {r with x: r.b} }": "no",
		"(r) => ({x: r.a})":                            "no",
		"(r) => if true then {r with x: 1} else r":     "no",
	} {
		got := "no"
		if labels, ok := vector.Extends(function(t, run, text), "r"); ok {
			got = fmt.Sprint(labels)
		}
		if got != want {
			t.Errorf("%s extends its row by %s: want %s", text, got, want)
		}
	}
}

const benchRows = 1_000_000

func bench(b *testing.B, text string, of func(fn *value.Func) flow.Op) {
	run := flowtest.NewRun(&flowtest.Budget{})
	op := of(function(b, run, text))
	times, values := make([]int64, benchRows), make([]float64, benchRows)
	for i := range times {
		times[i], values[i] = int64(i), float64(i%100)
	}
	key := table.NewKey([]string{"host"}, []value.Value{value.OfString("h")})
	t := (&table.Table{Rows: benchRows, Cols: []table.Column{table.Times("_time", times), table.Floats("_value", values)}}).WithKey(key)
	in := flowtest.Cut([]*table.Table{t}, 8192)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flowtest.Run(&flowtest.Budget{}, op, in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkFilter(b *testing.B) {
	bench(b, `(r) => r.host == "h" and r._value > 50.0`, func(fn *value.Func) flow.Op { return &transform.Filter{Fn: fn} })
}

func BenchmarkMap(b *testing.B) {
	bench(b, `(r) => ({r with _value: r._value * 2.0 + 1.0})`, func(fn *value.Func) flow.Op { return &transform.Map{Fn: fn} })
}

// The functions below are not of the kind that can be compiled.

func BenchmarkFilterRows(b *testing.B) {
	bench(b, `(r) => {_v = (() => r._value)() return r.host == "h" and _v > 50.0}`, func(fn *value.Func) flow.Op { return &transform.Filter{Fn: fn} })
}

func BenchmarkMapRows(b *testing.B) {
	bench(b, `(r) => ({r with _value: (() => r._value)() * 2.0 + 1.0})`, func(fn *value.Func) flow.Op { return &transform.Map{Fn: fn} })
}
