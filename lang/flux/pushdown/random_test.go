package pushdown_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/storage/storagetest"
)

var (
	seed    = flag.Uint64("seed", 0, "of the random scripts; 0 takes another one each time")
	scripts = flag.Int("scripts", 400, "how many random scripts are run")
)

// grammar makes scripts.
type grammar struct{ *rand.Rand }

func (g grammar) of(options ...string) string { return options[g.IntN(len(options))] }

// leaf is a comparison.
func (g grammar) leaf() string {
	switch g.IntN(15) {
	case 11:
		return g.of(`r.u == "a"`, `r["u"] != "b"`, `exists r.u`, `not exists r.free`, `r.free =~ /x/`, `r.u !~ /b/`, `r["host"] != "a"`, `r["zone"] == "x"`)
	case 12:
		return fmt.Sprintf("r._%s %s %s", g.of("start", "stop"), g.of("<", "<=", ">", "==", "!="), at(5*g.IntN(40)))
	case 13:
		return g.of(`r.host < "b"`, `r.zone >= "x"`, `r.host == r.zone`, `r._field == r.u`, `r._value != r._value`, `r._value == 1 or r.host == "a"`, `r._value > 1.0 and r._measurement == "cpu"`, `(r._field == "u" and r._value > 2) or (r._field == "idle" and r._value < 1)`, `(if r.host == "a" then r._value > 1.0 else true)`)
	case 14:
		return g.of("r._time >= 2024-01-31T23:00:00Z and r._time < 2024-02-01T00:30:00Z", "r._time > 2024-02-01T00:00:00Z or r.host == \"a\"", "true", "false", `r._field != "u"`, `r._measurement == "mix"`, `r._measurement == "mix" and r._field == "u"`)
	case 9:
		return fmt.Sprintf("r._time %s %s", g.of("<", "<=", ">", ">=", "==", "!="), at(5*g.IntN(40)))
	case 0:
		return fmt.Sprintf("r._measurement %s %q", g.of("==", "!="), g.of("cpu", "mem", "net", "log", "none"))
	case 1:
		return "r._measurement " + g.of("=~", "!~") + " " + g.of("/^(cpu|mem)$/", "/e/", "/^c/", "/./")
	case 2:
		return fmt.Sprintf("r._field %s %q", g.of("==", "==", "!=", "<"), g.of("u", "idle", "free", "text", "bytes"))
	case 3:
		return "r._field " + g.of("=~", "!~") + " " + g.of("/^(u|s)$/", "/e/", "/^[is]/")
	case 4:
		return fmt.Sprintf("r.%s %s %q", g.of("host", "zone", "nothing"), g.of("==", "!="), g.of("a", "b", "x", ""))
	case 5:
		return "r." + g.of("host", "zone") + " " + g.of("=~", "!~") + " " + g.of("/a/", "/^(a|c)$/", "/.*/", "/^$/")
	case 6:
		return "exists r." + g.of("host", "zone", "nothing", "_value")
	case 7:
		return fmt.Sprintf("r._value %s %s", g.of("==", "!=", "<", "<=", ">", ">="), g.of("4.0", "2", "7.5", "uint(v: 3)", "float(v: \"3\")", "0"))
	case 8:
		return g.of(`r._value == "a"`, `r._value != "b"`, `r._value =~ /r/`, `r._value == true`, `3 < r._value`)
	}
	return g.of(`contains(value: r.host, set: ["a", "c"])`, `contains(value: r._field, set: ["u", "free"])`,
		`r["_measurement"] == m`, `isHost(r: r)`, "true")
}

func (g grammar) predicate(depth int) string {
	if depth == 0 || g.IntN(3) == 0 {
		if g.IntN(5) == 0 {
			return "not (" + g.leaf() + ")"
		}
		return g.leaf()
	}
	s := "(" + g.predicate(depth-1) + " " + g.of("and", "and", "or") + " " + g.predicate(depth-1) + ")"
	if g.IntN(8) == 0 {
		return "not " + s
	}
	return s
}

// typed is a filter that leaves fields of one type, which most functions need.
func (g grammar) typed() string {
	return g.of(
		`filter(fn: (r) => r._measurement == "cpu")`,
		`filter(fn: (r) => r._measurement == "mem")`,
		`filter(fn: (r) => r._measurement == "mix")`,
		`filter(fn: (r) => r._measurement == "mix" and r._field == "u")`,
		`filter(fn: (r) => r._field == "u")`,
		`filter(fn: (r) => r._measurement == "cpu" and r._field == "idle")`,
		`filter(fn: (r) => r._measurement == "net" and r._field == "bytes")`,
		`filter(fn: (r) => r._field =~ /^(u|s|idle)$/)`,
	)
}

// any makes a script.
func (g grammar) any() string {
	start, stop := g.IntN(100), 100+g.IntN(120)
	if g.IntN(15) == 0 {
		stop = start + g.IntN(2)
	}
	steps := []string{`from(bucket: "b")`, fmt.Sprintf("range(start: %s, stop: %s)", at(start), at(stop))}
	if g.IntN(4) > 0 {
		steps = append(steps, g.typed())
	}
	for range g.IntN(3) {
		steps = append(steps, "filter(fn: (r) => "+g.predicate(g.IntN(3))+")")
	}
	if g.IntN(8) == 0 {
		steps = append(steps, `drop(columns: ["_start", "_stop"])`)
	}
	steps = append(steps, g.tail()...)
	if g.IntN(5) == 0 {
		steps = append(steps, g.of(
			`drop(columns: ["_start", "_stop"])`, `drop(columns: ["_start", "_stop", "_measurement"])`, `drop(columns: ["_time", "_field"])`,
			`keep(columns: ["_time", "_value", "_field", "host"])`, `keep(columns: ["_value", "_measurement", "_field", "host", "zone"])`))
	}
	head := ""
	if g.IntN(6) == 0 {
		head = "import \"timezone\"\n\noption location = timezone.location(name: \"" + g.of("Europe/Berlin", "America/New_York", "Asia/Kolkata") + "\")\n"
	}
	return head + "m = \"cpu\"\nisHost = (r) => r.host == \"a\" or r.host == \"b\"\n" + strings.Join(steps, "\n\t|> ")
}

