package transform

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Fill puts a value where a column has nulls: Value, or the one before in the
// table if Value is Absent. A column that is not there is made of Value.
type Fill struct {
	Column string
	Value  value.Value
}

// CallFill is fill() and its like, whose parameters are value and usePrevious.
func CallFill(c *value.Call, column string) (value.Value, error) {
	op := &Fill{Column: column}
	v := c.Arg("value")
	given := !v.IsAbsent()
	if given == c.Has("usePrevious") {
		return value.Value{}, c.Errorf("fill requires exactly one of value or usePrevious")
	}
	if given {
		if !v.Kind().Columnar() {
			return value.Value{}, c.Errorf("value type for fill must be a valid primitive type (bool, int, uint, float, string, time), not %s", v.Kind())
		}
		op.Value = v
	} else if !c.Bool("usePrevious", false) {
		return value.Value{}, c.Errorf("usePrevious: false leaves nothing to fill with")
	}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}

// Name implements flow.Op.
func (*Fill) Name() string { return "fill" }

// Details implements flow.Op.
func (f *Fill) Details() string {
	if f.Value.IsAbsent() {
		return fmt.Sprintf("column: %q, usePrevious: true", f.Column)
	}
	return fmt.Sprintf("column: %q, value: %s", f.Column, f.Value.Text())
}

// Open implements flow.Op.
func (f *Fill) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	if f.Value.IsAbsent() {
		return f.previous(in[0]), nil
	}
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		c := t.Col(f.Column)
		if c == nil {
			return g.pass(t.With(table.Constant(f.Column, f.Value)))
		}
		if c.Kind != f.Value.Kind() {
			return fmt.Errorf("fill column type mismatch: %s/%s: column %q holds %s, and value has to be one", c.Kind, f.Value.Kind(), f.Column, c.Kind)
		}
		v, keyed := t.Key.Get(f.Column)
		switch {
		case keyed && v.IsNull():
			to := t.With(table.Constant(f.Column, f.Value))
			to.Key = t.Key.Set(f.Column, f.Value)
			return g.add(to)
		case keyed:
			return g.add(t) // the table of the value may have gone by before
		}
		return g.pass(t.With(fillColumn(c, t.Rows, func(to *table.Column) { to.Append(f.Value) })))
	}), nil
}

// fillColumn returns c with what put appends in place of nulls.
func fillColumn(c *table.Column, rows int, put func(to *table.Column)) table.Column {
	if c.Vec.Valid.All() || rows == 0 {
		return *c
	}
	if c.Same {
		if !c.Null(0) {
			return *c
		}
		to := table.NewColumn(c.Label, c.Kind)
		put(&to)
		to.Same = true
		return to
	}
	to := table.NewColumn(c.Label, c.Kind)
	for i := range rows {
		if c.Null(i) {
			put(&to)
		} else {
			to.AppendFrom(c, i)
		}
	}
	return to
}

// previous fills with the value before.
func (f *Fill) previous(in table.Reader) table.Reader {
	var key *table.Key
	var last table.Column // one row: the last value of the table; Kind 0: none
	return flow.EachPiece(in, func(t *table.Table) (*table.Table, error) {
		if key == nil || !t.Key.Equal(key) {
			key, last = t.Key, table.Column{}
		}
		c := t.Col(f.Column)
		if c == nil || t.Rows == 0 || t.Key.Has(f.Column) {
			return t, nil
		}
		if last.Kind != c.Kind {
			last = table.Constant(f.Column, value.NullOf(c.Kind))
		}
		filled := *c
		if nulls := t.Rows - c.Vec.Valid.Count(c.Vec.Len()); !c.Same && nulls > 0 || c.Same && c.Null(0) {
			filled = table.NewColumn(c.Label, c.Kind)
			from, at := &last, 0
			for i := range t.Rows {
				if !c.Null(i) {
					from, at = c, i
				}
				filled.AppendFrom(from, at)
			}
		}
		if !filled.Null(t.Rows - 1) {
			last = table.Constant(f.Column, filled.Value(t.Rows-1))
		}
		return t.With(filled), nil
	})
}
