package flux

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/stdlib"
	"github.com/varvedb/varve/lang/flux/value"
)

var (
	crashSeed  = flag.Uint64("crash-seed", 1, "seed of the random calls of every function")
	crashCalls = flag.Int("crash-calls", 5, "how many random calls are made of every function")
)

// expressions are values of each kind, odd ones among them.
var expressions = map[value.Kind][]string{
	value.Bool:     {"true", "false", `debug.null(type: "bool")`},
	value.Int:      {"0", "1", "-1", "3", "9223372036854775807", "-9223372036854775807 - 1", `debug.null(type: "int")`},
	value.Uint:     {"uint(v: 0)", "uint(v: 2)", "uint(v: -1)", `debug.null(type: "uint")`},
	value.Float:    {"0.0", "1.5", "-2.0", `float(v: "NaN")`, `float(v: "+Inf")`, "100000000000000000000.0", `debug.null(type: "float")`},
	value.String:   {`""`, `"a"`, `"_value"`, `"_time"`, `"h"`, `"1h"`, `"nowhere"`, `"ä\n,\""`, `"left"`, `"2020-01-01T00:00:00Z"`, `debug.null(type: "string")`},
	value.Time:     {"2020-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "time(v: 9223372036854775807)", "time(v: -9223372036854775807)", `debug.null(type: "time")`},
	value.Duration: {"0s", "1ns", "1m", "-1h", "1mo", "1y", "10000d", "inf", `debug.null(type: "duration")`},
	value.Regexp:   {"/a/", "/.*/", `debug.null(type: "regexp")`},
	value.Bytes:    {`bytes(v: "a")`, `bytes(v: "{\"a\": [1]}")`, `debug.null(type: "bytes")`},
	value.Array: {"[]", "[1]", `["_value"]`, `["h", "_value"]`, `["a", "a"]`, "[1.5]", "[{a: 1}]", "[{key: 1, value: 2}]", "[data, data]", "[[1]]", "[(r) => true]",
		`[debug.null(type: "string")]`, "[0.0, 1.0, 2.0]"},
	value.Record: {"{}", "{a: 1}", "{lat: 1.0, lon: 2.0}", `{zone: "Europe/Kyiv", offset: 0h}`, "{a: data, b: data}", "{_value: 0.0}", `{_value: "x", h: 1}`,
		"{period: 1h, offset: 0s, every: 1m}", `{lat: debug.null(), lon: "x"}`, `debug.null()`},
	value.Dict: {"[:]", `["a": 1]`, "[1: 2]"},
	value.Function: {"(r) => true", "(r) => ({r with x: 1})", "(r) => r._value > 1", "(x) => x", "(n) => n", "(key) => true", `(column) => column + "2"`, "(r, accumulator) => accumulator",
		"(tables=<-, column) => tables |> limit(n: 1)", "() => 1", "(l, r) => ({l with b: 1})", "(r) => die(msg: \"x\")", "(left, right) => left", "mean", "last"},
	value.Stream:  {"data", "none", "data |> group()", `data |> drop(columns: ["_value"])`, `data |> toString()`, `data |> limit(n: 0)`, "ints", `array.from(rows: [{x: 1}])`},
	value.Dynamic: {"dynamic.dynamic(v: 1)", `dynamic.dynamic(v: {a: [1]})`, "dynamic.dynamic(v: debug.null())"},
	value.Null:    {"debug.null()"},
}

// around is what every script has.
const around = `
import "array"
import "internal/debug"
import "experimental/dynamic"
data = array.from(rows: [
    {_time: 2020-01-01T00:00:00Z, _value: 1.5, h: "a", _field: "f", _start: 2020-01-01T00:00:00Z, _stop: 2020-01-01T01:00:00Z},
    {_time: 2020-01-01T00:01:00Z, _value: debug.null(type: "float"), h: "a", _field: "f", _start: 2020-01-01T00:00:00Z, _stop: 2020-01-01T01:00:00Z},
    {_time: 2020-01-01T00:02:00Z, _value: 3.0, h: "b", _field: "f", _start: 2020-01-01T00:00:00Z, _stop: 2020-01-01T01:00:00Z},
    {_time: debug.null(type: "time"), _value: -1.0, h: debug.null(type: "string"), _field: "f", _start: 2020-01-01T00:00:00Z, _stop: 2020-01-01T01:00:00Z},
]) |> group(columns: ["h", "_field", "_start", "_stop"])
ints = data |> toInt()
none = data |> filter(fn: (r) => false, onEmpty: "keep")
`

// TestNoCallCrashes calls every function of the library with random arguments
// that it says it takes, and reads what comes of it. It may fail; it may not
// crash, nor go on without end.
func TestNoCallCrashes(t *testing.T) {
	r := rand.New(rand.NewPCG(*crashSeed, 0))
	packages := stdlib.Packages()
	for _, path := range slices.Sorted(maps.Keys(packages)) {
		p := packages[path]
		for _, name := range slices.Sorted(maps.Keys(p.Values)) {
			v := p.Values[name]
			if v.Kind() != value.Function {
				continue
			}
			call := name
			if path != "" {
				call = "p." + name
			}
			for range *crashCalls {
				script := around
				if path != "" {
					script += fmt.Sprintf("import p %q\n", path)
				}
				script += randomCall(r, call, v.Func())
				tryScript(t, imported(script))
			}
		}
	}
}

// imported returns a script with its imports in front.
func imported(script string) string {
	var imports, rest []string
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "import ") {
			imports = append(imports, line)
		} else {
			rest = append(rest, line)
		}
	}
	return strings.Join(imports, "") + strings.Join(rest, "")
}

// randomCall writes a call of f.
func randomCall(r *rand.Rand, name string, f *value.Func) string {
	var args []string
	for _, p := range f.Params {
		if p.Optional && r.IntN(2) == 0 {
			continue
		}
		var kinds []value.Kind
		for k := value.Null; k <= value.Dynamic; k++ {
			if p.Kinds.Has(k) {
				kinds = append(kinds, k)
			}
		}
		if r.IntN(20) == 0 {
			kinds = []value.Kind{value.Null}
		}
		list := expressions[kinds[r.IntN(len(kinds))]]
		args = append(args, p.Name+": "+list[r.IntN(len(list))])
	}
	return "x = " + name + "(" + strings.Join(args, ", ") + ")\nx"
}

func tryScript(t *testing.T, script string) {
	t.Helper()
	const deadline = 500 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	defer func() {
		if e := recover(); e != nil {
			t.Errorf("seed %d: %s\ncrashed: %v", *crashSeed, script[strings.LastIndex(script, "x = "):], e)
		}
	}()
	began := time.Now()
	if _, err := run(ctx, script); err != nil && strings.Contains(err.Error(), "BUG") {
		t.Errorf("seed %d: %s\n%v", *crashSeed, script[strings.LastIndex(script, "x = "):], err)
	}
	if took := time.Since(began); took > 10*deadline {
		t.Errorf("seed %d: %s\nwent on for %v", *crashSeed, script[strings.LastIndex(script, "x = "):], took)
	}
}
