package importer

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
)

// maxKnownTables is how many measurements keep their memory from one batch to
// the next.
const maxKnownTables = 1000

// tables gathers rows into a batch.
type tables struct {
	known map[string]*tableBuilder
	open  []*tableBuilder // those with rows
	rows  int
}

// tableBuilder gathers the rows of one measurement.
type tableBuilder struct {
	table  column.Table
	hash   uint64 // of the measurement
	series map[string]uint32
	keys   map[string]bool
}

func (ts *tables) add(measurement string, key []byte, at int64, fields []layoutField, values []csvValue) {
	t := ts.known[measurement]
	if t == nil {
		t = &tableBuilder{hash: xxhash.Sum64String(measurement), series: map[string]uint32{}, keys: map[string]bool{}}
		t.table.Reset(measurement)
		t.table.Fields = make([]column.Field, len(fields))
		for i := range fields {
			t.table.Fields[i].Name = fields[i].name
		}
		ts.known[measurement] = t
	}
	if len(t.table.Time) == 0 {
		ts.open = append(ts.open, t)
	}
	ts.rows++
	t.add(key, at, fields, values)
}

func (t *tableBuilder) add(key []byte, at int64, fields []layoutField, values []csvValue) {
	s, ok := t.series[string(key)]
	if !ok {
		s = t.table.Series.Add(key, column.HashKey(t.hash, key))
		t.series[string(key)] = s
		for k := range column.Tags(key) {
			if !t.keys[string(k)] {
				t.keys[string(k)] = true
				t.table.TagKeys = append(t.table.TagKeys, string(k))
			}
		}
	}
	row := len(t.table.Time)
	t.table.Row = append(t.table.Row, s)
	t.table.Time = append(t.table.Time, at)
	for i := range values {
		if values[i].null {
			continue // made up for when a value comes, or in the end
		}
		f := &t.table.Fields[i]
		f.Type = fields[i].typ
		f.AppendNulls(row - f.Len())
		if f.Type == column.String {
			f.Data = append(f.Data, values[i].text...)
			f.Ends = append(f.Ends, uint32(len(f.Data)))
			if f.Valid.Words != nil {
				f.Valid = f.Valid.AppendBit(row, true)
			}
		} else {
			f.AppendWord(values[i].word)
		}
	}
}

// batch returns the rows; it is valid until reset.
func (ts *tables) batch() *column.Batch {
	b := &column.Batch{}
	for _, t := range ts.open {
		out := t.table
		out.Fields = nil
		for i := range t.table.Fields {
			f := &t.table.Fields[i]
			if f.Len() == 0 {
				continue // no value in this batch
			}
			f.AppendNulls(len(t.table.Time) - f.Len())
			out.Fields = append(out.Fields, *f)
		}
		b.Tables = append(b.Tables, &out)
	}
	slices.SortFunc(b.Tables, func(a, b *column.Table) int { return cmp.Compare(a.Measurement, b.Measurement) })
	return b
}

func (ts *tables) reset() {
	for _, t := range ts.open {
		fields := t.table.Fields
		t.table.Reset(t.table.Measurement)
		t.table.Fields = fields
		for i := range fields {
			fields[i].Reset(fields[i].Type)
		}
		clear(t.series)
		clear(t.keys)
	}
	ts.open, ts.rows = ts.open[:0], 0
	if len(ts.known) > maxKnownTables {
		clear(ts.known)
	}
}
