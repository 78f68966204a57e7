package experimental

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/join"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// shape adds what makes other tables of the same values.
func shape(p *lib.Package) {
	p.Func("set", "<-tables: stream, o: record", set)
	p.Func("group", "<-tables: stream, columns: [string], mode: string", func(c *value.Call) (value.Value, error) {
		if m := c.Str("mode", ""); m != "extend" {
			return value.Value{}, c.Errorf("mode must be extend, not %q: group() has the others", m)
		}
		return flow.New(c, &transform.ExtendGroup{Columns: c.Strings("columns")}, flow.Input(c, "tables")), nil
	})
	p.Func("unpivot", "<-tables: stream, ?otherColumns: [string]", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Unpivot{Others: c.Strings("otherColumns", "_time")}, flow.Input(c, "tables")), nil
	})
	p.Func("join", "left: stream, right: stream, fn: function", func(c *value.Call) (value.Value, error) {
		op := &join.Records{
			Title: c.Func.Name, On: []join.Pair{{Left: "_time", Right: "_time"}},
			As: c.Arg("fn").Func(), Params: [2]string{"left", "right"}, Rekey: true,
		}
		return flow.New(c, op, flow.Input(c, "left"), flow.Input(c, "right")), nil
	})
	p.Func("preview", "<-tables: stream, ?nrows: int, ?ntables: int", func(c *value.Call) (value.Value, error) {
		op := &transform.Preview{Rows: c.Int("nrows", 5), Tables: c.Int("ntables", 5)}
		if op.Rows < 0 || op.Tables < 0 {
			return value.Value{}, c.Errorf("nrows and ntables must not be negative")
		}
		return flow.New(c, op, flow.Input(c, "tables")), nil
	})
	p.Func("chain", "first: stream, second: stream", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Chain{}, flow.Input(c, "first"), flow.Input(c, "second")), nil
	})
	p.Func("objectKeys", "o: record", func(c *value.Call) (value.Value, error) {
		r := c.Arg("o").Record()
		labels := make([]value.Value, r.Len())
		for i := range labels {
			labels[i] = value.OfString(r.Label(i))
		}
		return value.OfArray(labels), nil
	})
	p.Func("fill", "<-tables: stream, ?value: any, ?usePrevious: bool", func(c *value.Call) (value.Value, error) {
		return transform.CallFill(c, "_value")
	})
}

func set(c *value.Call) (value.Value, error) {
	op := &transform.Set{}
	r := c.Arg("o").Record()
	for i := range r.Len() {
		v := r.At(i)
		if !v.Kind().Columnar() {
			return value.Value{}, c.Errorf("column %q cannot hold a value of type %s", r.Label(i), v.Kind())
		}
		op.Values = append(op.Values, transform.SetColumn{Label: r.Label(i), Value: v})
	}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}

// tables returns experimental/table.
func tables() *lib.Package {
	return lib.New("experimental/table").Func("fill", "<-tables: stream", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.FillTables{}, flow.Input(c, "tables")), nil
	})
}
