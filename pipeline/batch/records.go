package batch

import (
	"math"
	"strings"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

// Records appends the rows of b to out, in the order of the tables; they are of
// message n. Their texts share memory with b.
func Records(b *column.Batch, n int, out *record.List) {
	for _, t := range b.Tables {
		tags := make([][]record.Tag, t.Series.Len())
		for i := range tags {
			for k, v := range column.Tags(t.Series.Key(i)) {
				tags[i] = append(tags[i], record.Tag{Key: string(k), Value: string(v)})
			}
		}
		for row, at := range t.Time {
			r := out.Add(n)
			r.Measurement, r.Time, r.Timed = t.Measurement, at, true
			r.Tags = append(r.Tags, tags[t.Row[row]]...)
			for i := range t.Fields {
				f := &t.Fields[i]
				if f.Valid.Get(row) {
					r.Fields = append(r.Fields, record.Field{Name: f.Name, Value: value(f, row)})
				}
			}
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

// Copy is Records for a batch whose memory is used again before the records are
// done with.
func Copy(b *column.Batch, n int, out *record.List) {
	from := out.Len()
	Records(b, n, out)
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
