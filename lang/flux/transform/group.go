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
// Columns that a table does not have are not part of its key.
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
	return newRegroup(run, in, func(to *regroup, t *table.Table) error {
		var by []int
		for i := range t.Cols {
			if slices.Contains(g.Columns, t.Cols[i].Label) != g.Except {
				by = append(by, i)
			}
		}
		return to.split(t, by)
	}), nil
}

// split takes the rows of t under keys of some of its columns.
func (g *regroup) split(t *table.Table, by []int) error {
	labels, values := make([]string, len(by)), make([]value.Value, len(by))
	key := func(row int) *table.Key {
		for i, c := range by {
			labels[i], values[i] = t.Cols[c].Label, t.Cols[c].Value(row)
		}
		return table.NewKey(labels, values)
	}
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
		return g.add(&table.Table{Key: key(0), Cols: t.Cols})
	}
	if len(vary) == 0 {
		k := *t
		k.Key = key(0)
		return g.add(&k)
	}
	// The places of the rows by group take 8 bytes a row.
	work := int64(t.Rows) * 8
	if err := g.run.Reserve(work); err != nil {
		return err
	}
	defer g.run.Release(work)
	parts, err := partition(g.run, vary, t.Rows)
	if err != nil {
		return err
	}
	if len(parts) == 1 {
		k := *t
		k.Key = key(0)
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
	for _, rows := range parts {
		k := *t
		k.Cols = slices.Clone(t.Cols)
		for _, c := range by {
			k.Cols[c] = table.Constant(t.Cols[c].Label, t.Cols[c].Value(rows[0]))
		}
		share := bytes * int64(len(rows)) / int64(t.Rows)
		if err := g.addRows(key(rows[0]), &k, rows, share); err != nil {
			return err
		}
	}
	return nil
}

// partition returns the places of the rows that have equal cells in all of some
// columns, in order, group by group in the order of their first rows.
func partition(run *flow.Run, cols []*table.Column, rows int) ([][]int, error) {
	var parts [][]int
	index := map[string]int{}
	var cell []byte
	at := 0 // the part of the row before
	for i := range rows {
		if i%endedEvery == 0 {
			if err := run.Ended(); err != nil {
				return nil, err
			}
		}
		if i > 0 && sameCells(cols, i, i-1) {
			parts[at] = append(parts[at], i)
			continue
		}
		cell = cell[:0]
		for _, c := range cols {
			cell = table.AppendCell(cell, c.Value(i))
		}
		n, ok := index[string(cell)]
		if !ok {
			n = len(parts)
			index[string(cell)] = n
			parts = append(parts, nil)
		}
		at = n
		parts[n] = append(parts[n], i)
	}
	return parts, nil
}

// endedEvery is after how many rows a loop asks whether the run has ended: a
// millisecond of work or less.
const endedEvery = 4096

func sameCells(cols []*table.Column, i, j int) bool {
	for _, c := range cols {
		if !c.SameCell(i, c, j) {
			return false
		}
	}
	return true
}
