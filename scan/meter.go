package scan

import (
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// meter is the state of one function on one field, for any number of slots: a
// slot is a window of a series or of a group. The state of a slot condenses
// what was added to it; states merge, whatever the order of times in which
// they were made.
type meter interface {
	// grow makes room for n slots; new ones are empty.
	grow(n int)
	// reset takes all slots away.
	reset()
	// add adds rows from to to-1 of a series, none of them null, in the order
	// of time and behind those that were added to the slot before.
	add(slot int, times []int64, v *column.Vector, from, to int)
	// wants reports whether the rows of a span must be read to add it.
	wants(slot int, s *column.Summary) bool
	// addSummary adds a span whose rows are not wanted.
	addSummary(slot int, s *column.Summary)
	// merge adds the state of a slot of another meter of the same kind. key is
	// the series that it condenses, nil if it keeps its own.
	merge(slot int, from meter, fromSlot int, key []byte)
	// found reports whether a slot has any value to show.
	found(slot int) bool
	// appendTo appends the result of a slot to a column: a null if there is
	// none. The empty slot is -1.
	appendTo(c *Column, slot int)
	// bytes estimates the memory of all slots.
	bytes() int64
	// encode appends the state of a slot, decode reads it into an empty one
	// and returns what follows.
	encode(dst []byte, slot int) []byte
	decode(src []byte, slot int) ([]byte, error)
}

// number is a type that words hold.
type number interface{ int64 | uint64 | float64 }

// wordsAs returns the words of a vector as numbers; they share memory.
func wordsAs[T number](words []uint64) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(words))), len(words))
}

// numberOf returns a word as a number.
func numberOf[T number](w uint64) T { return *(*T)(unsafe.Pointer(&w)) }

// wordOf is the inverse of numberOf.
func wordOf[T number](x T) uint64 { return *(*uint64)(unsafe.Pointer(&x)) }

// newMeter returns the meter of a call on values of type t, which the call
// takes. keyed says whether selectors remember the series of their point.
func newMeter(c plan.Call, t column.Type, keyed bool) meter {
	switch c.Func {
	case plan.Count:
		return &counter{}
	case plan.First, plan.Last:
		return &edge{last: c.Func == plan.Last, kind: t, keyed: keyed}
	}
	switch t {
	case column.Int64:
		return newIntegerMeter[int64](c, t, keyed)
	case column.Uint64:
		return newIntegerMeter[uint64](c, t, keyed)
	}
	switch c.Func {
	case plan.Sum, plan.Mean:
		return &floatSum{mean: c.Func == plan.Mean}
	case plan.Increase:
		return &floatIncrease{}
	}
	return newNumberMeter[float64](c, t, keyed)
}

func newIntegerMeter[T int64 | uint64](c plan.Call, t column.Type, keyed bool) meter {
	switch c.Func {
	case plan.Sum, plan.Mean:
		return &integerSum[T]{mean: c.Func == plan.Mean}
	case plan.Increase:
		return &integerIncrease[T]{}
	}
	return newNumberMeter[T](c, t, keyed)
}

func newNumberMeter[T number](c plan.Call, t column.Type, keyed bool) meter {
	switch c.Func {
	case plan.Min, plan.Max:
		return &extreme[T]{max: c.Func == plan.Max, keyed: keyed}
	case plan.Spread:
		return &spread[T]{}
	case plan.Stddev:
		return &moments[T]{population: c.Method == plan.Population}
	case plan.Quantile:
		if c.Method == plan.TDigest {
			return &estimate[T]{q: c.Quantile}
		}
		return &quantile[T]{q: c.Quantile, selector: c.Method == plan.ExactSelector}
	}
	panic("BUG: no meter for " + string(c.Func))
}

// grown returns s with n elements, new ones zero.
func grown[T any](s []T, n int) []T {
	have := len(s)
	if n <= have {
		return s
	}
	if n <= cap(s) {
		s = s[:n]
		clear(s[have:])
		return s
	}
	return append(s, make([]T, n-have)...)
}

// meters are those of all calls of an aggregate, with the same slots.
type meters struct {
	list  []meter
	calls []callColumn // parallel to list
	cols  [][]int      // by column: places in list
	n     int          // slots
}

func newMeters(a *plan.Aggregate, calls []callColumn, columns int, keyed bool) *meters {
	m := &meters{calls: calls, cols: make([][]int, columns)}
	for i, c := range calls {
		m.list = append(m.list, newMeter(a.Calls[c.call], c.field.Type, keyed))
		m.cols[c.col] = append(m.cols[c.col], i)
	}
	return m
}

func (m *meters) reset() {
	m.n = 0
	for _, x := range m.list {
		x.reset()
	}
}

func (m *meters) grow(n int) {
	if n <= m.n {
		return
	}
	m.n = n
	for _, x := range m.list {
		x.grow(n)
	}
}

// room makes room for n slots without making them.
func (m *meters) room(n int) {
	if n > m.n {
		for _, x := range m.list {
			x.grow(n)
		}
	}
}

// add adds rows from to to-1 to a slot, nulls left out.
func (m *meters) add(slot int, rows *column.Rows, from, to int) {
	for c, which := range m.cols {
		v := &rows.Cols[c]
		if len(which) == 0 || v.Type == 0 {
			continue
		}
		if v.Valid.All() {
			for _, i := range which {
				m.list[i].add(slot, rows.Time, v, from, to)
			}
			continue
		}
		for at := from; at < to; {
			lo, hi := nextValid(v.Valid, at, to)
			if lo < hi {
				for _, i := range which {
					m.list[i].add(slot, rows.Time, v, lo, hi)
				}
			}
			at = hi
		}
	}
}

// nextValid returns the next stretch of rows with a value from at on, which
// ends at n at the latest; both are n if there is none.
func nextValid(b column.Bitmap, at, n int) (from, to int) {
	for at < n && !b.Get(at) {
		at++
	}
	from = at
	for at < n && b.Get(at) {
		at++
	}
	return from, at
}

func (m *meters) found(slot int) bool {
	for _, x := range m.list {
		if x.found(slot) {
			return true
		}
	}
	return false
}

func (m *meters) merge(slot int, from *meters, fromSlot int, key []byte) {
	for i, x := range m.list {
		x.merge(slot, from.list[i], fromSlot, key)
	}
}

func (m *meters) bytes() int64 {
	n := int64(0)
	for _, x := range m.list {
		n += x.bytes()
	}
	return n
}
