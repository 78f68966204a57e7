package table

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/value"
)

// Builder makes a table row by row, or of pieces of tables, whose columns need
// not be the same: what a row does not have is null.
type Builder struct {
	table Table
	index map[string]int
}

// NewBuilder returns a builder of a table with a key. Columns of the key are
// made by Table if no row has them.
func NewBuilder(k *Key) *Builder {
	return &Builder{table: Table{Key: k}, index: map[string]int{}}
}

// Rows returns the number of rows so far.
func (b *Builder) Rows() int { return b.table.Rows }

// Column returns the place of a column, which is made if there is none yet. A
// column that is there with another kind is an error.
func (b *Builder) Column(label string, kind value.Kind) (int, error) {
	if i, ok := b.index[label]; ok {
		if have := b.table.Cols[i].Kind; have != kind {
			return 0, fmt.Errorf("column %q has values of type %s and of type %s", label, have, kind)
		}
		return i, nil
	}
	i := len(b.table.Cols)
	c := NewColumn(label, kind)
	c.Vec.AppendNulls(b.table.Rows)
	b.table.Cols = append(b.table.Cols, c)
	b.index[label] = i
	return i, nil
}

// Set appends the value of a column in the row that is being made. It may be
// called once for a column and row.
func (b *Builder) Set(column int, v value.Value) { b.table.Cols[column].Append(v) }

// EndRow ends a row. Columns that were not set are null in it.
func (b *Builder) EndRow() {
	b.table.Rows++
	for i := range b.table.Cols {
		if c := &b.table.Cols[i]; c.Vec.Len() < b.table.Rows {
			c.Vec.AppendNulls(1)
		}
	}
}

// AppendValue sets a column, which is made if there is none yet, in the row that
// is being made. A null of no known kind makes no column.
func (b *Builder) AppendValue(label string, v value.Value) error {
	if v.Kind() == value.Null {
		return nil
	}
	if !v.Kind().Columnar() {
		return fmt.Errorf("column %q cannot hold a value of type %s", label, v.Kind())
	}
	c, err := b.Column(label, v.Kind())
	if err != nil {
		return err
	}
	b.Set(c, v)
	return nil
}

// AppendRecord appends a row of the fields of a record. Nulls of no known kind
// make no column.
func (b *Builder) AppendRecord(r *value.Fields) error {
	for i := range r.Len() {
		if err := b.AppendValue(r.Label(i), r.At(i)); err != nil {
			return err
		}
	}
	b.EndRow()
	return nil
}

// AppendTable appends all rows of t.
func (b *Builder) AppendTable(t *Table) error { return b.AppendRows(t, 0, t.Rows) }

// AppendRows appends rows from to to-1 of t.
func (b *Builder) AppendRows(t *Table, from, to int) error {
	for i := range t.Cols {
		at, err := b.Column(t.Cols[i].Label, t.Cols[i].Kind)
		if err != nil {
			return err
		}
		part := t.Cols[i].Slice(from, to)
		b.table.Cols[at].AppendAll(&part, to-from)
	}
	b.table.Rows += to - from
	for i := range b.table.Cols {
		if c := &b.table.Cols[i]; c.Vec.Len() < b.table.Rows {
			c.Vec.AppendNulls(b.table.Rows - c.Vec.Len())
		}
	}
	return nil
}

// Memory estimates the bytes that the rows so far take.
func (b *Builder) Memory() int64 { return b.table.Memory() }

// Table returns the table. The builder must not be used any more.
func (b *Builder) Table() *Table { return b.table.WithKey(b.table.Key) }
