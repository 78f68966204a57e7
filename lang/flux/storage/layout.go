package storage

import (
	"bytes"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// layout makes the constant columns and the keys of tables, and shares them:
// those of the range and the measurement by all, those of tags by the fields of
// a series. Reading 1,000 short tables would else cost more than finding them.
type layout struct {
	bounds      [2]value.Value // _start, _stop
	boundCols   [2]table.Column
	measurement string
	fields      map[string]table.Column
	key         []byte // of the present series
	known       bool
	labels      []string // of the key: the fixed columns, then the tags
	values      []value.Value
	tags        []table.Column // the measurement, then the tags
	group       *Group         // which columns are in the key; nil: all
}

// Places of the fixed columns in labels.
const (
	atStart = iota
	atStop
	atField
	atMeasurement
	fixedKeys
)

func newLayout(start, stop int64, group *Group) *layout {
	l := &layout{group: group, fields: map[string]table.Column{}}
	for i, t := range []int64{start, stop} {
		l.bounds[i] = value.OfTime(t)
		l.boundCols[i] = table.Constant([...]string{Start, Stop}[i], l.bounds[i])
	}
	return l
}

// series makes a series the present one, and reports whether it is another.
func (l *layout) series(measurement string, key []byte) bool {
	if l.known && measurement == l.measurement && bytes.Equal(key, l.key) {
		return false
	}
	l.known, l.measurement, l.key = true, measurement, key
	m := value.OfString(measurement)
	l.labels = append(l.labels[:0], Start, Stop, Field, Measurement)
	l.values = append(l.values[:0], l.bounds[0], l.bounds[1], value.Value{}, m)
	l.tags = []table.Column{table.Constant(Measurement, m)}
	for k, v := range column.Tags(key) {
		if label := string(k); isTag(label) {
			of := value.OfString(string(v))
			l.labels, l.values = append(l.labels, label), append(l.values, of)
			l.tags = append(l.tags, table.Constant(label, of))
		}
	}
	return true
}

// field returns the column of a field's name.
func (l *layout) field(name string) table.Column {
	c, ok := l.fields[name]
	if !ok {
		c = table.Constant(Field, value.OfString(name))
		l.fields[name] = c
	}
	return c
}

// keyOf returns the key of the present series and a field; "" is of no field.
func (l *layout) keyOf(field string) *table.Key {
	l.values[atField] = value.OfString(field)
	labels, values := l.labels, l.values
	if field == "" {
		labels, values = slices.Concat(labels[:atField], labels[atField+1:]), slices.Concat(values[:atField], values[atField+1:])
	}
	if l.group == nil {
		return table.NewKey(labels, values)
	}
	var keptLabels []string
	var keptValues []value.Value
	for i, label := range labels {
		if l.group.Has(label) {
			keptLabels, keptValues = append(keptLabels, label), append(keptValues, values[i])
		}
	}
	return table.NewKey(keptLabels, keptValues)
}

// selected returns a table of points of the present series: all columns.
func (l *layout) selected(field string, time, val table.Column, rows int) *table.Table {
	cols := make([]table.Column, 0, 5+len(l.tags))
	cols = append(cols, l.boundCols[0], l.boundCols[1], time, val)
	if field != "" {
		cols = append(cols, l.field(field))
	}
	return &table.Table{Key: l.keyOf(field), Cols: append(cols, l.tags...), Rows: rows}
}

// pointOf returns a column of one time.
func pointOf(at int64) table.Column { return table.Constant(Time, value.OfTime(at)) }
