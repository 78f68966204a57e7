package flux

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// twice returns names 0 to n of one letter, each made of two of the one before.
func twice(letter, first, next string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s0 = %s\n", letter, first)
	for i := range n {
		fmt.Fprintf(&b, "%s%d = %s\n", letter, i+1, strings.ReplaceAll(next, "PREV", fmt.Sprintf("%s%d", letter, i)))
	}
	return b.String()
}

// Scripts of some lines that stand for very much end with an error, soon, and do
// not exhaust the stack.
func TestHostileScripts(t *testing.T) {
	const heads = "import \"array\"\nimport \"json\"\nimport \"experimental/dynamic\"\nimport \"generate\"\nimport \"strings\"\nd = array.from(rows: [{t: \"a\", v: 1}])\n"
	nested := twice("a", `{x: "x"}`, "{x: PREV, y: PREV}", 40)
	const rows = "g = generate.from(count: 50000, fn: (n) => n, start: 2020-01-01T00:00:00Z, stop: 2021-01-01T00:00:00Z)\n"
	// Variables of a function are not reserved, those of a file are.
	within := func(variables, result string) string {
		return "f = () => {\n" + variables + "return " + result + "\n}\nx = f()"
	}
	for _, c := range []struct{ name, script, want string }{
		{"a union of itself", twice("u", "d", "union(tables: [PREV, PREV])", 30) + "u30", "limit"},
		{"a join with itself", twice("u", "d", `join(tables: {a: PREV, b: PREV}, on: ["t"])`, 30) + "u30", "limit"},
		{"operators behind each other", twice("f", "(x) => x |> limit(n: 1)", "(x) => PREV(x: PREV(x: x))", 20) + "f20(x: d)", "one behind another"},
		{"deep arrays", twice("f", "(x) => [x]", "(x) => PREV(x: PREV(x: x))", 22) + "x = f22(x: 1)", "nested more than"},
		{"deep records", twice("f", "(x) => ({x: x})", "(x) => PREV(x: PREV(x: x))", 22) + "x = f22(x: 1)", "nested more than"},
		{"wide display", within(nested, "display(v: a40)"), "written out"},
		{"wide dictionary", within(twice("a", "[1: 1]", "[1: {x: PREV}, 2: {x: PREV}]", 40), "display(v: a40)"), "written out"},
		{"wide json", within(nested, "json.encode(v: a40)"), "written out"},
		{"wide dynamic", within(nested, "dynamic.dynamic(v: a40)"), "written out"},
		{"wide comparison", within(nested+twice("b", `{x: "x"}`, "{x: PREV, y: PREV}", 40), "a40 == b40"), "written out"},
		{"wide search", within(nested+twice("b", `{x: "x"}`, "{x: PREV, y: PREV}", 40), "contains(value: a40, set: [{a: b40}])"), "limit"},
		{"wide arrays", twice("a", `["x"]`, "[PREV, PREV]", 40), "limit"},
		{"a pivot of few cells", rows + `g |> map(fn: (r) => ({c: if r._value < 5000 then string(v: r._value) else "0", k: if r._value < 5000 then 0 else r._value, _value: 1}))
			|> pivot(rowKey: ["k"], columnKey: ["c"], valueColumn: "_value") |> limit(n: 1)`, "limit"},
		{"many parts", `x = strings.split(v: strings.repeat(v: "a", i: 10000000), t: "")`, "limit"},
		{"an array of strings", rows + `s = strings.repeat(v: "a", i: 60000)
			x = array.map(arr: g |> findColumn(fn: (key) => true, column: "_value"), fn: (x) => s + string(v: x))`, "limit"},
		{"matches replaced", `import "regexp"
x = regexp.replaceAllString(r: /a/, v: strings.repeat(v: "a", i: 100000), t: strings.repeat(v: "b", i: 100000))`, "limit"},
		{"matches multiplied", `import "regexp"
x = regexp.replaceAllString(r: /a+/, v: strings.repeat(v: "a", i: 1000000), t: strings.repeat(v: "$0", i: 10000))`, "limit"},
		{"parts by an expression", `import "regexp"
x = regexp.splitRegexp(r: /a/, v: strings.repeat(v: "a", i: 5000000), i: -1)`, "limit"},
		{"many variables", twice("s", `strings.repeat(v: "a", i: 60000)`, `PREV + "a"`, 5000), "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := run(ctx, imported(heads+strings.ReplaceAll(c.script, "\n\t\t\t", "\n"))); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, want an error with %q", err, c.want)
			}
		})
	}
}
