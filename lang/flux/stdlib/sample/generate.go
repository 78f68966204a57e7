package sample

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// pieceRows is how many rows are generated at a time.
const pieceRows = 4096

// generate returns package generate.
func generate() *lib.Package {
	return lib.New("generate").Func("from", "start: time|duration, stop: time|duration, count: int, fn: function", func(c *value.Call) (value.Value, error) {
		for _, name := range []string{"start", "stop", "count", "fn"} {
			if c.Arg(name).IsNull() {
				return value.Value{}, c.Errorf("argument %s must not be null", name)
			}
		}
		start, err := flow.ArgTime(c, "start")
		if err != nil {
			return value.Value{}, err
		}
		stop, err := flow.ArgTime(c, "stop")
		if err != nil {
			return value.Value{}, err
		}
		g := &Generated{Start: start.UnixNano(), Stop: stop.UnixNano(), Count: c.Int("count", 0), Fn: c.Arg("fn").Func()}
		switch {
		case g.Count < 0:
			return value.Value{}, c.Errorf("count must not be negative: %d", g.Count)
		case g.Stop < g.Start:
			return value.Value{}, c.Errorf("stop must not be before start")
		case g.Fn.Param("n") < 0:
			return value.Value{}, c.Errorf("fn must have a parameter n, as in (n) => n * n")
		}
		return flow.New(c, g), nil
	})
}

// Generated is a table of what a function makes of 0, 1, 2, ..., at times spread
// evenly from Start, in nanoseconds since 1970, to before Stop.
type Generated struct {
	Start, Stop, Count int64
	Fn                 *value.Func
}

// Name implements flow.Op.
func (*Generated) Name() string { return "generate.from" }

// Details implements flow.Op.
func (g *Generated) Details() string { return fmt.Sprintf("count: %d", g.Count) }

// Open implements flow.Op.
func (g *Generated) Open(run *flow.Run, _ []table.Reader) (table.Reader, error) {
	key := table.NewKey([]string{"_start", "_stop"}, []value.Value{value.OfTime(g.Start), value.OfTime(g.Stop)})
	return &generating{of: g, run: run, key: key, param: g.Fn.Param("n"),
		call: value.Call{Env: run, Func: g.Fn, Args: make([]value.Value, len(g.Fn.Params))}}, nil
}

// generating is the reader of a Generated.
type generating struct {
	of    *Generated
	run   *flow.Run
	key   *table.Key
	call  value.Call
	param int
	at    int64
	begun bool
}

// Next implements table.Reader.
func (g *generating) Next() (*table.Table, error) {
	n := min(g.of.Count-g.at, pieceRows)
	if n == 0 && g.begun {
		return nil, nil
	}
	g.begun = true
	step := int64(0)
	if g.of.Count > 0 {
		step = (g.of.Stop - g.of.Start) / g.of.Count
	}
	times, values := make([]int64, n), make([]int64, n)
	for i := range times {
		if i%256 == 0 {
			if err := g.run.Ended(); err != nil {
				return nil, err
			}
		}
		g.call.Args[g.param] = value.OfInt(g.at)
		v, err := g.of.Fn.Do(&g.call)
		if err != nil {
			return nil, err
		}
		if v.Kind() != value.Int || v.IsNull() {
			return nil, fmt.Errorf("fn must return int, not %s", v.Describe())
		}
		times[i], values[i] = g.of.Start+g.at*step, v.Int()
		g.at++
	}
	t := &table.Table{Key: g.key, Rows: len(times)}
	t = t.WithKey(g.key)
	t.Cols = append(t.Cols, table.Times("_time", times), table.Ints("_value", values))
	return t, nil
}

// Close implements table.Reader.
func (*generating) Close() {}
