package scan

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// Batch is rows of one measurement, group by group: points of series, windows
// of groups, or names. Its columns are as long as all its groups together.
type Batch struct {
	Measurement string
	// Groups divides the rows. A group that is longer than a batch goes on at
	// the start of the next one, under the same key.
	Groups []Group
	Time   []int64 // of points
	Start  []int64 // of windows, as the grid has them
	Stop   []int64
	// Columns holds the fields of points, the calls of an aggregate on each of
	// the fields that they found, or the names of a list (and, of fields, a
	// second column with their types).
	Columns []Column

	reserved int64
	keys     []byte // behind Groups
}

// Group says which rows of a batch belong to a series or group.
type Group struct {
	// Key is the canonical key of the series, or of the tags by which series
	// are grouped; nil for lists.
	Key      []byte
	From, To int // rows From to To-1
}

// Column is one column of a Batch.
type Column struct {
	Field string
	Call  int // of an aggregate: place in its Calls
	Func  plan.Func
	column.Vector
	// Of selectors: the time of the chosen point and, unless groups are
	// series, the key of its series. Rows without a value have 0 and nil.
	At     []int64
	Series [][]byte
	// Overflow is nil, or says of each row whether an integer result left 64
	// bits and the value is what wrapping around leaves.
	Overflow []bool
}

// Rows returns the number of rows.
func (b *Batch) Rows() int {
	if len(b.Groups) == 0 {
		return 0
	}
	return b.Groups[len(b.Groups)-1].To
}

// batchRows is how many rows a batch has at most (but for windows of one
// group, which stay together): enough to spread the cost of handing it over,
// few enough that those in flight stay within a few MiB.
const batchRows = 4096

// begin starts a group; the key is copied.
func (b *Batch) begin(key []byte) {
	at := len(b.keys)
	if len(b.keys)+len(key) > cap(b.keys) {
		// Earlier groups keep the old piece.
		b.keys = make([]byte, 0, max(2*cap(b.keys), len(key), 256))
		at = 0
	}
	b.keys = append(b.keys, key...)
	n := b.Rows()
	b.Groups = append(b.Groups, Group{Key: b.keys[at:len(b.keys):len(b.keys)], From: n, To: n})
}

// Slice returns the view of rows from to to-1.
func (b *Batch) Slice(from, to int) *Batch {
	v := &Batch{Measurement: b.Measurement, Columns: make([]Column, len(b.Columns))}
	for _, g := range b.Groups {
		if lo, hi := max(g.From, from), min(g.To, to); lo < hi {
			v.Groups = append(v.Groups, Group{g.Key, lo - from, hi - from})
		}
	}
	v.Time, v.Start, v.Stop = sub(b.Time, from, to), sub(b.Start, from, to), sub(b.Stop, from, to)
	for i := range b.Columns {
		c := &b.Columns[i]
		v.Columns[i] = Column{
			Field: c.Field, Call: c.Call, Func: c.Func, Vector: c.Vector.Slice(from, to),
			At: sub(c.At, from, to), Series: sub(c.Series, from, to), Overflow: sub(c.Overflow, from, to),
		}
	}
	return v
}

// sub returns s[from:to], or nil if s is.
func sub[T any](s []T, from, to int) []T {
	if s == nil {
		return nil
	}
	return s[from:to]
}

// Bytes estimates the memory that b takes.
func (b *Batch) Bytes() int64 {
	n := int64(cap(b.Groups))*40 + int64(cap(b.keys)) + int64(cap(b.Time)+cap(b.Start)+cap(b.Stop))*8
	for i := range b.Columns {
		c := &b.Columns[i]
		n += int64(cap(c.Words)+cap(c.Valid.Words)+cap(c.At))*8 + int64(cap(c.Ends))*4 + int64(cap(c.Data)) +
			int64(cap(c.Series))*24 + int64(cap(c.Overflow))
	}
	return n
}
