package universe

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// columns adds what chooses, names and lists columns.
func columns(p *lib.Package) {
	p.Func("drop", "<-tables: stream, ?columns: [string], ?fn: function", choose)
	p.Func("keep", "<-tables: stream, ?columns: [string], ?fn: function", choose)
	p.Func("rename", "<-tables: stream, ?columns: record, ?fn: function", rename)
	p.Func("duplicate", "<-tables: stream, column: string, as: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Duplicate{Column: c.Str("column", ""), As: c.Str("as", "")}, flow.Input(c, "tables")), nil
	})
	p.Func("set", "<-tables: stream, key: string, value: string", func(c *value.Call) (value.Value, error) {
		if c.Arg("value").IsNull() {
			return value.Value{}, c.Errorf("argument value must be string, not null")
		}
		op := &transform.Set{Values: []transform.SetColumn{{Label: c.Str("key", ""), Value: c.Arg("value")}}}
		return flow.New(c, op, flow.Input(c, "tables")), nil
	})
	p.Func("keys", "<-tables: stream, ?column: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Labels{Column: c.Str("column", "_value"), Keys: true}, flow.Input(c, "tables")), nil
	})
	p.Func("columns", "<-tables: stream, ?column: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Labels{Column: c.Str("column", "_value")}, flow.Input(c, "tables")), nil
	})
	p.Func("keyValues", "<-tables: stream, ?keyColumns: [string]", func(c *value.Call) (value.Value, error) {
		if !c.Has("keyColumns") {
			return value.Value{}, c.Errorf("keyColumns must name the columns whose values are asked for")
		}
		return flow.New(c, &transform.KeyValues{Columns: c.Strings("keyColumns")}, flow.Input(c, "tables")), nil
	})
}

// oneOf checks that a call says by a list or by a function which columns it
// means, and not by both.
func oneOf(c *value.Call) error {
	switch {
	case c.Has("columns") && c.Has("fn"):
		return c.Errorf("%s error: both column list and predicate provided", c.Func.Name)
	case !c.Has("columns") && !c.Has("fn"):
		return c.Errorf("%s error: neither column list nor predicate function provided", c.Func.Name)
	}
	return nil
}

// choose is drop and keep.
func choose(c *value.Call) (value.Value, error) {
	if err := oneOf(c); err != nil {
		return value.Value{}, err
	}
	op := &transform.Select{Drop: c.Func.Name == "drop", Columns: c.Strings("columns")}
	if c.Has("fn") {
		op.Fn = c.Arg("fn").Func()
	}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}

func rename(c *value.Call) (value.Value, error) {
	if err := oneOf(c); err != nil {
		return value.Value{}, err
	}
	if c.Has("fn") {
		return flow.New(c, &transform.Rename{Fn: c.Arg("fn").Func()}, flow.Input(c, "tables")), nil
	}
	names := map[string]string{}
	r := c.Arg("columns").Record()
	for i := range r.Len() {
		v := r.At(i)
		if v.Kind() != value.String || v.IsNull() {
			return value.Value{}, c.Errorf("rename error: columns object contains non-string value of type %s", v.Describe())
		}
		names[r.Label(i)] = v.Str()
	}
	return flow.New(c, &transform.Rename{Columns: names}, flow.Input(c, "tables")), nil
}
