package transform

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// noKey is the key of a table of no group.
var noKey = table.NewKey(nil, nil)

// Group makes tables of the rows that have the same values in some columns.
// Columns that a table does not have are not part of its key. Tables come in the
// order of their keys, as those of influxdata/flux: what is joined or put together after it has a
// row order of its own then.
type Group struct {
	Columns []string
	Except  bool // by all columns but these
}

// Name implements flow.Op.
func (*Group) Name() string { return "group" }

// Details implements flow.Op.
func (g *Group) Details() string {
	if g.Except {
		return "columns: " + quote(g.Columns) + `, mode: "except"`
	}
	return "columns: " + quote(g.Columns)
}

// Open implements flow.Op.
func (g *Group) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	r := newRegroup(run, in, func(to *regroup, t *table.Table) error {
		var by []int
		for i := range t.Cols {
			if slices.Contains(g.Columns, t.Cols[i].Label) != g.Except {
				by = append(by, i)
			}
		}
		return to.split(t, by)
	})
	r.byKey = true
	return r, nil
}

// split takes the rows of t under keys of some of its columns.
func (g *regroup) split(t *table.Table, by []int) error {
	var vary []*table.Column
	for _, c := range by {
		if !t.Cols[c].Same {
			vary = append(vary, &t.Cols[c])
		}
	}
	if t.Rows == 0 {
		if len(vary) > 0 {
			return nil // no row says which table it would be
		}
		return g.add(&table.Table{Key: keyOf(t, by, 0), Cols: t.Cols})
	}
	if len(vary) == 0 {
		k := *t
		k.Key = keyOf(t, by, 0)
		return g.add(&k)
	}
	// The groups of the rows, and the rows by group.
	work := int64(t.Rows) * (4 + 8)
	if err := g.run.Reserve(work); err != nil {
		return err
	}
	defer g.run.Release(work)
	p := &partition{run: g.run, group: make([]uint32, t.Rows)}
	if err := p.of(vary); err != nil {
		return err
	}
	if p.groups == 1 {
		k := *t
		k.Key = keyOf(t, by, 0)
		k.Cols = slices.Clone(t.Cols)
		for _, c := range by {
			k.Cols[c] = table.Constant(t.Cols[c].Label, t.Cols[c].Value(0))
		}
		return g.add(&k)
	}
	bytes := t.Memory()
	if err := g.account.Add(bytes); err != nil {
		return err
	}
	keyed := make([]bool, len(t.Cols))
	for _, c := range by {
		keyed[c] = true
	}
	for rows := range p.parts() {
		share := bytes * int64(len(rows)) / int64(t.Rows)
		if err := g.addRows(keyOf(t, by, rows[0]), t, keyed, rows, share); err != nil {
			return err
		}
	}
	return nil
}

// keyOf returns the group key of a row by some columns.
func keyOf(t *table.Table, by []int, row int) *table.Key {
	labels, values := make([]string, len(by)), make([]value.Value, len(by))
	for i, c := range by {
		labels[i], values[i] = t.Cols[c].Label, t.Cols[c].Value(row)
	}
	return table.NewKey(labels, values)
}
