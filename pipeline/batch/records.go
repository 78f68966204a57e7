package batch

import (
	"math"
	"strings"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

// Rows walks over the rows of a batch, in the order of the tables.
type Rows struct {
	tables []*column.Table // that are left
	row    int             // of the first of them
	tags   [][]record.Tag  // of its series
}

// NewRows returns a walk that begins with the first row of b.
func NewRows(b *column.Batch) *Rows {
	r := &Rows{tables: b.Tables}
	r.enter()
	return r
}

// enter makes ready for the first of the tables that has rows.
func (r *Rows) enter() {
	for r.row = 0; len(r.tables) > 0 && len(r.tables[0].Time) == 0; r.tables = r.tables[1:] {
	}
	if len(r.tables) == 0 {
		return
	}
	t := r.tables[0]
	r.tags = make([][]record.Tag, t.Series.Len())
	for i := range r.tags {
		r.tags[i] = appendTags(nil, t, i)
	}
}

// appendTags appends the tags of series i of t.
func appendTags(tags []record.Tag, t *column.Table, i int) []record.Tag {
	for k, v := range column.Tags(t.Series.Key(i)) {
		tags = append(tags, record.Tag{Key: string(k), Value: string(v)})
	}
	return tags
}

// Row makes out the record of a row of t. Its texts share memory with t.
func Row(t *column.Table, row int, out *record.Record) {
	out.Tags = appendTags(out.Tags[:0], t, int(t.Row[row]))
	fill(t, row, out)
}

// fill gives a record all of a row but its tags.
func fill(t *column.Table, row int, out *record.Record) {
	out.Measurement, out.Time, out.Timed = t.Measurement, t.Time[row], true
	out.Fields = out.Fields[:0]
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.Valid.Get(row) {
			out.Fields = append(out.Fields, record.Field{Name: f.Name, Value: value(f, row)})
		}
	}
}

// Left reports whether there are more rows.
func (r *Rows) Left() bool { return len(r.tables) > 0 }

// Next appends the next rows, most of them at most, to out; they are of message
// n. Their texts share memory with the batch.
func (r *Rows) Next(n, most int, out *record.List) {
	for ; r.Left() && most > 0; most-- {
		t := r.tables[0]
		rec := out.Add(n)
		rec.Tags = append(rec.Tags, r.tags[t.Row[r.row]]...)
		fill(t, r.row, rec)
		if r.row++; r.row == len(t.Time) {
			r.tables = r.tables[1:]
			r.enter()
		}
	}
}

func value(f *column.Field, row int) record.Value {
	switch f.Type {
	case column.Float64:
		return record.Float(math.Float64frombits(f.Words[row]))
	case column.String:
		s := f.Str(row)
		return record.String(unsafe.String(unsafe.SliceData(s), len(s)))
	}
	return record.Value{Type: f.Type, Word: f.Words[row]}
}

// Copy appends all rows of b to out, as records of message n, and shares no memory
// with b.
func Copy(b *column.Batch, n int, out *record.List) {
	from := out.Len()
	NewRows(b).Next(n, b.Rows(), out)
	for i := from; i < out.Len(); i++ {
		r := out.At(i)
		r.Measurement = strings.Clone(r.Measurement)
		for k := range r.Fields {
			f := &r.Fields[k]
			f.Name = strings.Clone(f.Name)
			if f.Type == column.String {
				f.Str = strings.Clone(f.Str)
			}
		}
	}
}
