package interp

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// free is memory without a limit.
type free struct{}

func (free) Reserve(int64) error { return nil }
func (free) Release(int64)       {}

// library returns a prelude in which show(v:) notes what it is given.
func library(shown *[]string) map[string]*lib.Package {
	prelude := lib.New("").
		Func("show", "<-v: any", func(c *value.Call) (value.Value, error) {
			*shown = append(*shown, c.Arg("v").Display())
			return c.Arg("v"), nil
		}).
		Func("twice", "<-n: int, ?by: int", func(c *value.Call) (value.Value, error) {
			return value.OfInt(c.Arg("n").Int() * c.Int("by", 2)), nil
		}).
		Option("zone", value.OfString("UTC"))
	tools := lib.New("some/tools").
		Value("one", value.OfInt(1)).
		Option("level", value.OfInt(3)).
		Flux("above = (n) => n > level\n_hidden = 5\nhidden = () => _hidden")
	return map[string]*lib.Package{"": prelude, "some/tools": tools}
}

// exec runs a script and returns what it showed.
func exec(ctx context.Context, src string) ([]string, error) {
	f, err := syntax.Parse(src)
	if err != nil {
		return nil, err
	}
	var shown []string
	run := flow.NewRun(ctx, free{}, time.Unix(0, 0))
	_, err = New(run, library(&shown)).Exec(nil, f)
	return shown, err
}

