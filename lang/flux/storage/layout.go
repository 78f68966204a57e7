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
	tags        []table.Column // the measurement, then the tags
	group       *Group         // which columns are in the key; nil: all
	shown       *Group         // which columns there are; nil: all

	// Of keys of the present series: labels, ascending, and values. Those of the
	// bounds and the field are where start, stop and field say, -1 if nowhere.
	labels             []string
	values             []value.Value
	start, stop, field int
	fieldless          []string // labels without _field
}

func newLayout(p *Plan) *layout {
	start, stop := p.Start, p.Stop
	l := &layout{shown: p.Shown, fields: map[string]table.Column{}}
	if p.Aggregate != nil {
		l.group = p.Aggregate.Group
	}
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
	l.tags = nil
	l.tag(Measurement, m)
	// Keys of the series before have the slices.
	l.labels, l.values = make([]string, 0, fixedKeys+4), make([]value.Value, 0, fixedKeys+4)
	l.put(Start, l.bounds[0])
	l.put(Stop, l.bounds[1])
	l.put(Field, value.Value{})
	l.put(Measurement, m)
	for k, v := range column.Tags(key) {
		if label := string(k); isTag(label) {
			of := value.OfString(string(v))
			l.put(label, of)
			l.tag(label, of)
		}
	}
	l.start, l.stop, l.field = slices.Index(l.labels, Start), slices.Index(l.labels, Stop), slices.Index(l.labels, Field)
	l.fieldless = nil
	return true
}

// shows reports whether tables have a column.
func (l *layout) shows(label string) bool { return l.shown == nil || l.shown.Has(label) }

// tag adds a column of the series, if it is shown.
func (l *layout) tag(label string, v value.Value) {
	if l.shows(label) {
		l.tags = append(l.tags, table.Constant(label, v))
	}
}

// shownOf leaves out the columns that are not shown.
func (l *layout) shownOf(cols []table.Column) []table.Column {
	if l.shown == nil {
		return cols
	}
	return slices.DeleteFunc(cols, func(c table.Column) bool { return !l.shown.Has(c.Label) })
}

// measured returns the column of the measurement, if it is shown.
func (l *layout) measured() []table.Column {
	if l.shows(Measurement) {
		return l.tags[:1]
	}
	return nil
}

// fixedKeys is how many columns of a key are no tags.
const fixedKeys = 4

// put puts a column of the key in its place, if it is in the key.
func (l *layout) put(label string, v value.Value) {
	if l.group != nil && !l.group.Has(label) || !l.shows(label) {
		return
	}
	at, _ := slices.BinarySearch(l.labels, label)
	l.labels, l.values = slices.Insert(l.labels, at, label), slices.Insert(l.values, at, v)
}

// nameOf returns the column of a field's name.
func (l *layout) nameOf(field string) table.Column {
	c, ok := l.fields[field]
	if !ok {
		c = table.Constant(Field, value.OfString(field))
		l.fields[field] = c
	}
	return c
}

// keyOf returns the key of the present series and a field; "" is of no field.
func (l *layout) keyOf(field string) *table.Key { return l.keyWithin(field, l.bounds) }

// keyWithin is keyOf with other bounds.
func (l *layout) keyWithin(field string, bounds [2]value.Value) *table.Key {
	values := slices.Clone(l.values)
	if l.start >= 0 {
		values[l.start] = bounds[0]
	}
	if l.stop >= 0 {
		values[l.stop] = bounds[1]
	}
	switch {
	case l.field < 0:
	case field != "":
		values[l.field] = value.OfString(field)
	default:
		if l.fieldless == nil {
			l.fieldless = slices.Delete(slices.Clone(l.labels), l.field, l.field+1)
		}
		return table.SortedKey(l.fieldless, slices.Delete(values, l.field, l.field+1))
	}
	return table.SortedKey(l.labels, values)
}

// selected returns a table of points of the present series: all columns.
func (l *layout) selected(field string, time, val table.Column, rows int) *table.Table {
	cols := make([]table.Column, 0, 5+len(l.tags))
	cols = append(cols, l.boundCols[0], l.boundCols[1], time, val)
	if field != "" {
		cols = append(cols, l.nameOf(field))
	}
	return &table.Table{Key: l.keyOf(field), Cols: append(l.shownOf(cols), l.tags...), Rows: rows}
}
