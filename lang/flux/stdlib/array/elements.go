package array

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// elements adds functions of the elements of arrays.
func elements(p *lib.Package) *lib.Package {
	return p.
		Func("concat", "<-arr: array, v: array", func(c *value.Call) (value.Value, error) {
			a, b := c.Arg("arr").Array(), c.Arg("v").Array()
			// Before it is made: an array that is joined to itself again and
			// again doubles each time.
			const elementBytes = 64
			n := int64(len(a)+len(b)) * elementBytes
			if err := flow.RunOf(c).Reserve(n); err != nil {
				return value.Value{}, err
			}
			defer flow.RunOf(c).Release(n)
			all := make([]value.Value, 0, len(a)+len(b))
			return value.OfArray(append(append(all, a...), b...)), nil
		}).
		Func("map", "<-arr: array, fn: function", func(c *value.Call) (value.Value, error) {
			all := make([]value.Value, 0, len(c.Arg("arr").Array()))
			err := each(c, func(_, v value.Value) error {
				all = append(all, v)
				return nil
			})
			return value.OfArray(all), err
		}).
		Func("filter", "<-arr: array, fn: function", func(c *value.Call) (value.Value, error) {
			var all []value.Value
			err := each(c, func(x, v value.Value) error {
				if v.Kind() != value.Bool && !v.IsNull() {
					return c.Errorf("fn must return bool, not %s", v.Kind())
				}
				if !v.IsNull() && v.Bool() {
					all = append(all, x)
				}
				return nil
			})
			return value.OfArray(all), err
		}).
		Func("contains", "<-arr: array, value: any", func(c *value.Call) (value.Value, error) {
			if err := value.Comparable(c.Arg("value"), c.Arg("arr")); err != nil {
				return value.Value{}, c.Errorf("%w", err)
			}
			for _, x := range c.Arg("arr").Array() {
				if value.Same(x, c.Arg("value")) {
					return value.OfBool(true), nil
				}
			}
			return value.OfBool(false), nil
		})
}

// each calls the function fn of a call with each element x.
//
// What it returned is reserved until each returns: whoever keeps it then
// reserves it as part of an array.
func each(c *value.Call, use func(x, v value.Value) error) error {
	fn := c.Arg("fn").Func()
	account := flow.RunOf(c).Account()
	defer account.Clear()
	unreserved := int64(0)
	for i, x := range c.Arg("arr").Array() {
		if i%256 == 0 {
			if err := flow.RunOf(c).Ended(); err != nil {
				return err
			}
		}
		v, err := c.InvokeNamed(fn, map[string]value.Value{"x": x})
		if err != nil {
			return err
		}
		const reserveAt = 64 << 10
		if unreserved += v.Size(); unreserved >= reserveAt {
			if err := account.Add(unreserved); err != nil {
				return err
			}
			unreserved = 0
		}
		if err := use(x, v); err != nil {
			return err
		}
	}
	return nil
}

// conversions is what experimental/array has besides: each element converted as
// the function of the prelude does it.
const conversions = `
toString = (arr=<-) => arr |> map(fn: (x) => string(v: x))
toInt = (arr=<-) => arr |> map(fn: (x) => int(v: x))
toUInt = (arr=<-) => arr |> map(fn: (x) => uint(v: x))
toFloat = (arr=<-) => arr |> map(fn: (x) => float(v: x))
toBool = (arr=<-) => arr |> map(fn: (x) => bool(v: x))
toTime = (arr=<-) => arr |> map(fn: (x) => time(v: x))
toDuration = (arr=<-) => arr |> map(fn: (x) => duration(v: x))
`
