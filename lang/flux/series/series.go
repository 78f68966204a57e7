// Package series holds the operators that go through the rows of each table in
// order and look from one row to the next: differences and sums, averages that
// move, states, shifts, histograms, and forecasts.
//
// # Rows and pieces
//
// Nearly all of them carry what they know from piece to piece of a table (walk),
// so they take no memory that grows with it; forecasts and interpolation need
// the table whole. What is computed goes into the place of the column that it
// was computed from, all other columns are as they were.
//
// # Nulls
//
// A null is never taken for a number: what is computed at a row without a value
// is null or what it was at the row before, as the documentation of each
// function says.
//
// The types are operators of package flow, which says how they may be shared.
package series

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Names of columns that functions use unless they are told others.
const (
	valueLabel = "_value"
	timeLabel  = "_time"
)

// walker goes through the rows of one table, piece by piece.
type walker interface {
	// piece returns what the next rows of the table become; nil for nothing.
	piece(t *table.Table) (*table.Table, error)
	// end returns rows that follow after the last piece; nil for none.
	end() (*table.Table, error)
}

// walk returns the reader of an operator that makes of each table one with the
// same key. begin is called at the start of each table.
func walk(in table.Reader, begin func() walker) table.Reader {
	return &walking{in: in, begin: begin}
}

type walking struct {
	in    table.Reader
	begin func() walker
	key   *table.Key // of the table that now goes through; nil: none
	now   walker
	next  *table.Table // the first piece of the table after it
	ended bool
}

// Next implements table.Reader.
func (w *walking) Next() (*table.Table, error) {
	for {
		t := w.next
		w.next = nil
		if t == nil && !w.ended {
			var err error
			if t, err = w.in.Next(); err != nil {
				return nil, err
			}
			w.ended = t == nil
		}
		if w.key != nil && (t == nil || !t.Key.Equal(w.key)) {
			w.next, w.key = t, nil
			last, err := w.now.end()
			if last != nil || err != nil {
				return last, err
			}
			continue
		}
		if t == nil {
			return nil, nil
		}
		if w.key == nil {
			w.key, w.now = t.Key, w.begin()
		}
		if out, err := w.now.piece(t); out != nil || err != nil {
			return out, err
		}
	}
}

// Close implements table.Reader.
func (w *walking) Close() { w.in.Close() }

// number is what a column of numbers holds.
type number interface{ int64 | uint64 | float64 }

// cells returns the words of a vector as numbers of their type; they share
// memory.
func cells[T number](words []uint64) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(words))), len(words))
}

// made returns a column of values, of which those in gaps are null.
func made[T number](label string, kind value.Kind, values []T, gaps *gaps) table.Column {
	c := table.NewColumn(label, kind)
	c.Vec.Words = unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(values))), len(values))
	c.Vec.Valid = column.Bitmap{Words: gaps.words}
	return c
}

// gaps are the rows of a column without a value. The zero gaps are none.
type gaps struct{ words []uint64 }

// add makes row i of n a row without a value.
func (g *gaps) add(i, n int) {
	if g.words == nil {
		g.words = make([]uint64, (n+63)/64)
		for w := range g.words {
			g.words[w] = ^uint64(0)
		}
		if n&63 != 0 {
			g.words[n>>6] = 1<<(uint(n)&63) - 1
		}
	}
	g.words[i>>6] &^= 1 << (uint(i) & 63)
}

// numbers returns the columns with one of some labels that t has, which must be
// numbers and not in the key. A table that lacks one of them is no mistake.
func numbers(t *table.Table, labels []string) ([]table.Column, error) {
	var found []table.Column
	for i := range t.Cols {
		c := &t.Cols[i]
		if !slices.Contains(labels, c.Label) {
			continue
		}
		if err := computable(t, c); err != nil {
			return nil, err
		}
		found = append(found, c.Flat(t.Rows))
	}
	return found, nil
}

// oneNumber returns the column with a label, which t must have.
func oneNumber(t *table.Table, label string) (table.Column, error) {
	c, err := t.Need(label)
	if err != nil {
		return table.Column{}, err
	}
	if err := computable(t, c); err != nil {
		return table.Column{}, err
	}
	return c.Flat(t.Rows), nil
}

func computable(t *table.Table, c *table.Column) error {
	if !c.Kind.Numeric() {
		return &table.ColumnError{Label: c.Label, Have: c.Kind, Want: "a number"}
	}
	if t.Key.Has(c.Label) {
		return fmt.Errorf("column %q is in the group key, where a table has one value", c.Label)
	}
	return nil
}

// floats returns a column of numbers as floats, of which those at nulls mean
// nothing.
func floats(c *table.Column) []float64 {
	switch c.Kind {
	case value.Float:
		return c.Vec.Floats()
	case value.Int:
		return converted(cells[int64](c.Vec.Words))
	}
	return converted(c.Vec.Words)
}

func converted[T number](v []T) []float64 {
	f := make([]float64, len(v))
	for i, x := range v {
		f[i] = float64(x)
	}
	return f
}

// states are what a walker knows of columns, by label.
type states[S any] map[string]*S

// of returns what is known of a column, which is the zero S at first.
func (s states[S]) of(label string) *S {
	p := s[label]
	if p == nil {
		p = new(S)
		s[label] = p
	}
	return p
}

// perUnit returns a unit of time in nanoseconds.
func perUnit(unit value.Span) (int64, error) {
	ns, fixed := unit.Fixed()
	if !fixed || ns <= 0 {
		return 0, fmt.Errorf("unit %s has no fixed length above zero: use weeks or less", unit)
	}
	return ns, nil
}

// quoted renders labels as an array of a script.
func quoted(labels []string) string {
	text := "["
	for i, l := range labels {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q", l)
	}
	return text + "]"
}

// wordOf returns the 64 bits of a number.
func wordOf[T number](v T) uint64 { return *(*uint64)(unsafe.Pointer(&v)) }
