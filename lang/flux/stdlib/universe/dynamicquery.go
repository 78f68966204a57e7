package universe

import (
	"errors"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// dynamicQuery adds what runs a stream at once, to use what is in it in the
// script.
func dynamicQuery(p *lib.Package) {
	p.Func("tableFind", "<-tables: stream, fn: function", func(c *value.Call) (value.Value, error) {
		t, err := find(c, "tables")
		if err != nil {
			return value.Value{}, err
		}
		if t == nil {
			return value.Value{}, c.Errorf("no table found")
		}
		return flow.New(c, &transform.Tables{List: []*table.Table{t}}), nil
	})
	p.Func("getColumn", "<-table: stream, column: string", func(c *value.Call) (value.Value, error) {
		t, err := only(c)
		if err != nil {
			return value.Value{}, err
		}
		return column(c, t)
	})
	p.Func("getRecord", "<-table: stream, idx: int", func(c *value.Call) (value.Value, error) {
		t, err := only(c)
		if err != nil {
			return value.Value{}, err
		}
		i := c.Int("idx", 0)
		if i < 0 || i >= int64(t.Rows) {
			return value.Value{}, c.Errorf("index out of bounds: %d, the table has %d rows", i, t.Rows)
		}
		return record(t, int(i)), nil
	})
	p.Func("findColumn", "<-tables: stream, fn: function, column: string", func(c *value.Call) (value.Value, error) {
		t, err := find(c, "tables")
		if err != nil {
			return value.Value{}, err
		}
		if t == nil || t.Find(c.Str("column", "")) < 0 {
			return value.OfArray(nil), nil
		}
		return column(c, t)
	})
	p.Func("findRecord", "<-tables: stream, fn: function, idx: int", func(c *value.Call) (value.Value, error) {
		t, err := find(c, "tables")
		if err != nil {
			return value.Value{}, err
		}
		i := c.Int("idx", 0)
		if t == nil || i < 0 || i >= int64(t.Rows) {
			return value.OfRecord(value.NewRecord(nil, nil)), nil
		}
		return record(t, int(i)), nil
	})
}

// errEnough ends the reading of a stream.
var errEnough = errors.New("enough was read")

// find returns the first table of a stream whose group key the function fn of
// the call accepts, or nil.
func find(c *value.Call, stream string) (*table.Table, error) {
	fn := c.Arg("fn").Func()
	if fn.Param("key") < 0 {
		return nil, c.Errorf("fn must have a parameter key, as in (key) => true")
	}
	var key *table.Key // of the last piece
	accepted := false
	var parts []*table.Table
	run := flow.RunOf(c)
	err := run.Each(flow.Input(c, stream), func(t *table.Table) error {
		if key == nil || !key.Equal(t.Key) {
			if len(parts) > 0 {
				return errEnough
			}
			key = t.Key
			v, err := c.InvokeNamed(fn, map[string]value.Value{"key": t.Key.Record()})
			switch {
			case err != nil:
				return err
			case v.Kind() != value.Bool && !v.IsNull():
				return c.Errorf("fn must return bool, not %s", v.Kind())
			}
			accepted = !v.IsNull() && v.Bool()
		}
		if !accepted {
			return nil
		}
		parts = append(parts, t)
		// What the script holds it holds to its end.
		return run.Keep(t.Memory())
	})
	if err != nil && err != errEnough {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, nil
	}
	if err := run.Keep(table.ConcatMemory(parts)); err != nil {
		return nil, err
	}
	return table.Concat(key, parts)
}

// only returns the table that tableFind made.
func only(c *value.Call) (*table.Table, error) {
	n := flow.Input(c, "table")
	if t, ok := n.Op.(*transform.Tables); ok && len(t.List) == 1 {
		return t.List[0], nil
	}
	return nil, c.Errorf("argument table must be a table as tableFind returns it, not a stream of tables")
}

func column(c *value.Call, t *table.Table) (value.Value, error) {
	col := t.Col(c.Str("column", ""))
	if col == nil {
		return value.Value{}, c.Errorf("cannot find column %s", c.Str("column", ""))
	}
	const valueBytes = 64 // of a value.Value
	if err := flow.RunOf(c).Keep(int64(t.Rows) * valueBytes); err != nil {
		return value.Value{}, err
	}
	list := make([]value.Value, t.Rows)
	for i := range list {
		list[i] = col.Value(i)
	}
	return value.OfArray(list), nil
}

func record(t *table.Table, i int) value.Value {
	values := make([]value.Value, len(t.Cols))
	for j := range t.Cols {
		values[j] = t.Cols[j].Value(i)
	}
	return value.OfRecord(value.NewRecord(slices.Clone(t.Labels()), values))
}
