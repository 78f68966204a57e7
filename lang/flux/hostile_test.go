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
	const heads = "import \"array\"\nimport \"json\"\nimport \"experimental/dynamic\"\nd = array.from(rows: [{t: \"a\", v: 1}])\n"
	nested := twice("a", `["x"]`, "[PREV, PREV]", 40)
	for _, c := range []struct{ name, script, want string }{
		{"a union of itself", twice("u", "d", "union(tables: [PREV, PREV])", 30) + "u30", "limit"},
		{"a join with itself", twice("u", "d", `join(tables: {a: PREV, b: PREV}, on: ["t"])`, 30) + "u30", "limit"},
		{"operators behind each other", twice("f", "(x) => x |> limit(n: 1)", "(x) => PREV(x: PREV(x: x))", 20) + "f20(x: d)", "one behind another"},
		{"deep arrays", twice("f", "(x) => [x]", "(x) => PREV(x: PREV(x: x))", 22) + "x = f22(x: 1)", "nested more than"},
		{"deep records", twice("f", "(x) => ({x: x})", "(x) => PREV(x: PREV(x: x))", 22) + "x = f22(x: 1)", "nested more than"},
		{"wide display", nested + "x = display(v: a40)", "written out"},
		{"wide record", twice("a", "{x: 1}", "{x: PREV, y: PREV}", 40) + "x = display(v: a40)", "written out"},
		{"wide dictionary", twice("a", "[1: 1]", "[1: {x: PREV}, 2: {x: PREV}]", 40) + "x = display(v: a40)", "written out"},
		{"wide json", nested + "x = json.encode(v: a40)", "written out"},
		{"wide dynamic", nested + "x = dynamic.dynamic(v: a40)", "written out"},
		{"wide comparison", nested + twice("b", `["x"]`, "[PREV, PREV]", 40) + "x = a40 == b40", "written out"},
		{"wide search", nested + twice("b", `["x"]`, "[PREV, PREV]", 40) + "x = contains(value: a40, set: [b40])", "written out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := run(ctx, heads+c.script); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, want an error with %q", err, c.want)
			}
		})
	}
}