func at(minutes int) string {
	return base.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339)
}

// fn is a function of windows and tables.
func (g grammar) fn() string {
	return g.of("count", "sum", "mean", "min", "max", "first", "last", "spread", "stddev", "median")
}

// called is a call of such a function.
func (g grammar) called() string {
	switch g.IntN(12) {
	case 0:
		return `stddev(mode: "population")`
	case 1:
		return `quantile(q: 0.7, method: "exact_mean")`
	case 2:
		return "quantile(q: 0.3)"
	}
	return g.fn() + "()"
}

// every is the arguments of windows.
func (g grammar) every() string {
	return "every: " + g.of("7m", "20m", "1h", "30m", "1d", "1mo", "1w", "1y", "2h", "13h", "3mo") + g.of("", "", "", ", offset: 3m", ", offset: -1m", ", period: 10m", ", offset: 2h", ", offset: -25h")
}

// grouping puts tables together.
func (g grammar) grouping() []string {
	return []string{g.of(
		`group()`,
		`group(columns: ["host"])`,
		`group(columns: ["host", "_field", "_measurement"])`,
		`group(columns: ["zone", "_field"])`,
		`group(columns: ["_start", "_stop", "_measurement", "_field"])`,
		`group(columns: ["host", "_time", "_value", "zone"], mode: "except")`,
		`group(columns: ["_time", "_value", "zone"], mode: "except")`,
		`group(columns: ["host"]) |> group(columns: ["zone"])`,
		`drop(columns: ["host"])`,
		`drop(columns: ["host", "_field", "_measurement"])`,
		`keep(columns: ["_time", "_value", "zone"])`,
		`drop(columns: ["zone", "_start", "_stop"])`,
		`keep(columns: ["_time", "_value", "_field", "_measurement", "host"])`,
		`keep(columns: ["_value", "_field", "_measurement", "zone"])`,
		`drop(columns: ["zone"]) |> group(columns: ["host", "zone", "_measurement", "_field"])`,
	)}
}

// condensed makes few rows of many.
func (g grammar) condensed() []string {
	var s []string
	grouped := g.IntN(3) == 0
	if grouped {
		s = g.grouping()
		if strings.Contains(s[0], "group(") && !strings.Contains(s[0], `keep(columns: ["_value"`) {
			s[0] += " " + byTime
		}
	}
	switch g.IntN(5) {
	case 0:
		s = append(s, "window("+g.every()+g.of("", ", createEmpty: true")+")", g.called())
		if g.IntN(2) == 0 {
			s = append(s, fmt.Sprintf("duplicate(column: %q, as: \"_time\")", g.of("_stop", "_start")), "window(every: inf)")
		}
	case 1, 2:
		s = append(s, fmt.Sprintf("aggregateWindow(%s, fn: %s%s%s)", g.every(), g.fn(), g.of("", ", createEmpty: false"), g.of("", `, timeSrc: "_start"`)))
	default:
		s = append(s, g.called())
	}
	if g.IntN(4) == 0 && !grouped {
		s = append(s, `filter(fn: (r) => r.host == "a" and r._measurement != "mem")`)
	}
	return s
}

// tail is what a script does with the rows.
func (g grammar) tail() []string {
	switch g.IntN(15) {
	case 14:
		s := []string{}
		if g.IntN(2) == 0 {
			s = g.grouping()
		}
		return append(s, g.of(`distinct(column: "host")`, `distinct(column: "_field")`, `unique(column: "zone")`, `keys()`, `columns()`, `keys() |> keep(columns: ["_value"]) |> distinct()`))
	case 8, 9, 10, 11, 12, 13:
		return g.condensed()
	case 0:
		return []string{fmt.Sprintf("limit(n: %d, offset: %d)", g.IntN(4), g.IntN(3))}
	case 1:
		return []string{fmt.Sprintf("tail(n: %d, offset: %d)", 1+g.IntN(4), g.IntN(3))}
	case 2:
		s := []string{"sort(columns: [\"_time\"]" + g.of("", ", desc: true") + ")"}
		if g.IntN(2) == 0 {
			s = append(s, fmt.Sprintf("limit(n: %d)", 1+g.IntN(4)))
		}
		return s
	case 3:
		return []string{`pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")`, `sort(columns: ["_time"])`}
	}
	return nil
}

// Pushed down or not, a script gives the same tables.
func TestRandomScripts(t *testing.T) {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	rng := rand.New(rand.NewPCG(s, 3))
	var h *storagetest.Host
	whole := 0 // those of which nothing is left but a plan
	for i := range *scripts {
		if i%50 == 0 {
			h = storagetest.New(t, anyPoints(rng, []int{0, 30, 300, 1500}[i/50%4]), 1+rng.IntN(3))
		}
		if strings.HasPrefix(compare(t, h, grammar{rng}.any()), "_result:\nfrom") {
			whole++
		}
	}
	if whole < *scripts/2 {
		t.Errorf("%d of %d scripts are plans altogether, which is too few to believe in the test", whole, *scripts)
	}
	t.Logf("%d of %d scripts are plans altogether", whole, *scripts)
}
