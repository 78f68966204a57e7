package table

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/value"
)

// Column is a named column of a table.
type Column struct {
	Label string
	Kind  value.Kind // one that is Columnar
	// Same says that Vec has one row, which stands for every row of the table:
	// what group keys, measurements and bounds of windows mostly are.
	Same bool
	Vec  column.Vector
	// Far holds the times of rows of Vec that 64 bits of nanoseconds do not
	// hold, whose words are the nearest that they do; nil if there are none.
	Far map[int]time.Time
}

// vectorType returns how a column of kind k is stored.
func vectorType(k value.Kind) column.Type {
	switch k {
	case value.Bool:
		return column.Bool
	case value.Int, value.Time:
		return column.Int64
	case value.Uint:
		return column.Uint64
	case value.Float:
		return column.Float64
	case value.String:
		return column.String
	}
	panic("BUG: no column holds values of kind " + k.String())
}

// KindOf returns the kind of values of a field.
func KindOf(t column.Type) value.Kind {
	switch t {
	case column.Bool:
		return value.Bool
	case column.Int64:
		return value.Int
	case column.Uint64:
		return value.Uint
	case column.Float64:
		return value.Float
	case column.String:
		return value.String
	}
	panic(fmt.Sprintf("BUG: unknown type of field %d", t))
}

// NewColumn returns a column without rows.
func NewColumn(label string, kind value.Kind) Column {
	c := Column{Label: label, Kind: kind}
	c.Vec.Reset(vectorType(kind))
	return c
}

// Constant returns a column with v in every row. v may be null, and is of a
// kind that is Columnar.
func Constant(label string, v value.Value) Column {
	c := NewColumn(label, v.Kind())
	c.Append(v)
	c.Same = true
	return c
}

// Times, Ints and Floats return columns of the values given, whose memory
// they share.

// Times returns a column of times.
func Times(label string, t []int64) Column {
	c := NewColumn(label, value.Time)
	c.Vec.Words = unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(t))), len(t))
	return c
}

// Ints returns a column of integers.
func Ints(label string, v []int64) Column {
	c := Times(label, v)
	c.Kind = value.Int
	return c
}

// Floats returns a column of floats.
func Floats(label string, v []float64) Column {
	c := NewColumn(label, value.Float)
	c.Vec.Words = unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
	return c
}

// OfVector returns a column of the values of a field, whose memory it shares.
func OfVector(label string, v column.Vector) Column {
	return Column{Label: label, Kind: KindOf(v.Type), Vec: v}
}

// place returns where row i of the table is in Vec.
func (c *Column) place(i int) int {
	if c.Same {
		return 0
	}
	return i
}

// Null reports whether row i has no value.
func (c *Column) Null(i int) bool { return !c.Vec.Valid.Get(c.place(i)) }

// Value returns the value of row i, or the null of the column's kind. A string
// shares memory with the column, which nobody changes.
func (c *Column) Value(i int) value.Value {
	i = c.place(i)
	if !c.Vec.Valid.Get(i) {
		return value.NullOf(c.Kind)
	}
	if c.Kind == value.String {
		s := c.Vec.Str(i)
		return value.OfString(unsafe.String(unsafe.SliceData(s), len(s)))
	}
	if t, far := c.Far[i]; far {
		return value.OfClock(t)
	}
	return value.OfWord(c.Kind, c.Vec.Words[i])
}

// Word returns the 64 bits of row i of a column that is not of strings; zero
// for a null.
func (c *Column) Word(i int) uint64 { return c.Vec.Words[c.place(i)] }

// Int returns row i of a column of integers or times.
func (c *Column) Int(i int) int64 { return int64(c.Vec.Words[c.place(i)]) }

// Float returns row i of a column of floats.
func (c *Column) Float(i int) float64 { return value.OfWord(value.Float, c.Word(i)).Float() }

// Number returns row i of a column of numbers as a float.
func (c *Column) Number(i int) float64 {
	switch c.Kind {
	case value.Int:
		return float64(c.Int(i))
	case value.Uint:
		return float64(c.Word(i))
	}
	return c.Float(i)
}

