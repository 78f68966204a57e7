package universe

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// rows adds what chooses, computes and orders rows.
func rows(p *lib.Package) {
	p.Func("range", "<-tables: stream, start: time|duration|int, ?stop: time|duration|int", rangeRows)
	p.Func("filter", "<-tables: stream, fn: function, ?onEmpty: string", filter)
	p.Func("map", "<-tables: stream, fn: function, ?mergeKey: bool", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Map{Fn: c.Arg("fn").Func(), MergeKey: c.Bool("mergeKey", false)}, flow.Input(c, "tables")), nil
	})
	p.Func("sort", "<-tables: stream, ?columns: [string], ?desc: bool", func(c *value.Call) (value.Value, error) {
		op := &transform.Sort{Columns: c.Strings("columns", "_value"), Desc: c.Bool("desc", false)}
		return flow.New(c, op, flow.Input(c, "tables")), nil
	})
	p.Func("limit", "<-tables: stream, n: int, ?offset: int", func(c *value.Call) (value.Value, error) {
		n, offset, err := limits(c)
		if err != nil {
			return value.Value{}, err
		}
		return flow.New(c, &transform.Limit{N: n, Offset: offset}, flow.Input(c, "tables")), nil
	})
	p.Func("tail", "<-tables: stream, n: int, ?offset: int", func(c *value.Call) (value.Value, error) {
		n, offset, err := limits(c)
		if err != nil {
			return value.Value{}, err
		}
		return flow.New(c, &transform.Tail{N: n, Offset: offset}, flow.Input(c, "tables")), nil
	})
	p.Func("fill", "<-tables: stream, ?column: string, ?value: any, ?usePrevious: bool", func(c *value.Call) (value.Value, error) {
		return transform.CallFill(c, c.Str("column", "_value"))
	})
}

// limits returns the arguments of functions that return some rows of a table.
func limits(c *value.Call) (n, offset int64, err error) {
	n, offset = c.Int("n", 0), c.Int("offset", 0)
	if n < 0 || offset < 0 {
		return 0, 0, c.Errorf("n and offset must not be negative")
	}
	return n, offset, nil
}

func rangeRows(c *value.Call) (value.Value, error) {
	present, err := flow.Now(c)
	if err != nil {
		return value.Value{}, err
	}
	zone := time.UTC
	if c.Arg("start").Kind() == value.Duration || c.Arg("stop").Kind() == value.Duration {
		// Times need none, and the option may be one that only windows know.
		if zone, err = flow.RunOf(c).Zone(); err != nil {
			return value.Value{}, err
		}
	}
	start, err := transform.Instant(c.Arg("start"), present, zone)
	if err != nil {
		return value.Value{}, c.Errorf("start: %w", err)
	}
	stop := present
	if c.Has("stop") {
		if stop, err = transform.Instant(c.Arg("stop"), present, zone); err != nil {
			return value.Value{}, c.Errorf("stop: %w", err)
		}
	}
	if start >= stop {
		return value.Value{}, fmt.Errorf("cannot query an empty range: %s is not before %s", value.OfTime(start).Text(), value.OfTime(stop).Text())
	}
	return flow.New(c, &transform.Range{Start: start, Stop: stop}, flow.Input(c, "tables")), nil
}

func filter(c *value.Call) (value.Value, error) {
	op := &transform.Filter{Fn: c.Arg("fn").Func()}
	switch mode := c.Str("onEmpty", "drop"); mode {
	case "drop":
	case "keep":
		op.KeepEmpty = true
	default:
		return value.Value{}, c.Errorf("onEmpty must be keep or drop, not %q", mode)
	}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}
