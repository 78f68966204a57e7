// Package table holds the tables that Flux computes with, column by column, the
// group keys that tell them apart, and the readers by which they flow.
//
// A stream of tables comes in pieces: each Table that a Reader returns has the
// rows of one group key or a part of them. Pieces that follow on each other and
// have equal keys are one table; Whole puts them together. Once a table was
// returned nobody changes it or anything that it refers to, so it may be kept
// for as long as one likes. Who keeps what grows with the data reserves its
// memory (package flow).
package table

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/value"
)

// Table is rows of one group key.
type Table struct {
	Key  *Key
	Cols []Column // labels stand once
	Rows int
}

// Reader is a stream of tables. It belongs to one goroutine.
type Reader interface {
	// Next returns the next piece, nil at the end. After an error there is
	// nothing more.
	Next() (*Table, error)
	// Close ends the stream early or late. It may be called again.
	Close()
}

// Find returns the place of a column, or -1.
func (t *Table) Find(label string) int {
	return slices.IndexFunc(t.Cols, func(c Column) bool { return c.Label == label })
}

// Col returns a column, or nil.
func (t *Table) Col(label string) *Column {
	if i := t.Find(label); i >= 0 {
		return &t.Cols[i]
	}
	return nil
}

// Labels returns the labels of all columns in order.
func (t *Table) Labels() []string {
	labels := make([]string, len(t.Cols))
	for i := range t.Cols {
		labels[i] = t.Cols[i].Label
	}
	return labels
}

// Slice returns the view of rows from to to-1.
func (t *Table) Slice(from, to int) *Table {
	s := &Table{Key: t.Key, Cols: make([]Column, len(t.Cols)), Rows: to - from}
	for i := range t.Cols {
		s.Cols[i] = t.Cols[i].Slice(from, to)
	}
	return s
}

// Pick returns the table with the rows of which the places are given, in their
// order.
func (t *Table) Pick(rows []int) *Table {
	p := &Table{Key: t.Key, Cols: make([]Column, len(t.Cols)), Rows: len(rows)}
	for i := range t.Cols {
		p.Cols[i] = t.Cols[i].Pick(rows)
	}
	return p
}

// WithKey returns the table with another key. Columns of the key that it does
// not have are added.
func (t *Table) WithKey(k *Key) *Table {
	w := &Table{Key: k, Cols: t.Cols, Rows: t.Rows}
	for i := range k.Len() {
		if w.Find(k.Label(i)) < 0 && k.Value(i).Kind().Columnar() {
			w.Cols = append(slices.Clip(w.Cols), Constant(k.Label(i), k.Value(i)))
		}
	}
	return w
}

// With returns the table with a column added, or replaced in its place.
func (t *Table) With(c Column) *Table {
	w := &Table{Key: t.Key, Cols: slices.Clone(t.Cols), Rows: t.Rows}
	if i := t.Find(c.Label); i >= 0 {
		w.Cols[i] = c
	} else {
		w.Cols = append(w.Cols, c)
	}
	return w
}

// Keep returns the table with those columns that keep wants, in its key too.
func (t *Table) Keep(keep func(label string) bool) *Table {
	k := &Table{Key: t.Key.Keep(keep), Rows: t.Rows}
	for i := range t.Cols {
		if keep(t.Cols[i].Label) {
			k.Cols = append(k.Cols, t.Cols[i])
		}
	}
	return k
}

// Memory estimates the bytes that the table takes.
func (t *Table) Memory() int64 {
	n := int64(64)
	for i := range t.Cols {
		n += 128 + t.Cols[i].memory()
	}
	return n
}

// ColumnError says that a table does not have a column as it is needed.
type ColumnError struct {
	Label string
	Have  value.Kind // Absent: there is no such column
	Want  string     // what would be right
}

func (e *ColumnError) Error() string {
	if e.Have == value.Absent {
		return fmt.Sprintf("table has no column %q", e.Label)
	}
	return fmt.Sprintf("column %q is of type %s, not %s", e.Label, e.Have, e.Want)
}

// Need returns a column of one of some kinds (none: of any), or a ColumnError.
func (t *Table) Need(label string, kinds ...value.Kind) (*Column, error) {
	c := t.Col(label)
	if c == nil {
		return nil, &ColumnError{Label: label}
	}
	if len(kinds) > 0 && !slices.Contains(kinds, c.Kind) {
		return nil, &ColumnError{label, c.Kind, value.Set(kinds...).String()}
	}
	return c, nil
}

// Row shows the rows of a table as a record, one at a time.
type Row struct {
	table *Table
	at    int
}

// NewRow returns a view of t, and the record that shows the row that the view
// stands on.
func NewRow(t *Table) (*Row, value.Value) {
	r := &Row{table: t}
	return r, value.OfRecord(value.NewRow(t.Labels(), r))
}

// Stand moves to row i.
func (r *Row) Stand(i int) { r.at = i }

// Cell implements value.Row.
func (r *Row) Cell(column int) value.Value { return r.table.Cols[column].Value(r.at) }
