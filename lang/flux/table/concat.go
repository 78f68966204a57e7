package table

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/lang/flux/value"
)

// A KindError says that one table would need a column of two kinds.
type KindError struct {
	Label string
	A, B  value.Kind
}

func (e *KindError) Error() string {
	return fmt.Sprintf("schema collision detected: column %q is both of type %s and %s: filter one of them out, or convert it before, as by toFloat()", e.Label, e.A, e.B)
}

// Concat returns the rows of tables, one behind the other, as one table with a
// key. What a table does not have is null in its rows; a column that is the same
// in all of them stays Same. A KindError says that the tables do not go together.
func Concat(key *Key, parts []*Table) (*Table, error) {
	if len(parts) == 1 {
		return parts[0].WithKey(key), nil
	}
	out, from, err := align(parts)
	if err != nil {
		return nil, err
	}
	for i := range out.Cols {
		if err := join(&out.Cols[i], parts, from[i]); err != nil {
			return nil, err
		}
	}
	return out.WithKey(key), nil
}

// ConcatMemory estimates the bytes that Concat takes for its result, beside its
// arguments.
func ConcatMemory(parts []*Table) int64 {
	if len(parts) == 1 {
		return 0
	}
	out, from, err := align(parts)
	if err != nil {
		return 0 // Concat will say so
	}
	n := int64(64)
	for i := range out.Cols {
		n += 128
		if constantOf(parts, from[i]) == nil {
			n += cellBytes(&out.Cols[i], parts, from[i])
		}
	}
	return n
}

// align returns a table without values of all columns that tables have, and for
// each column that of each table, nil where there is none.
func align(parts []*Table) (*Table, [][]*Column, error) {
	out := &Table{}
	index := map[string]int{}
	var from [][]*Column
	for p, t := range parts {
		out.Rows += t.Rows
		for i := range t.Cols {
			c := &t.Cols[i]
			at, ok := index[c.Label]
			if !ok {
				at = len(out.Cols)
				index[c.Label] = at
				out.Cols = append(out.Cols, Column{Label: c.Label, Kind: c.Kind})
				from = append(from, make([]*Column, len(parts)))
			}
			if have := out.Cols[at].Kind; have != c.Kind {
				return nil, nil, &KindError{c.Label, have, c.Kind}
			}
			from[at][p] = c
		}
	}
	return out, from, nil
}

// cellBytes returns what the values of a column take that has a row of its own
// for each row.
func cellBytes(c *Column, parts []*Table, from []*Column) int64 {
	n, nulls := int64(0), false
	for p, t := range parts {
		rows := int64(t.Rows)
		f := from[p]
		nulls = nulls || f == nil || !f.Vec.Valid.All()
		if c.Kind != value.String {
			n += rows * 8
			continue
		}
		n += rows * 4
		if f != nil {
			n += int64(f.textBytes(t.Rows))
		}
	}
	if nulls {
		n += n / 64
	}
	return n
}

// join fills a column of a concatenation.
func join(c *Column, parts []*Table, from []*Column) error {
	if one := constantOf(parts, from); one != nil {
		c.Same, c.Vec, c.Far = true, one.Vec, one.Far
		return nil
	}
	rows, data := 0, 0
	for p, t := range parts {
		rows += t.Rows
		if f := from[p]; f != nil && c.Kind == value.String {
			data += f.textBytes(t.Rows)
		}
	}
	if data > math.MaxUint32 {
		return fmt.Errorf("column %q: a table holds at most 4 GiB of text in a column", c.Label)
	}
	c.Vec.Reset(vectorType(c.Kind))
	if c.Kind == value.String {
		c.Vec.Ends, c.Vec.Data = make([]uint32, 0, rows), make([]byte, 0, data)
	} else {
		c.Vec.Words = make([]uint64, 0, rows)
	}
	for p, t := range parts {
		if f := from[p]; f != nil {
			c.AppendAll(f, t.Rows)
		} else {
			c.Vec.AppendNulls(t.Rows)
		}
	}
	return nil
}

// constantOf returns the column of the first part with rows if the others have
// the same constant, and nil if they do not.
func constantOf(parts []*Table, from []*Column) *Column {
	var one *Column
	for p, t := range parts {
		f := from[p]
		switch {
		case t.Rows == 0:
		case f == nil || !f.Same:
			return nil
		case one == nil:
			one = f
		case !one.SameCell(0, f, 0):
			return nil
		}
	}
	return one
}

// textBytes returns how long the strings of so many rows are together.
func (c *Column) textBytes(rows int) int {
	switch n := len(c.Vec.Ends); {
	case n == 0:
		return 0
	case c.Same:
		return rows * len(c.Vec.Str(0))
	default:
		return int(c.Vec.Ends[n-1] - c.Vec.Start)
	}
}

// FlatMemory estimates the bytes that so many rows of t take when no column is
// Same any more.
func (t *Table) FlatMemory(rows int) int64 {
	n := int64(64)
	for i := range t.Cols {
		c := &t.Cols[i]
		n += 128 + int64(rows)*8
		if c.Kind == value.String && t.Rows > 0 {
			n += int64(c.textBytes(t.Rows)) / int64(t.Rows) * int64(rows)
		}
		if !c.Vec.Valid.All() {
			n += int64(rows) / 8
		}
	}
	return n
}
