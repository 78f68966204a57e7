package vector

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// operand is what an expression is in all rows: a column, or one value if col is
// nil.
type operand struct {
	col *table.Column // not Same
	val value.Value
	// loose says that row by row some of the nulls in col would be of no known
	// kind. It matters to what would take its kind from them.
	loose bool
}

func constant(v value.Value) operand { return operand{val: v} }

// ofColumn returns a column of a table as an operand.
func ofColumn(c *table.Column) operand {
	if c.Same {
		return constant(c.Value(0))
	}
	return operand{col: c}
}

func (o operand) kind() value.Kind {
	if o.col != nil {
		return o.col.Kind
	}
	return o.val.Kind()
}

// null reports whether it is null in all rows, as far as that is known.
func (o operand) null() bool { return o.col == nil && o.val.IsNull() }

// value returns what it is in row i.
func (o operand) value(i int) value.Value {
	if o.col == nil {
		return o.val
	}
	return o.col.Value(i)
}

// column returns it as a column of a table.
func (o operand) column(label string) table.Column {
	if o.col == nil {
		return table.Constant(label, o.val)
	}
	c := *o.col
	c.Label = label
	return c
}

// bitmap says in which rows it has a value.
func (o operand) bitmap() column.Bitmap {
	if o.col == nil {
		return column.Bitmap{} // one that is null does not come to this
	}
	return o.col.Vec.Valid
}

// words returns the 64-bit values of all rows and 1, or the one value and 0.
func (o operand) words() (words []uint64, step int) {
	if o.col == nil {
		return []uint64{o.val.Word()}, 0
	}
	return o.col.Vec.Words, 1
}

// ints and floats are words as other types.
func (o operand) ints() (v []int64, step int) {
	if o.col == nil {
		return []int64{o.val.Int()}, 0
	}
	return o.col.Vec.Ints(), 1
}

func (o operand) floats() (v []float64, step int) {
	if o.col == nil {
		return []float64{o.val.Float()}, 0
	}
	return o.col.Vec.Floats(), 1
}

// numbers returns numbers of any kind as floats.
func (o operand) numbers(rows int) (v []float64, step int) {
	switch {
	case o.kind() == value.Float:
		return o.floats()
	case o.col == nil:
		rows, step = 1, 0
	default:
		step = 1
	}
	v = make([]float64, rows)
	w, _ := o.words()
	for i := range v {
		if o.kind() == value.Int {
			v[i] = float64(int64(w[i]))
		} else {
			v[i] = float64(w[i])
		}
	}
	return v, step
}

// common returns in which rows both of two operands have a value: nil for all.
func common(a, b column.Bitmap, rows int) []uint64 {
	if a.All() && b.All() {
		return nil
	}
	both := column.Bitmap{}.Append(0, a, rows).Words
	other := column.Bitmap{}.Append(0, b, rows).Words
	switch {
	case both == nil:
		return other
	case other == nil:
		return both
	}
	for i := range both {
		both[i] &= other[i]
	}
	return both
}

// finish makes words an operand that has values in some rows only.
func finish(k value.Kind, words []uint64, valid []uint64) operand {
	c := table.NewColumn("", k)
	c.Vec.Words = words
	if valid != nil {
		c.Vec.Valid = column.Bitmap{Words: valid}
		for i := range words {
			if valid[i>>6]>>(i&63)&1 == 0 {
				words[i] = 0
			}
		}
	}
	return operand{col: &c}
}

// collector makes an operand of values that come row by row.
type collector struct {
	col   table.Column
	nulls int // that came before the kind was known
	loose bool
}

// add appends a value, and reports whether a column can hold it with the others.
func (c *collector) add(v value.Value) bool {
	c.loose = c.loose || v.Kind() == value.Null
	if c.col.Kind == value.Absent {
		if v.Kind() == value.Null {
			c.nulls++
			return true
		}
		if !v.Kind().Columnar() {
			return false
		}
		c.col = table.NewColumn("", v.Kind())
		c.col.Vec.AppendNulls(c.nulls)
	}
	if v.Kind() != c.col.Kind && v.Kind() != value.Null {
		return false
	}
	c.col.Append(v)
	return true
}

func (c *collector) operand() operand {
	if c.col.Kind == value.Absent {
		return constant(value.NullOf(value.Null))
	}
	return operand{col: &c.col, loose: c.loose}
}

// floats makes an operand of floats that has values in some rows only.
func floats(v []float64, valid []uint64) operand {
	c := table.Floats("", v)
	return finish(value.Float, c.Vec.Words, valid)
}
