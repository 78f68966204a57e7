package transform

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/lang/flux/vector"
)

// Map makes a row of each row. Columns of the group key that the new rows have
// stay in the key, with their new values.
type Map struct {
	Fn *value.Func // of r, to a record
	// MergeKey gives the new rows the columns of the group key that they lack.
	MergeKey bool
}

// Name implements flow.Op.
func (*Map) Name() string { return "map" }

// Details implements flow.Op.
func (m *Map) Details() string {
	if m.MergeKey {
		return "mergeKey: true"
	}
	return ""
}

// Open implements flow.Op.
func (m *Map) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	fn, err := flow.NewRowFunc(run, m.Fn, "r")
	if err != nil {
		return nil, err
	}
	w := &mapping{op: m, run: run, fn: fn, program: vector.CompileRecord(m.Fn, "r")}
	w.sets, w.extends = vector.Extends(m.Fn, "r")
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		if t.Rows == 0 {
			return nil
		}
		for at := 0; at < t.Rows; at += mapRows {
			made, err := w.apply(t.Slice(at, min(at+mapRows, t.Rows)))
			if err != nil {
				return err
			}
			if w.extends && !slices.ContainsFunc(t.Key.Labels(), func(l string) bool { return slices.Contains(w.sets, l) }) {
				// The key stays as it is. One that does not has columns
				// that the function sets, and keeps them, so that it
				// cannot become equal to this one.
				err = g.pass(made.WithKey(t.Key))
			} else {
				err = rekey(g, made, t.Key.Labels())
			}
			if err != nil {
				return err
			}
		}
		return nil
	}), nil
}

// mapRows is how many rows are made before their memory is reserved.
const mapRows = 1 << 16

// mapping calls the function of a map.
type mapping struct {
	op      *Map
	run     *flow.Run
	fn      *flow.RowFunc
	program *vector.Record // nil: the function cannot be compiled
	extends bool           // it sets some columns of the row and keeps the rest
	sets    []string
}

// apply returns the rows that the function makes of those of t.
func (w *mapping) apply(t *table.Table) (*table.Table, error) {
	if err := w.run.Ended(); err != nil {
		return nil, err
	}
	made, ok := (*table.Table)(nil), false
	if w.program != nil {
		made, ok = w.program.Apply(w.run, t)
	}
	if !ok {
		var err error
		if made, err = w.rows(t); err != nil {
			return nil, err
		}
	}
	if w.op.MergeKey {
		made = made.WithKey(t.Key)
	}
	return made, nil
}

// rows goes through t row by row.
func (w *mapping) rows(t *table.Table) (*table.Table, error) {
	w.fn.Table(t)
	b := table.NewBuilder(noKey)
	for i := range t.Rows {
		v, err := w.fn.Call(i)
		if err != nil {
			return nil, err
		}
		if v.Kind() != value.Record || v.IsNull() {
			return nil, fmt.Errorf("the function must return a record, not %s", v.Describe())
		}
		if !w.extends {
			if err := b.AppendRecord(v.Record()); err != nil {
				return nil, err
			}
			continue
		}
		for _, l := range w.sets {
			if v, ok := v.Record().Get(l); ok {
				if err := b.AppendValue(l, v); err != nil {
					return nil, err
				}
			}
		}
		b.EndRow()
	}
	made := b.Table()
	if !w.extends {
		return made, nil
	}
	// The columns that the function does not touch are those of t.
	out := &table.Table{Key: noKey, Rows: t.Rows}
	for _, c := range t.Cols {
		if slices.Contains(w.sets, c.Label) {
			if m := made.Col(c.Label); m != nil {
				out.Cols = append(out.Cols, *m)
			}
			continue
		}
		out.Cols = append(out.Cols, c)
	}
	for _, c := range made.Cols {
		if t.Find(c.Label) < 0 {
			out.Cols = append(out.Cols, c)
		}
	}
	return out, nil
}

// rekey hands the rows of t to g, under keys of those of the labels that t has
// columns for.
func rekey(g *regroup, t *table.Table, labels []string) error {
	at := make([]int, 0, len(labels))
	for _, l := range labels {
		if i := t.Find(l); i >= 0 {
			at = append(at, i)
		}
	}
	for _, i := range at {
		compact(&t.Cols[i], t.Rows)
	}
	return g.split(t, at)
}

// compact makes a column that has the same in all rows Same.
func compact(c *table.Column, rows int) {
	if c.Same || rows == 0 {
		return
	}
	for i := 1; i < rows; i++ {
		if !c.SameCell(i, c, 0) {
			return
		}
	}
	*c = table.Constant(c.Label, c.Value(0))
}