// Bytes returns row i of a column of strings. It shares memory.
func (c *Column) Bytes(i int) []byte { return c.Vec.Str(c.place(i)) }

// Append appends a value of the column's kind, or a null of any kind. The column
// must not be Same.
func (c *Column) Append(v value.Value) {
	switch {
	case v.IsNull() || v.IsAbsent():
		c.Vec.AppendNulls(1)
	case v.Kind() != c.Kind:
		panic(fmt.Sprintf("BUG: %s appended to column %s of %s", v.Kind(), c.Label, c.Kind))
	case c.Kind == value.String:
		c.Vec.AppendString(unsafe.Slice(unsafe.StringData(v.Str()), len(v.Str())))
	default:
		if t, far := v.Far(); far {
			c.setFar(c.Vec.Len(), t)
		}
		c.Vec.AppendWord(v.Word())
	}
}

func (c *Column) setFar(row int, t time.Time) {
	if c.Far == nil {
		c.Far = map[int]time.Time{}
	}
	c.Far[row] = t
}

// addFar takes over what o has of a row of its vector, for the next row of c.
func (c *Column) addFar(o *Column, row int) {
	if t, far := o.Far[row]; far {
		c.setFar(c.Vec.Len(), t)
	}
}

// AppendFrom appends row i of o, a column of the same kind.
func (c *Column) AppendFrom(o *Column, i int) {
	c.addFar(o, o.place(i))
	c.Vec.AppendRow(&o.Vec, o.place(i))
}

// AppendAll appends all rows of o, a column of the same kind in a table of so
// many rows.
func (c *Column) AppendAll(o *Column, rows int) {
	if !o.Same {
		for row, t := range o.Far {
			c.setFar(c.Vec.Len()+row, t)
		}
		c.Vec.Append(&o.Vec)
		return
	}
	for range rows {
		c.addFar(o, 0)
		c.Vec.AppendRow(&o.Vec, 0)
	}
}

// Flat returns the column with a row of its own for each of the rows of its
// table.
func (c *Column) Flat(rows int) Column {
	if !c.Same {
		return *c
	}
	f := NewColumn(c.Label, c.Kind)
	f.AppendAll(c, rows)
	return f
}

// Slice returns the view of rows from to to-1.
func (c *Column) Slice(from, to int) Column {
	if c.Same {
		return *c
	}
	s := Column{Label: c.Label, Kind: c.Kind, Vec: c.Vec.Slice(from, to)}
	for row, t := range c.Far {
		if row >= from && row < to {
			s.setFar(row-from, t)
		}
	}
	return s
}

// Pick returns the column with the rows of which the places are given.
func (c *Column) Pick(rows []int) Column {
	if c.Same {
		return *c
	}
	p := NewColumn(c.Label, c.Kind)
	if c.Vec.Valid.All() && c.Kind != value.String && c.Far == nil {
		p.Vec.Words = make([]uint64, len(rows))
		for i, r := range rows {
			p.Vec.Words[i] = c.Vec.Words[r]
		}
		return p
	}
	for _, r := range rows {
		p.addFar(c, r)
		p.Vec.AppendRow(&c.Vec, r)
	}
	return p
}

// SameCell reports whether row i of c and row j of o are equal, or both null.
// Columns of different kinds have equal cells only if both are null.
func (c *Column) SameCell(i int, o *Column, j int) bool {
	if c.Null(i) || o.Null(j) {
		return c.Null(i) && o.Null(j)
	}
	if c.Kind != o.Kind {
		return false
	}
	if c.Kind == value.String {
		return string(c.Bytes(i)) == string(o.Bytes(j))
	}
	if c.Far != nil || o.Far != nil {
		return value.Same(c.Value(i), o.Value(j))
	}
	return c.Word(i) == o.Word(j)
}

// memory estimates the bytes that the column takes.
func (c *Column) memory() int64 {
	return int64(len(c.Vec.Words)*8 + len(c.Vec.Valid.Words)*8 + len(c.Vec.Ends)*4 + len(c.Vec.Data))
}
