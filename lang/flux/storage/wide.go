package storage

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/scan"
)

// wide makes a table of each series, with its fields as columns. A series has no
// column of a field that it has no value of, unless it comes in several batches:
// then its pieces have the same columns.
type wide struct {
	layout *layout
	// The last group so far, which may go on in the next batch.
	batchOf *scan.Batch
	group   *scan.Group
	goesOn  bool // it has begun in an earlier batch
}

// batch implements parser.
func (w *wide) batch(b *scan.Batch, emit func(item)) error {
	for g := range b.Groups {
		group := &b.Groups[g]
		same := w.group != nil && w.batchOf.Measurement == b.Measurement && bytes.Equal(w.group.Key, group.Key)
		if err := w.flush(same, emit); err != nil {
			return err
		}
		w.batchOf, w.group, w.goesOn = b, group, same
	}
	return nil
}

// flush makes a table of the last group. more says that another piece follows.
func (w *wide) flush(more bool, emit func(item)) error {
	b, g := w.batchOf, w.group
	if g == nil {
		return nil
	}
	w.group = nil
	w.layout.series(b.Measurement, g.Key)
	l, rows := w.layout, g.To-g.From
	cols := make([]table.Column, 0, 3+len(l.tags)+len(b.Columns))
	cols = append(cols, l.boundCols[0], l.boundCols[1], table.Times(Time, b.Time[g.From:g.To]))
	cols = append(l.shownOf(cols), l.tags...)
	others := len(cols)
	for c := range b.Columns {
		v := b.Columns[c].Slice(g.From, g.To)
		field := b.Columns[c].Field
		if l.shows(field) && (more || w.goesOn || v.Valid.Count(rows) > 0) {
			if slices.ContainsFunc(cols[:others], func(c table.Column) bool { return c.Label == field }) {
				if v.Valid.Count(rows) == 0 {
					continue // of other series
				}
				return fmt.Errorf("pivot: the table would have two columns %q: one is in the row key or group key, the other one is made of columnKey", field)
			}
			cols = append(cols, table.OfVector(field, v))
		}
	}
	emit(item{&table.Table{Key: l.keyOf(""), Cols: cols, Rows: rows}, g.Key, ""})
	return nil
}

// end implements parser.
func (w *wide) end(emit func(item)) error {
	return w.flush(false, emit)
}

func (w *wide) close() {}
