package value

import "slices"

// Fields is a record: labels with values, in order. It is immutable, except
// that one made by NewRow shows whatever row its Row stands on.
type Fields struct {
	labels []string
	index  map[string]int // nil for few labels
	values []Value
	row    Row
	closed bool
}

// Row gives a record its values: the row of a table that a reader stands on.
type Row interface {
	// Cell returns the value in a column.
	Cell(column int) Value
}

// fewLabels is up to how many labels a walk beats a map.
const fewLabels = 8

// NewRecord returns a record. Both slices belong to it; a label stands once.
func NewRecord(labels []string, values []Value) *Fields {
	r := &Fields{labels: labels, values: values}
	r.makeIndex()
	return r
}

// NewRow returns a record with the labels of a table, whose values are those
// that row has at the time they are asked for.
func NewRow(labels []string, row Row) *Fields {
	r := &Fields{labels: labels, row: row}
	r.makeIndex()
	return r
}

func (r *Fields) makeIndex() {
	if len(r.labels) <= fewLabels {
		return
	}
	r.index = make(map[string]int, len(r.labels))
	for i, l := range r.labels {
		r.index[l] = i
	}
}

// Close says that the fields of r are all that it can have, as those of a record
// that a script wrote out: to ask for another is a mistake and not a null.
func (r *Fields) Close() *Fields {
	r.closed = true
	return r
}

// Closed reports whether Close was called.
func (r *Fields) Closed() bool { return r.closed }

// Len returns the number of fields.
func (r *Fields) Len() int { return len(r.labels) }

// Label returns the label of a field.
func (r *Fields) Label(i int) string { return r.labels[i] }

// Labels returns all labels in order, which must not be changed.
func (r *Fields) Labels() []string { return r.labels }

// At returns the value of a field.
func (r *Fields) At(i int) Value {
	if r.row != nil {
		return r.row.Cell(i)
	}
	return r.values[i]
}

// Find returns the place of a label, or -1.
func (r *Fields) Find(label string) int {
	if r.index == nil {
		return slices.Index(r.labels, label)
	}
	if i, ok := r.index[label]; ok {
		return i
	}
	return -1
}

// Get returns the value of a label, if the record has it.
func (r *Fields) Get(label string) (Value, bool) {
	if i := r.Find(label); i >= 0 {
		return r.At(i), true
	}
	return Value{}, false
}

// With returns a record with the fields of r and those given, of which some may
// replace fields of r.
func (r *Fields) With(labels []string, values []Value) *Fields {
	all := make([]string, len(r.labels), len(r.labels)+len(labels))
	copy(all, r.labels)
	vals := make([]Value, len(r.labels), len(r.labels)+len(labels))
	for i := range vals {
		vals[i] = r.At(i)
	}
	for i, l := range labels {
		if at := slices.Index(all, l); at >= 0 {
			vals[at] = values[i]
			continue
		}
		all, vals = append(all, l), append(vals, values[i])
	}
	n := NewRecord(all, vals)
	n.closed = r.closed
	return n
}

// Fixed returns r itself, or, if it shows a row, a copy that stays what it is.
func (r *Fields) Fixed() *Fields {
	if r.row == nil {
		return r
	}
	return r.With(nil, nil)
}
