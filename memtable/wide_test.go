package memtable

import (
	"fmt"
	"testing"

	"github.com/varvedb/varve/column"
)

// TestFieldsComeLate appends to a table that has many rows of few fields rows
// of many: the chunk has then more rows than it may have with so many fields.
func TestFieldsComeLate(t *testing.T) {
	m := New()
	seq := uint64(0)
	write := func(rows, fields int) {
		seq++
		b := &column.Table{Measurement: "m"}
		b.Series.Add([]byte("host=a"), column.HashSeries("m", []byte("host=a")))
		for r := range rows {
			b.Row, b.Time = append(b.Row, 0), append(b.Time, int64(seq)*1_000_000+int64(r))
		}
		for f := range fields {
			v := column.Vector{Type: column.Int64}
			for r := range rows {
				v.AppendWord(uint64(r))
			}
			b.Fields = append(b.Fields, column.Field{Name: fmt.Sprintf("f%03d", f), Vector: v})
		}
		m.Apply(1, &column.Batch{Tables: []*column.Table{b}}, seq, seq)
	}
	want := 0
	for _, c := range []struct{ rows, fields int }{{60_000, 1}, {10, 40}, {60_000, 2}, {500, 200}, {1, 201}} {
		write(c.rows, c.fields)
		want += c.rows
		v := m.View(1, "m", seq)
		cur, err := v.Cursor([]string{"f000"})
		if err != nil {
			t.Fatal(err)
		}
		if err := cur.Seek(0, column.MinTime, column.MaxTime); err != nil {
			t.Fatal(err)
		}
		got := 0
		for {
			rows, err := cur.Next()
			if err != nil {
				t.Fatal(err)
			}
			if rows == nil {
				break
			}
			got += rows.Len()
		}
		if got != want {
			t.Fatalf("%d rows after %+v, want %d", got, c, want)
		}
	}
}

// TestOtherType applies a field with one type and then, which the schema
// should have kept out, with another.
func TestOtherType(t *testing.T) {
	m := New()
	for seq, kind := range []column.Type{column.Int64, column.String, column.Float64, column.Int64} {
		b := &column.Table{Measurement: "m", Row: []uint32{0}, Time: []int64{int64(seq)}}
		b.Series.Add([]byte("host=a"), column.HashSeries("m", []byte("host=a")))
		f := column.Field{Name: "f", Vector: column.Vector{Type: kind}}
		if kind == column.String {
			f.AppendString([]byte("text"))
		} else {
			f.AppendWord(7)
		}
		b.Fields = append(b.Fields, f)
		m.Apply(1, &column.Batch{Tables: []*column.Table{b}}, uint64(seq)+1, uint64(seq)+1)
	}
	cur, err := m.View(1, "m", 9).Cursor([]string{"f"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cur.Seek(0, column.MinTime, column.MaxTime); err != nil {
		t.Fatal(err)
	}
	rows, err := cur.Next()
	if err != nil || rows.Len() != 4 {
		t.Fatal(rows, err)
	}
	for i, want := range []bool{true, false, false, true} {
		if v := &rows.Cols[0]; v.Valid.Get(i) != want || want && v.Words[i] != 7 {
			t.Errorf("row %d: valid %t, word %d", i, v.Valid.Get(i), v.Words[i])
		}
	}
}

// TestManyMeasurements has the shape of metrics of Prometheus: many measurements
// of some hundred series each, which must not fill the memtable with room for
// keys that do not come.
func TestManyMeasurements(t *testing.T) {
	const measurements, series, keyBytes = 200, 200, 100
	mt := New()
	for m := range measurements {
		name := fmt.Sprint("m", m)
		table := &column.Table{Measurement: name, Fields: []column.Field{{Name: "value", Vector: column.Vector{Type: column.Float64}}}}
		for s := range series {
			key := fmt.Appendf(nil, "id=%0*d", keyBytes-len("id="), s)
			table.Row = append(table.Row, table.Series.Add(key, column.HashSeries(name, key)))
			table.Time = append(table.Time, 1)
			table.Fields[0].AppendFloat(1)
		}
		mt.Apply(1, &column.Batch{Tables: []*column.Table{table}}, uint64(m+1), uint64(m+1))
	}
	if perSeries := mt.Bytes() / (measurements * series); perSeries > 3*keyBytes {
		t.Errorf("%d bytes a series, whose key has %d", perSeries, keyBytes)
	}
}
