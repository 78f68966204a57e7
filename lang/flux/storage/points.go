package storage

import (
	"fmt"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// points collects rows for the store, point by point.
type points struct {
	tables map[string]*pointTable
	order  []*pointTable
	rows   int

	// The row under way.
	into *pointTable
	some bool // it has a value
	key  []byte
	tags []column.Tag
	time int64
}

// pointTable is the rows of one measurement.
type pointTable struct {
	column.Table
	series map[string]uint32
	keys   map[string]bool
	fields map[string]int
}

// begin begins a row.
func (p *points) begin(measurement string, tags []*table.Column, row int, at int64) error {
	p.into = p.tables[measurement]
	if p.into == nil {
		p.into = &pointTable{Table: column.Table{Measurement: measurement}, series: map[string]uint32{}, keys: map[string]bool{}, fields: map[string]int{}}
		if p.tables == nil {
			p.tables = map[string]*pointTable{}
		}
		p.tables[measurement] = p.into
		p.order = append(p.order, p.into)
	}
	p.tags = p.tags[:0]
	for _, c := range tags {
		if v := c.Bytes(row); !c.Null(row) && len(v) > 0 {
			p.tags = append(p.tags, column.Tag{Key: unsafe.Slice(unsafe.StringData(c.Label), len(c.Label)), Value: v})
		}
	}
	var err error
	if p.key, err = column.AppendSeriesKey(p.key[:0], p.tags); err != nil {
		return err
	}
	p.time, p.some = at, false
	return nil
}

// set sets a field of the row. A null sets nothing.
func (p *points) set(name string, v value.Value) error {
	if v.IsNull() || v.IsAbsent() {
		return nil
	}
	var kind column.Type
	switch v.Kind() {
	case value.Float:
		kind = column.Float64
	case value.Int:
		kind = column.Int64
	case value.Uint:
		kind = column.Uint64
	case value.String:
		kind = column.String
	case value.Bool:
		kind = column.Bool
	default:
		return fmt.Errorf("field %q: unsupported field type %s", name, v.Kind())
	}
	t := p.into
	if !p.some {
		p.some = true
		t.add(p.key, p.tags, p.time)
	}
	at, ok := t.fields[name]
	if !ok {
		at = len(t.Fields)
		t.fields[name] = at
		t.Fields = append(t.Fields, column.Field{Name: name, Vector: column.Vector{Type: kind}})
	}
	f := &t.Fields[at]
	if f.Type != kind {
		return fmt.Errorf("field %q has values of type %s and of type %s", name, f.Type, kind)
	}
	rows := len(t.Time)
	switch missing := rows - 1 - f.Len(); {
	case missing < 0: // set before in this row
		return fmt.Errorf("field %q is set twice in a row", name)
	default:
		f.AppendNulls(missing)
	}
	if kind == column.String {
		f.AppendString([]byte(v.Str()))
	} else {
		f.AppendWord(v.Word())
	}
	return nil
}

// add adds a row without values.
func (t *pointTable) add(key []byte, tags []column.Tag, at int64) {
	n, ok := t.series[string(key)]
	if !ok {
		n = t.Series.Add(key, column.HashSeries(t.Measurement, key))
		t.series[string(key)] = n
		for _, tag := range tags {
			if !t.keys[string(tag.Key)] {
				t.keys[string(tag.Key)] = true
				t.TagKeys = append(t.TagKeys, string(tag.Key))
			}
		}
	}
	t.Row, t.Time = append(t.Row, n), append(t.Time, at)
}

// end ends the row.
func (p *points) end() {
	if p.some {
		p.rows++
	}
}

// take returns the rows so far, and forgets them.
func (p *points) take() *column.Batch {
	b := &column.Batch{}
	for _, t := range p.order {
		if len(t.Time) == 0 {
			continue
		}
		for i := range t.Fields {
			f := &t.Fields[i]
			f.AppendNulls(len(t.Time) - f.Len())
		}
		b.Tables = append(b.Tables, &t.Table)
	}
	*p = points{key: p.key, tags: p.tags}
	return b
}
