package table

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/varvedb/varve/lang/flux/value"
)

// Key is a group key: the columns that have one value in all of a table, and
// their values. Columns are in the order of their labels, so that equal keys
// look equal. A Key is immutable.
type Key struct {
	labels []string
	values []value.Value
	id     string
}

// NewKey returns the key of labels with their values, which may be null.
func NewKey(labels []string, values []value.Value) *Key {
	k := &Key{labels: slices.Clone(labels), values: slices.Clone(values)}
	for i := 1; i < len(k.labels); i++ {
		for j := i; j > 0 && k.labels[j] < k.labels[j-1]; j-- {
			k.labels[j], k.labels[j-1] = k.labels[j-1], k.labels[j]
			k.values[j], k.values[j-1] = k.values[j-1], k.values[j]
		}
	}
	k.identify()
	return k
}

// SortedKey is NewKey for labels that ascend. Both slices belong to the key, which
// other keys may share.
func SortedKey(labels []string, values []value.Value) *Key {
	k := &Key{labels: labels, values: values}
	k.identify()
	return k
}

// identify makes the id of a key.
func (k *Key) identify() {
	size := 0
	for i, l := range k.labels {
		size += len(l) + 12
		if v := k.values[i]; v.Kind() == value.String {
			size += len(v.Str())
		}
	}
	b := make([]byte, 0, size)
	for i, l := range k.labels {
		b = appendText(b, l)
		b = AppendCell(b, k.values[i])
	}
	k.id = unsafe.String(unsafe.SliceData(b), len(b)) // nobody else has b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendCell appends bytes that are equal for equal scalars of one kind, and for
// nulls of any kind, and for nothing else.
func AppendCell(b []byte, v value.Value) []byte {
	if v.IsNull() {
		return append(b, 0)
	}
	b = append(b, byte(v.Kind()))
	if v.Kind() == value.String {
		return appendText(b, v.Str())
	}
	if t, far := v.Far(); far {
		return appendText(b, t.Format(time.RFC3339Nano))
	}
	return binary.LittleEndian.AppendUint64(b, v.Word())
}

// ID returns a string that equal keys, and no others, have in common.
func (k *Key) ID() string { return k.id }

// Len returns the number of columns.
func (k *Key) Len() int { return len(k.labels) }

// Label returns the label of a column.
func (k *Key) Label(i int) string { return k.labels[i] }

// Labels returns all labels, ascending. They must not be changed.
func (k *Key) Labels() []string { return k.labels }

// Value returns the value of a column.
func (k *Key) Value(i int) value.Value { return k.values[i] }

// Find returns the place of a label, or -1.
func (k *Key) Find(label string) int { return slices.Index(k.labels, label) }

// Has reports whether a column is in the key.
func (k *Key) Has(label string) bool { return k.Find(label) >= 0 }

// Get returns the value of a label, if it is in the key.
func (k *Key) Get(label string) (value.Value, bool) {
	if i := k.Find(label); i >= 0 {
		return k.values[i], true
	}
	return value.Value{}, false
}

// Equal reports whether two keys have the same columns with the same values.
func (k *Key) Equal(o *Key) bool { return k == o || k.id == o.id }

// Set returns k with a column added, or with another value.
func (k *Key) Set(label string, v value.Value) *Key {
	labels, values := slices.Clone(k.labels), slices.Clone(k.values)
	if i := k.Find(label); i >= 0 {
		values[i] = v
	} else {
		labels, values = append(labels, label), append(values, v)
	}
	return NewKey(labels, values)
}

// Keep returns the key of those columns that keep wants.
func (k *Key) Keep(keep func(label string) bool) *Key {
	var labels []string
	var values []value.Value
	for i, l := range k.labels {
		if keep(l) {
			labels, values = append(labels, l), append(values, k.values[i])
		}
	}
	return NewKey(labels, values)
}

// Record returns the key as a record.
func (k *Key) Record() value.Value { return value.OfRecord(value.NewRecord(k.labels, k.values)) }

// Compare orders keys: column by column, by label and then by value, a null
// first; of two keys that agree as far as both go, the shorter comes first.
func (k *Key) Compare(o *Key) int {
	for i := range min(len(k.labels), len(o.labels)) {
		if c := strings.Compare(k.labels[i], o.labels[i]); c != 0 {
			return c
		}
		a, b := k.values[i], o.values[i]
		switch {
		case a.IsNull() && b.IsNull():
			continue
		case a.IsNull():
			return -1
		case b.IsNull():
			return 1
		}
		c, ok := value.Compare(a, b)
		if !ok {
			c = int(a.Kind()) - int(b.Kind())
		}
		if c != 0 {
			return c
		}
	}
	return len(k.labels) - len(o.labels)
}

// String renders the key like {host=h1,region=null}.
func (k *Key) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, l := range k.labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l + "=" + k.values[i].Text())
	}
	b.WriteByte('}')
	return b.String()
}
