package syntax

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// render writes an expression with all its parentheses, so that a test can see
// how it was read.
func render(e Expression) string {
	list := func(all []Expression) string {
		var parts []string
		for _, one := range all {
			parts = append(parts, render(one))
		}
		return strings.Join(parts, ", ")
	}
	props := func(all []*Property) string {
		var parts []string
		for _, p := range all {
			if p.Value == nil {
				parts = append(parts, p.Name)
			} else {
				parts = append(parts, p.Name+": "+render(p.Value))
			}
		}
		return strings.Join(parts, ", ")
	}
	switch e := e.(type) {
	case *BinaryExpression:
		return "(" + render(e.Left) + " " + e.Operator + " " + render(e.Right) + ")"
	case *LogicalExpression:
		return "(" + render(e.Left) + " " + e.Operator + " " + render(e.Right) + ")"
	case *UnaryExpression:
		return "(" + e.Operator + " " + render(e.Argument) + ")"
	case *PipeExpression:
		return "(" + render(e.Argument) + " |> " + render(e.Call) + ")"
	case *CallExpression:
		return render(e.Callee) + "(" + props(e.Arguments) + ")"
	case *MemberExpression:
		return render(e.Object) + "." + e.Property
	case *IndexExpression:
		return render(e.Array) + "[" + render(e.Index) + "]"
	case *ConditionalExpression:
		return "if " + render(e.Test) + " then " + render(e.Consequent) + " else " + render(e.Alternate)
	case *ParenExpression:
		return render(e.Expression)
	case *ArrayExpression:
		return "[" + list(e.Elements) + "]"
	case *DictExpression:
		var parts []string
		for _, i := range e.Elements {
			parts = append(parts, render(i.Key)+": "+render(i.Value))
		}
		return "[" + strings.Join(parts, ", ") + ":]"
	case *ObjectExpression:
		if e.With != nil {
			return "{" + e.With.Name + " with " + props(e.Properties) + "}"
		}
		return "{" + props(e.Properties) + "}"
	case *FunctionExpression:
		var params []string
		for _, p := range e.Params {
			if p.Default != nil {
				params = append(params, p.Name+"="+render(p.Default))
			} else {
				params = append(params, p.Name)
			}
		}
		if e.Block != nil {
			return "(" + strings.Join(params, ", ") + ") => {...}"
		}
		return "(" + strings.Join(params, ", ") + ") => " + render(e.Body)
	case *StringExpression:
		return "join(" + list(e.Parts) + ")"
	}
	var o map[string]any
	text, err := json.Marshal(encodeExpression(e))
	if err != nil || json.Unmarshal(text, &o) != nil {
		return "?"
	}
	for _, k := range []string{"name", "value", "values", "type"} {
		if v, ok := o[k]; ok {
			s, err := json.Marshal(v)
			if err != nil {
				return "?"
			}
			return strings.Trim(string(s), `"`)
		}
	}
	return "?"
}