func TestExpressions(t *testing.T) {
	for src, want := range map[string]string{
		`show(v: 1 + 2 * 3)`:                                        "7",
		`show(v: (1 + 2) * 3)`:                                      "9",
		`show(v: 7 / 2)`:                                            "3",
		`show(v: 7.0 / 2.0)`:                                        "3.5",
		`show(v: 7 % 4)`:                                            "3",
		`show(v: 2 ^ 3)`:                                            "8",
		`show(v: 2 ^ -1)`:                                           "0.5",
		`show(v: 1.0 / 0.0)`:                                        "+Inf",
		`show(v: "a" + "b")`:                                        "ab",
		`show(v: -3)`:                                               "-3",
		`show(v: 1h30m)`:                                            "1h30m",
		`show(v: -1mo)`:                                             "-1mo",
		`show(v: 2020-01-01T00:00:00Z)`:                             "2020-01-01T00:00:00.000000000Z",
		`show(v: 1 < 2 and not 2 < 1)`:                              "true",
		`show(v: "abc" =~ /b/)`:                                     "true",
		`show(v: "abc" !~ /b/)`:                                     "false",
		`show(v: if 1 == 1 then "y" else "n")`:                      "y",
		`show(v: [1, 2, 3])`:                                        "[1, 2, 3]",
		`show(v: [1, 2, 3][1])`:                                     "2",
		`show(v: {a: 1, b: "x"})`:                                   "{a: 1, b: x}",
		`r = {a: 1} show(v: {r with b: 2, a: 3})`:                   "{a: 3, b: 2}",
		`r = {a: 1} show(v: r.a)`:                                   "1",
		`r = {a: 1} show(v: r["a"])`:                                "1",
		`show(v: ["k": 1])`:                                         "[k: 1]",
		`x = 3 show(v: "x is ${x + 1}!")`:                           "x is 4!",
		`f = (a, b=2) => a * b show(v: f(a: 3))`:                    "6",
		`f = (a, b=2) => a * b show(v: f(a: 3, b: 5))`:              "15",
		`f = (t=<-, by) => t * by show(v: 4 |> f(by: 2))`:           "8",
		`f = (x) => { y = x + 1 return y * 2 } show(v: f(x: 1))`:    "4",
		`add = (n) => (x) => x + n f = add(n: 10) show(v: f(x: 1))`: "11",
		`f = (n) => { g = (m) => n + m return g(m: 1) } show(v: f(n: 1))`: "2",
		`a = 1 show(v: {a})`:                                                    "{a: 1}",
		`twice(n: 4) |> show()`:                                                 "8",
		`4 |> twice(by: 3) |> show()`:                                           "12",
		`import "some/tools" show(v: tools.one)`:                                "1",
		`import t "some/tools" show(v: t.above(n: 4))`:                          "true",
		`import "some/tools" option tools.level = 9 show(v: tools.above(n: 4))`: "false",
		`import "some/tools" show(v: tools.hidden())`:                           "5",
		`option zone = "Mars" show(v: zone)`:                                    "Mars",
		`show(v: exists {a: 1}.a)`:                                              "true",
		`option v = {bucket: "b"} show(v: v.bucket)`:                            "b",
	} {
		got, err := exec(context.Background(), src)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s\nshowed %q, %v: want %q", src, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for src, want := range map[string]string{
		"some = 1 x = smoe":                  `undefined identifier "smoe"; did you mean some?`,
		"f = (value) => vlaue":               `undefined identifier "vlaue"; did you mean value?`,
		"tools.one":                          `undefined identifier "tools"; the script has to begin with import "some/tools"`,
		"SELECT":                             `scripts are in Flux`,
		"v.timeRangeStart":                   `undefined identifier "v"; dashboards define it`,
		"x = 1\ny = x + nope":                `error @2:9-2:13: undefined identifier "nope"`,
		`show(v: 1 + "a")`:                   `error @1:9-1:16: type conflict: int + string`,
		`show(v: 1 / 2.0)`:                   `type conflict: int / float; convert one of them, as by float(v: ...)`,
		`show(v: "a" + 1.0)`:                 `type conflict: string + float; make a text of it by string(v: ...)`,
		`show(v: 2020-01-01T00:00:00Z + 1h)`: `type conflict: time + duration; date.add(d: ..., to: ...) moves a time on`,
		`show(v: 2020-01-01T00:00:00Z - 1h)`: `date.sub(d: ..., from: ...) moves a time back`,
		`show(v: "a" =~ "a")`:                `=~ is not an operation on string; a pattern stands between slashes`,
		`show(v: 1 % 0)`:                     `cannot mod zero`,
		`"` + strings.Repeat("a", 1<<20) + `" =~ /(a?){500}(b|c)$/`: `too long for a regular expression`,
		`show(v: 1 / 0)`:                        `cannot divide by zero`,
		`show()`:                                `error @1:1-1:7: show: missing required argument v`,
		`show(v: 1, w: 2)`:                      `found unexpected argument w`,
		`twice(n: "x")`:                         `argument n must be int, not string`,
		`import "no/such"`:                      `there is no package "no/such" to import`,
		`{a: 1}.b`:                              `record {a: 1} has no property "b"`,
		`[1][1]`:                                `cannot access element 1 in array of length 1`,
		`x = 1 x()`:                             `expected a function to call but found int`,
		`f = (x) => x f()`:                      `missing required argument x`,
		`[1, "a"]`:                              `expected int but found string`,
		`f = (x) => { y = 1 }`:                  `return`,
		`x = 1 x = 2`:                           `variable "x" is defined already`,
		`4 |> (() => 1)()`:                      `nothing can be piped to it`,
		`import "some/tool"`:                    `there is no package "some/tool" to import; did you mean some/tools?`,
		`import "some/tools" tools.abvoe(n: 1)`: `package tools has no "abvoe"; did you mean above?`,
		`import "some/tools" option tools.levle = 1`: `package tools has no option "levle"; did you mean level?`,
		`import "some/tools" tools.above()`:          `error @1:21-1:34: tools.above: missing required argument n`,
		`import "some/tools" tools.above(n: "a")`:    `error @1:21-1:40: `,
		`f = (x) => x f(y: 1)`:                       `f: found unexpected argument y; it takes x`,
		`import "some/tools" option tools.no = 1`:    `package tools has no option "no"`,
		`if 1 then 2 else 3`:                         `if takes bool, not int`,
		// A function that is given to itself ends all the same.
		`f = (g, n) => g(g: g, n: n + 1) f(g: f, n: 0)`: `nested more than 500 deep`,
	} {
		_, err := exec(context.Background(), src)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %v: want %q in it", src, err, want)
		}
	}
}

// A script whose calls double at every level would run for longer than anybody
// lives; it ends when its request does.
func TestEndsInTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := exec(ctx, `f = (g, n) => if n == 0 then 0 else g(g: g, n: n - 1) + g(g: g, n: n - 1) f(g: f, n: 200)`)
	if err == nil {
		t.Error("it came to an end")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it went on for %v after its deadline", took)
	}
}
