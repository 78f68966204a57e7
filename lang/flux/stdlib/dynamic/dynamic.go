// Package dynamic holds the packages of the standard library for values whose
// kind is known only when a script runs: experimental/dynamic, json and
// experimental/json.
package dynamic

import (
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the packages.
func Packages() []*lib.Package {
	p := lib.New("experimental/dynamic").
		Func("dynamic", "v: any", wrapped).
		Func("asArray", "<-v: any", asArray).
		Func("isType", "v: any, type: string", isType).
		Func("_isNotDistinct", "a: any, b: any", func(c *value.Call) (value.Value, error) {
			if err := bounded(c); err != nil {
				return value.Value{}, err
			}
			return value.OfBool(value.Same(c.Args[0], c.Args[1])), nil
		}).
		Func("_equal", "a: any, b: any", func(c *value.Call) (value.Value, error) {
			if c.Args[0].IsNull() || c.Args[1].IsNull() {
				return value.NullOf(value.Bool), nil
			}
			if err := bounded(c); err != nil {
				return value.Value{}, err
			}
			return value.OfBool(value.Same(c.Args[0], c.Args[1])), nil
		}).
		Func("jsonParse", "data: bytes", func(c *value.Call) (value.Value, error) {
			v, err := decode(c.Args[0].Bytes(), value.OfFloat)
			return wrap(v), err
		}).
		Func("jsonEncode", "v: any", func(c *value.Call) (value.Value, error) { return encode(c) })
	return []*lib.Package{p,
		lib.New("json").Func("encode", "v: any", func(c *value.Call) (value.Value, error) { return encode(c) }),
		lib.New("experimental/json").Func("parse", "data: bytes", func(c *value.Call) (value.Value, error) {
			return decode(c.Args[0].Bytes(), value.OfFloat)
		}),
	}
}

// bounded reports which argument is too large to be gone through.
func bounded(c *value.Call) error {
	for _, a := range c.Args {
		if err := a.Bounded(); err != nil {
			return c.Errorf("%w", err)
		}
	}
	return nil
}

// wrapped is dynamic().
func wrapped(c *value.Call) (value.Value, error) {
	if err := bounded(c); err != nil {
		return value.Value{}, err
	}
	return wrap(c.Args[0]), nil
}

// wrap makes a value dynamic, with all that it holds.
func wrap(v value.Value) value.Value {
	if v.Kind() == value.Dynamic || v.IsNull() {
		return value.OfDynamic(v)
	}
	switch v.Kind() {
	case value.Array:
		in := v.Array()
		all := make([]value.Value, len(in))
		for i, e := range in {
			all[i] = wrap(e)
		}
		return value.OfDynamic(value.OfArray(all))
	case value.Record:
		r := v.Record()
		all := make([]value.Value, r.Len())
		for i := range all {
			all[i] = wrap(r.At(i))
		}
		return value.OfDynamic(value.OfRecord(value.NewRecord(r.Labels(), all)))
	}
	return value.OfDynamic(v)
}

func asArray(c *value.Call) (value.Value, error) {
	v := c.Args[0]
	if v.Kind() == value.Dynamic {
		v = v.Inner()
	}
	if v.Kind() != value.Array || v.IsNull() {
		return value.Value{}, c.Errorf("unable to convert %s to array", v.Describe())
	}
	if err := bounded(c); err != nil {
		return value.Value{}, err
	}
	all := make([]value.Value, len(v.Array()))
	for i, e := range v.Array() {
		all[i] = wrap(e)
	}
	return value.OfArray(all), nil
}

// isType tells the kind of a dynamic value by name.
func isType(c *value.Call) (value.Value, error) {
	v := c.Args[0]
	if v.Kind() == value.Dynamic {
		v = v.Inner()
	}
	name := c.Args[1].Str()
	if v.IsNull() {
		return value.OfBool(name == "null"), nil
	}
	switch v.Kind() {
	case value.Dict:
		return value.OfBool(name == "dictionary" || name == "dict"), nil
	case value.Record:
		return value.OfBool(name == "object" || name == "record"), nil
	}
	return value.OfBool(v.Kind().String() == name), nil
}
