// Package kinds holds the packages of the standard library that look at kinds of
// values and take compound ones apart: types, dict, bitwise, experimental/record.
package kinds

import (
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the packages.
func Packages() []*lib.Package {
	types := lib.New("types").
		Func("isType", "v: any, type: string", func(c *value.Call) (value.Value, error) {
			k := c.Args[0].Kind()
			return value.OfBool(!c.Args[0].IsNull() && k <= value.Bytes && k.String() == c.Args[1].Str()), nil
		}).
		Func("isNumeric", "v: any", func(c *value.Call) (value.Value, error) {
			return value.OfBool(!c.Args[0].IsNull() && c.Args[0].Kind().Numeric()), nil
		})
	record := lib.New("experimental/record").
		Value("any", value.OfRecord(value.NewRecord(nil, nil))).
		Func("get", "r: record|dynamic, key: string, default: any", func(c *value.Call) (value.Value, error) {
			if c.Args[0].Kind() == value.Record && !c.Args[0].IsNull() {
				if v, ok := c.Args[0].Record().Get(c.Args[1].Str()); ok {
					return v, nil
				}
			}
			return c.Args[2], nil
		})
	return []*lib.Package{types, record, dict(), bitwise("bitwise"), bitwise("experimental/bitwise")}
}

func dict() *lib.Package {
	return lib.New("dict").
		Func("fromList", "pairs: [record]", func(c *value.Call) (value.Value, error) {
			var keys, values []value.Value
			for i, p := range c.Args[0].Array() {
				k, ok := p.Record().Get("key")
				v, found := p.Record().Get("value")
				if !ok || !found || k.IsNull() || k.Kind() > value.Duration {
					return value.Value{}, c.Errorf("pair %d must be a record of a key, a scalar, and a value", i)
				}
				keys, values = append(keys, k), append(values, v)
			}
			return value.OfDict(value.NewDict(keys, values)), nil
		}).
		Func("get", "dict: dict, key: any, default: any", func(c *value.Call) (value.Value, error) {
			if v, ok := c.Args[0].Dict().Get(c.Args[1]); ok && !c.Args[1].IsNull() {
				return v, nil
			}
			return c.Args[2], nil
		}).
		Func("insert", "dict: dict, key: any, value: any", func(c *value.Call) (value.Value, error) {
			if k := c.Args[1]; k.IsNull() || k.Kind() > value.Duration {
				return value.Value{}, c.Errorf("%s cannot be a key of a dictionary", k.Describe())
			}
			return value.OfDict(c.Args[0].Dict().Insert(c.Args[1], c.Args[2])), nil
		}).
		Func("remove", "dict: dict, key: any", func(c *value.Call) (value.Value, error) {
			return value.OfDict(c.Args[0].Dict().Remove(c.Args[1])), nil
		})
}

// bitwise returns package bitwise, which has two paths. A shift by 64 or more
// leaves nothing (of negative signed integers, -1).
func bitwise(path string) *lib.Package {
	p := lib.New(path)
	for name, f := range map[string]func(a, b uint64) uint64{
		"and": func(a, b uint64) uint64 { return a & b }, "or": func(a, b uint64) uint64 { return a | b },
		"xor": func(a, b uint64) uint64 { return a ^ b }, "clear": func(a, b uint64) uint64 { return a &^ b },
	} {
		p.Scalar("u"+name, "a: uint, b: uint", value.Uint, func(c *value.Call) (value.Value, error) {
			return value.OfUint(f(c.Args[0].Uint(), c.Args[1].Uint())), nil
		})
		p.Scalar("s"+name, "a: int, b: int", value.Int, func(c *value.Call) (value.Value, error) {
			return value.OfInt(int64(f(c.Args[0].Uint(), c.Args[1].Uint()))), nil
		})
	}
	p.Scalar("unot", "a: uint", value.Uint, func(c *value.Call) (value.Value, error) { return value.OfUint(^c.Args[0].Uint()), nil })
	p.Scalar("snot", "a: int", value.Int, func(c *value.Call) (value.Value, error) { return value.OfInt(^c.Args[0].Int()), nil })
	p.Scalar("ulshift", "a: uint, b: uint", value.Uint, func(c *value.Call) (value.Value, error) {
		return value.OfUint(c.Args[0].Uint() << c.Args[1].Uint()), nil
	})
	p.Scalar("urshift", "a: uint, b: uint", value.Uint, func(c *value.Call) (value.Value, error) {
		return value.OfUint(c.Args[0].Uint() >> c.Args[1].Uint()), nil
	})
	signed := func(name string, shift func(a int64, by uint64) int64) {
		p.Scalar(name, "a: int, b: int", value.Int, func(c *value.Call) (value.Value, error) {
			by := c.Args[1].Int()
			if by < 0 {
				return value.Value{}, c.Errorf("a shift by %d bits is not possible", by)
			}
			return value.OfInt(shift(c.Args[0].Int(), uint64(by))), nil
		})
	}
	signed("slshift", func(a int64, by uint64) int64 { return a << by })
	signed("srshift", func(a int64, by uint64) int64 { return a >> by })
	return p
}
