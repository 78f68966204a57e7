package universe

import (
	"errors"
	"math"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// values adds functions of single values, and the options that scripts set.
func values(p *lib.Package) {
	p.Value("inf", value.OfDuration(value.Span{Nanos: math.MaxInt64}))
	p.Option("location", value.OfRecord(value.NewRecord([]string{"zone", "offset"},
		[]value.Value{value.OfString("UTC"), value.OfDuration(value.Span{})})))
	p.Option("now", value.OfFunction(&value.Func{Name: "now", Do: func(c *value.Call) (value.Value, error) {
		return value.OfTime(flow.RunOf(c).Now), nil
	}}))
	p.Func("today", "", func(c *value.Call) (value.Value, error) {
		now, err := flow.Now(c)
		if err != nil {
			return value.Value{}, err
		}
		zone, err := flow.RunOf(c).Zone()
		if err != nil {
			return value.Value{}, err
		}
		y, m, d := time.Unix(0, now).In(zone).Date()
		return value.OfTime(time.Date(y, m, d, 0, 0, 0, 0, zone).UnixNano()), nil
	})
	p.Func("display", "v: any", func(c *value.Call) (value.Value, error) {
		if err := c.Args[0].Bounded(); err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		return value.OfString(c.Args[0].Display()), nil
	})
	p.Func("die", "msg: string", func(c *value.Call) (value.Value, error) {
		return value.Value{}, errors.New(c.Str("msg", ""))
	})
	p.Func("length", "arr: array|dict", func(c *value.Call) (value.Value, error) {
		v := c.Args[0]
		if v.Kind() == value.Dict {
			return value.OfInt(int64(v.Dict().Len())), nil
		}
		return value.OfInt(int64(len(v.Array()))), nil
	})
	p.Func("contains", "value: any, set: array", func(c *value.Call) (value.Value, error) {
		if err := value.Comparable(c.Arg("value"), c.Arg("set")); err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		for _, e := range c.Arg("set").Array() {
			if v := c.Arg("value"); !v.IsNull() && !e.IsNull() && value.Same(v, e) {
				return value.OfBool(true), nil
			}
		}
		return value.OfBool(false), nil
	})
}
