package transform

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
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
	w := &mapping{op: m, fn: fn}
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		if t.Rows == 0 {
			return nil
		}
		for at := 0; at < t.Rows; at += mapRows {
			part := t.Slice(at, min(at+mapRows, t.Rows))
			made, err := w.apply(part)
			if err != nil {
				return err
			}
			if err := rekey(g, made, t.Key.Labels()); err != nil {
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
	op *Map
	fn *flow.RowFunc
}

// apply returns the rows that the function makes of those of t, under t's key.
func (w *mapping) apply(t *table.Table) (*table.Table, error) {
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
		if err := b.AppendRecord(v.Record()); err != nil {
			return nil, err
		}
	}
	made := b.Table()
	if w.op.MergeKey {
		made = made.WithKey(t.Key)
	}
	return made, nil
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
	for i := range t.Cols {
		if slices.Contains(at, i) {
			compact(&t.Cols[i], t.Rows)
		}
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