func TestExpressions(t *testing.T) {
	for src, want := range map[string]string{
		`a or b and not c == 1 + 2 * 3 ^ 4`:    `(a or (b and (not (c == (1 + (2 * (3 ^ 4)))))))`,
		`a - b - c`:                            `((a - b) - c)`,
		`a / b / c`:                            `((a / b) / c)`,
		`-a.b["c"][0](x: 1, y)`:                `(- a.b.c[0](x: 1, y))`,
		`exists r.x and r["_field"] =~ /a\/b/`: `((exists r.x) and (r._field =~ a/b))`,
		`x |> f() |> g(a: 1)`:                  `((x |> f()) |> g(a: 1))`,
		`(r) => r.a`:                           `(r) => r.a`,
		`(a, b=1, c=<-) => ({c with d: a})`:    `(a, b=1, c=PipeLiteral) => {c with d: a}`,
		`() => { return 1 }`:                   `() => {...}`,
		`(a)`:                                  `a`,
		`(a.b) + 1`:                            `(a.b + 1)`,
		`if a then b else if c then d else e`:  `if a then b else if c then d else e`,
		`[1, 2.5, "x", true, ]`:                `[1, 2.5, x, true]`,
		`["a": 1, "b": 2]`:                     `[a: 1, b: 2:]`,
		`[:]`:                                  `[:]`,
		`{a: 1, "b c": 2, d}`:                  `{a: 1, b c: 2, d}`,
		`"a ${b + "${c}"} d"`:                  `join(a , (b + join(c)),  d)`,
		`"\x41\n\${x}"`:                        `A\n${x}`,
		`1h30m0s`:                              `[{magnitude:1,unit:h},{magnitude:30,unit:m},{magnitude:0,unit:s}]`,
		`1mo2µs`:                               `[{magnitude:1,unit:mo},{magnitude:2,unit:us}]`,
		`2020-01-02`:                           `2020-01-02T00:00:00Z`,
		`2020-01-02T03:04:05.5+02:00`:          `2020-01-02T03:04:05.5+02:00`,
		`2020 - 01`:                            `(2020 - 1)`,
		`-9223372036854775808`:                 `(- -9223372036854775808)`,
		`.5 + 1.`:                              `(0.5 + 1)`,
		`f(import: 1).in`:                      `f(import: 1).in`,
		"from(bucket: \"x\") // why\n  |> range(start: -1h)": `(from(bucket: x) |> range(start: (- [{magnitude:1,unit:h}])))`,
	} {
		f, err := Parse(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if len(f.Body) != 1 {
			t.Errorf("%s: %d statements", src, len(f.Body))
			continue
		}
		got := strings.ReplaceAll(render(f.Body[0].(*ExpressionStatement).Expression), `"`, "")
		if got != want {
			t.Errorf("%s is read as %s, want %s", src, got, want)
		}
	}
}

func TestStatements(t *testing.T) {
	f, err := Parse(`@edition("2022.1")
package foo
import "date"
import m "math"

option now = () => 2020-01-01T00:00:00Z
option task.name = "x"
builtin f : (<-tables: stream[A]) => int where A: Record
a = 1
b = (x) => {
	y = x + a
	return y
}
b(x: 2)
testcase t { a }
`)
	if err != nil {
		t.Fatal(err)
	}
	if f.Package != "foo" || len(f.Imports) != 2 || f.Imports[1].As.Name != "m" || f.Imports[0].Path != "date" {
		t.Errorf("the head is read as %+v", f)
	}
	var kinds []string
	for _, s := range f.Body {
		kinds = append(kinds, encodeStatement(s)["type"].(string))
	}
	want := []string{"OptionStatement", "OptionStatement", "BuiltinStatement", "VariableAssignment", "VariableAssignment", "ExpressionStatement", "TestCaseStatement"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
}

// TestErrors looks at place and words, and that what follows is still read.
func TestErrors(t *testing.T) {
	for src, want := range map[string]string{
		"a = \nb":                   `identifier b`, // the value of a is b: no error
		"a = )":                     `error @1:5-1:6: invalid expression: expected a value, got ")"`,
		"x |> y":                    `error @1:6-1:7: pipe destination must be a function call`,
		"f(a: 1":                    `error @1:7-1:7: invalid call: expected ")" for the "(" at 1:2, got the end of the script`,
		"f(a: (b)\n  |> g()":        `error @2:9-2:9: invalid call: expected ")" for the "(" at 1:2, got`,
		"f(x: [1, {a: 1}":           `expected "]" for the "[" at 1:6`,
		"x = () => {":               `expected "}" for the "{" at 1:11`,
		"f(a: 'b')":                 `error @1:6-1:7: unexpected character "'"; a string stands between "double quotes"`,
		"f(a: b && c)":              `error @1:8-1:9: unexpected character "&"; write "and"`,
		"f(a: b || c)":              `expected ")", got "|"; write "or"`,
		"f(a: !b)":                  `unexpected character "!"; write "not"`,
		"f(a: b = 1)":               `expected ")", got "="; what compares is ==`,
		"f(a: r => r.b)":            `expected ")", got "=>"; the parameters of a function stand in parentheses`,
		"f(r => r.b)":               `got "=>"; the parameters of a function stand in parentheses`,
		"a = 1\nimport \"b\"":       `got "import"; imports stand before everything else`,
		"f(a: 1min)":                `expected ")", got "in"; the units of durations are ns,`,
		"f(a: 5hours)":              `got identifier ours; the units of durations are ns,`,
		"f(a: 2020-01-02T00:00)":    `got identifier T00; a time is written like`,
		`"abc`:                      `error @1:1-1:5: the string has no end: a " is missing`,
		`"\q"`:                      `unknown escape \q`,
		"if a then b":               `invalid conditional: expected "else", got the end of the script`,
		"{a 1}":                     `invalid record: expected "}", got "1"`,
		"a = 1 $ 2":                 `error @1:7-1:8: unexpected character "$"`,
		"/(/":                       `invalid regular expression: missing closing )`,
		"99999999999999999999":      `integer 99999999999999999999 is out of range`,
		"2020-13-01":                `invalid time 2020-13-01`,
		"import date":               `invalid import: expected the path of a package in quotes`,
		"a.1":                       `1`,
		`"${a b}"`:                  `expected "}" behind the expression, got identifier b`,
		strings.Repeat("(", 5000):   `nested too deep`,
		strings.Repeat("-", 5000):   `nested too deep`,
		strings.Repeat(`"${`, 5000): `nested too deep`,
		// As much as a body may have: the stack would not hold it.
		strings.Repeat(`"${`, 2<<20):                 `nested too deep`,
		"f = () => 1" + strings.Repeat("+1", 20_000): "operators in a row",
		"true" + strings.Repeat(" and a", 20_000):    "operators in a row",
		"a" + strings.Repeat("|>b()", 20_000):        "operators in a row",
		"a" + strings.Repeat(".b", 20_000):           "operators in a row",
		"a" + strings.Repeat("()", 20_000):           "operators in a row",
		"a" + strings.Repeat("[0]", 20_000):          "operators in a row",
		strings.Repeat("a\n", 600_000):               "has more than 500000",
		"x = " + strings.Repeat(`/\/`, 100_000):      `unexpected character "\\"`,
		"x = /" + strings.Repeat("a", 300_000) + "/": "longer than 256 KiB",
	} {
		_, err := Parse(src)
		if src == "a = \nb" {
			if err != nil {
				t.Errorf("%q: %v", src, err)
			}
			continue
		}
		if src == "a.1" {
			continue // a and .1, two statements
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %s", src, err, want)
			continue
		}
		lines := map[int]bool{}
		for _, e := range err.(Errors) {
			if lines[e.Start.Line] {
				t.Errorf("%.20q has several errors in a line: %v", src, err)
			}
			lines[e.Start.Line] = true
		}
	}
	f, err := Parse("a = )\nb = 2\nc = ]\nd = 4")
	errs, ok := err.(Errors)
	if !ok || len(errs) != 2 || errs[1].Start.Line != 3 {
		t.Errorf("two wrong lines give %v", err)
	}
	names := ""
	for _, s := range f.Body {
		if v, ok := s.(*VariableAssignment); ok {
			names += v.ID.Name
		}
	}
	if !strings.Contains(names, "b") || !strings.Contains(names, "d") {
		t.Errorf("behind errors only %s is read", names)
	}
}

func TestLocations(t *testing.T) {
	f, err := Parse("a = 1\n  bb = f(x: \"µ\", y: 2)\n")
	if err != nil {
		t.Fatal(err)
	}
	s := f.Body[1].(*VariableAssignment)
	if got := s.Span.String(); got != "2:3-2:24" {
		t.Errorf("the statement is at %s", got)
	}
	if got := s.Init.(*CallExpression).Arguments[1].Span.String(); got != "2:19-2:23" {
		t.Errorf("the argument is at %s", got)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	src := `package p
import x "a/b"
option v = {timeRangeStart: -1h, windowPeriod: 10s, timeRangeStop: now(), t: 2020-01-02T03:04:05.123Z}
f = (a, b=[1, 2.5], t=<-) => { c = if a then "s${b}e" else "n"
	return t |> g(r: (r) => ({r with "x y": r["z"], w: not exists r.q and r.n[0] =~ /x/})) }
d = ["k": +1]
`
	f, err := Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)); diff != "" {
		t.Error(diff)
	}
}

// TestExternOfClients reads what a host of InfluxDB sends with a query.
func TestExternOfClients(t *testing.T) {
	f, err := ParseJSON([]byte(`{"type":"File","package":null,"imports":null,"body":[{"type":"OptionStatement","assignment":{"type":"VariableAssignment",
		"id":{"type":"Identifier","name":"v"},"init":{"type":"ObjectExpression","properties":[
		{"type":"Property","key":{"type":"Identifier","name":"timeRangeStart"},"value":{"type":"UnaryExpression","operator":"-","argument":{"type":"DurationLiteral","values":[{"magnitude":1,"unit":"h"}]}}},
		{"type":"Property","key":{"type":"Identifier","name":"windowPeriod"},"value":{"type":"DurationLiteral","values":[{"magnitude":10000,"unit":"ms"}]}}]}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	o := f.Body[0].(*OptionStatement).Assignment.(*VariableAssignment)
	if o.ID.Name != "v" || len(o.Init.(*ObjectExpression).Properties) != 2 {
		t.Errorf("read as %+v", o)
	}
	// What the Python client sends with every script, and with a parameter.
	for _, untyped := range []string{`{"imports":[],"body":[]}`, `{"imports":[],"body":[{"type":"OptionStatement","assignment":{"type":"VariableAssignment",
		"id":{"type":"Identifier","name":"bucket"},"init":{"type":"StringLiteral","value":"b"}}}]}`} {
		if _, err := ParseJSON([]byte(untyped)); err != nil {
			t.Error(err)
		}
	}
	for _, wrong := range []string{`{`, `[]`, `{"type":"Nope"}`, `{"type":"File","body":[{"type":"OptionStatement"}]}`, `{"type":"File","body":[{"type":"ExpressionStatement"}]}`} {
		if _, err := ParseJSON([]byte(wrong)); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a = 1", `from(bucket: "b") |> range(start: -1h) |> filter(fn: (r) => r._m == "x" and r.v > 1.0)`, `"${"${a}"}"`, "{r with a: 1}", "/x/", "1h2mo", "2020-01-01", "[:]", "a.b.c[0]", "@a(1)", "((((", `"\x4`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		began := time.Now()
		tree, err := Parse(src)
		if tree == nil {
			t.Fatal("no tree")
		}
		text, jerr := json.Marshal(tree)
		if jerr != nil {
			t.Fatal(jerr)
		}
		if err == nil {
			if _, err := ParseJSON(text); err != nil {
				t.Fatalf("a tree cannot be read back: %v", err)
			}
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Fatalf("%d bytes took %s", len(src), d)
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"type":"File","body":[{"type":"ExpressionStatement","expression":{"type":"IntegerLiteral","value":"1"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) { _, _ = ParseJSON(text) })
}
