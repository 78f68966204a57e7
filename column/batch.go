package column

// Batch is what a decoder makes of one request: rows by measurement, in the
// order in which they arrived within each.
type Batch struct {
	Tables []*Table
}

// Rows returns the number of rows in all tables.
func (b *Batch) Rows() int {
	n := 0
	for _, t := range b.Tables {
		n += len(t.Time)
	}
	return n
}

// Values returns the number of non-null field values in all tables.
func (b *Batch) Values() int {
	n := 0
	for _, t := range b.Tables {
		for i := range t.Fields {
			n += t.Fields[i].Valid.Count(t.Fields[i].Len())
		}
	}
	return n
}

// Table holds rows of one measurement. Row i belongs to series Row[i] of
// Series, has the time Time[i] (nanoseconds since 1970) and, in each of
// Fields, a value or a null. Later rows overwrite earlier ones of the same
// series and time, field by field.
type Table struct {
	Measurement string
	Series      SeriesSet
	TagKeys     []string // every tag key of Series, in any order, each once
	Row         []uint32
	Time        []int64
	Fields      []Field
}

// Field is a named column of a Table.
type Field struct {
	Name string
	Vector
}

// Reset empties t and keeps its memory.
func (t *Table) Reset(measurement string) {
	t.Measurement = measurement
	t.Series.Reset()
	t.TagKeys = t.TagKeys[:0]
	t.Row, t.Time, t.Fields = t.Row[:0], t.Time[:0], t.Fields[:0]
}
