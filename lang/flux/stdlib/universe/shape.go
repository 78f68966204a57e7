package universe

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// shape adds what makes other tables of the same values.
func shape(p *lib.Package) {
	p.Func("group", "<-tables: stream, ?columns: [string], ?mode: string", group)
	p.Func("ungroup", "<-tables: stream", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Group{}, flow.Input(c, "tables")), nil
	})
	p.Func("union", "tables: [stream]", func(c *value.Call) (value.Value, error) {
		var in []*flow.Node
		for _, t := range c.Arg("tables").Array() {
			in = append(in, flow.Of(t))
		}
		if len(in) < 2 {
			return value.Value{}, c.Errorf("union requires at least two streams of tables as input")
		}
		return flow.New(c, &transform.Union{}, in...), nil
	})
	p.Func("pivot", "<-tables: stream, rowKey: [string], columnKey: [string], valueColumn: string", pivot)
	p.Func("yield", "<-tables: stream, ?name: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &transform.Yield{As: c.Str("name", "_result")}, flow.Input(c, "tables")), nil
	})
}

func group(c *value.Call) (value.Value, error) {
	op := &transform.Group{Columns: c.Strings("columns")}
	switch mode := c.Str("mode", "by"); mode {
	case "by":
	case "except":
		op.Except = true
	default:
		return value.Value{}, c.Errorf("mode must be by or except, not %q", mode)
	}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}

func pivot(c *value.Call) (value.Value, error) {
	op := &transform.Pivot{RowKey: c.Strings("rowKey"), ColumnKey: c.Strings("columnKey"), Value: c.Str("valueColumn", "")}
	for _, l := range op.ColumnKey {
		if slices.Contains(op.RowKey, l) {
			return value.Value{}, c.Errorf("column name found in both rowKey and colKey: %s", l)
		}
	}
	for _, l := range slices.Concat(op.RowKey, op.ColumnKey) {
		if l == op.Value {
			return value.Value{}, c.Errorf("valueColumn %s must not be in rowKey or columnKey", l)
		}
	}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}
