package value

import "fmt"

// A compound value may hold another one many times over, at the cost of one: a
// few lines make one whose parts, written out, would fill any memory and whose
// nesting any stack. Each therefore knows how much it is when it is written out,
// in num, which kinds of more than one part do not use otherwise: the low 48
// bits are bytes, the rest is how deep it nests.

const (
	sizeBits = 48
	maxSize  = 1<<sizeBits - 1
	// partBytes is about what a scalar takes, written out.
	partBytes = 16
	// maxNested is how deep compound values may nest, which is as deep as a
	// script can write them.
	maxNested = 1000
	// maxWritten is how many bytes a value may be that is shown, encoded or
	// compared: some tenths of a second of work.
	maxWritten = 64 << 20
)

// measure adds up the sizes of parts.
type measure struct{ bytes, deep uint64 }

func (m *measure) add(v Value) {
	bytes, deep := uint64(partBytes), uint64(0)
	switch v.kind {
	case Array, Record, Dict, Dynamic:
		bytes, deep = v.num&maxSize, v.num>>sizeBits
	case String:
		bytes += uint64(len(v.str))
	case Bytes:
		bytes += uint64(len(v.Bytes()))
	}
	m.bytes, m.deep = min(m.bytes+bytes, maxSize), max(m.deep, deep)
}

// num returns the size of a value of these parts.
func (m *measure) num() uint64 {
	return min(m.bytes+partBytes, maxSize) | min(m.deep+1, 1<<(64-sizeBits)-1)<<sizeBits
}

// Size returns about how many bytes v is, with everything in it written out as
// often as it stands there.
func (v Value) Size() int64 {
	var m measure
	m.add(v)
	return int64(m.bytes)
}

// Nested returns an error if v nests too deep to be worked with.
func (v Value) Nested() error {
	switch v.kind {
	case Array, Record, Dict, Dynamic:
		if v.num>>sizeBits > maxNested {
			return fmt.Errorf("the value is nested more than %d deep", maxNested)
		}
	}
	return nil
}

// Comparable returns an error if a and b, values of which one may hold the other,
// are too large to be compared part by part.
func Comparable(a, b Value) error {
	switch a.kind {
	case Array, Record, Dict, Dynamic:
	default:
		return nil
	}
	for _, v := range [...]Value{a, b} {
		if err := v.Bounded(); err != nil {
			return fmt.Errorf("cannot compare: %w", err)
		}
	}
	return nil
}

// Bounded returns an error if v, with everything in it written out as often as
// it stands there, is too large to be gone through.
func (v Value) Bounded() error {
	switch v.kind {
	case Array, Record, Dict, Dynamic:
		if v.num&maxSize > maxWritten {
			return fmt.Errorf("the %s, written out, would have more than %d MiB", v.kind, maxWritten>>20)
		}
	}
	return v.Nested()
}
