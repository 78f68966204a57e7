package encoding

import (
	"encoding/binary"
	"math"
	"slices"
)

// A float that was read from text is the quotient of an integer and a power
// of ten, and that quotient, rounded, gives every bit back: float64(i)/10^d is
// correctly rounded, as the parser's result was. A column of floats is stored
// as such integers wherever the way back was checked value by value (the idea
// of ALP, Afroozeh et al., SIGMOD 2024, with a division instead of the product
// with an inexact inverse). What does not come back, like -0 and NaN, stands
// beside as bits; a column where much does not is stored as its bits.

// floatBits marks a column of bits; any other first byte is floatDecimal plus
// the number of decimals, plus floatPatched if there are exceptions.
const (
	floatBits    = 0
	floatDecimal = 1
	floatPatched = 1 << 7
)

// maxDecimals is the most decimals tried. A double that is not exactly of few
// decimals needs 15 to 17 significant digits, and such integers save nothing.
const maxDecimals = 17

// decimalSample is how many values choose the number of decimals.
const decimalSample = 32

// A value that is not decimal costs about 11 bytes: more than one in eight and
// the bits of all are the better choice. More than one in 64 with further
// decimals make it worth another try with these.
const (
	mostExceptions  = 8
	retryExceptions = 64
)

// powersOfTen are exact in a float.
var powersOfTen = [maxDecimals + 1]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
}

// maxExact bounds the integers that a float holds exactly.
const maxExact = 1 << 53

// Floats appends a column of floats.
func (e *Encoder) Floats(dst []byte, v []float64) []byte {
	checkCount(len(v))
	if len(v) == 0 {
		return dst
	}
	if e.level > LevelNone {
		for digits, tries := sampleDecimals(v), 0; digits >= 0 && tries < 4; tries++ {
			more := e.scale(v, digits)
			if more == digits {
				return e.scaled(dst, v, digits)
			}
			digits = more
		}
	}
	e.patchAt = e.patchAt[:0]
	e.decimals = resize(e.decimals, len(v))
	for i, w := range floatWords(v) {
		e.decimals[i] = order(w)
	}
	return e.words(append(dst, floatBits), e.decimals, false)
}

// order maps the bits of floats to signed integers of the same order, so that
// a walk across zero has small differences; it is its own inverse.
func order(w uint64) uint64 { return w ^ uint64(int64(w)>>63)>>1 }

// sampleDecimals returns how many decimals the values have, or -1 if they are
// no decimals.
func sampleDecimals(v []float64) int {
	var found [decimalSample]int
	step := max(1, len(v)/decimalSample)
	n, tried := 0, 0
	for i := 0; i < len(v) && tried < decimalSample; i += step {
		tried++
		if d := decimalsOf(v[i]); d >= 0 {
			found[n] = d
			n++
		}
	}
	if n == 0 || (tried-n)*mostExceptions > tried {
		return -1
	}
	slices.Sort(found[:n])
	// The most decimals but for one value, which may be an oddity; scale sees
	// whether it was.
	return found[max(0, n-2)]
}

// decimalsOf returns the least number of decimals that gives f back, or -1.
func decimalsOf(f float64) int {
	for d, p := range powersOfTen {
		if math.Abs(f*p) >= maxExact {
			break
		}
		if i := rounded(f * p); math.Float64bits(float64(i)/p) == math.Float64bits(f) {
			return d
		}
	}
	return -1
}

func rounded(f float64) int64 { return int64(f + math.Copysign(0.5, f)) }

// scale writes the integers of v to e.decimals and the exceptions to e.patchAt
// and returns digits, or, if there are too many exceptions, the digits to try
// next, which are -1 if v is not decimal.
func (e *Encoder) scale(v []float64, digits int) int {
	n := len(v)
	e.decimals = resize(e.decimals, n)
	e.patchAt = e.patchAt[:0]
	p := powersOfTen[digits]
	last := uint64(0)
	retry := max(1, n/retryExceptions)
	next := digits
	ints := e.decimals[:n]
	for i, f := range v {
		w := rounded(f * p)
		if math.Float64bits(float64(w)/p) == math.Float64bits(f) {
			last = uint64(w)
			ints[i] = last
			continue
		}
		ints[i] = last
		e.patchAt = append(e.patchAt, i)
		if d := decimalsOf(f); d > next {
			next = d
		}
		if len(e.patchAt) > retry && next > digits {
			return next
		}
		if len(e.patchAt)*mostExceptions > n {
			return -1
		}
	}
	return digits
}

// scaled appends what scale found.
func (e *Encoder) scaled(dst []byte, v []float64, digits int) []byte {
	kind := byte(floatDecimal + digits)
	if len(e.patchAt) == 0 {
		return e.words(append(dst, kind), e.decimals, false)
	}
	dst = append(dst, kind|floatPatched)
	dst = binary.AppendUvarint(dst, uint64(len(e.patchAt)))
	next := 0
	for _, at := range e.patchAt {
		dst = binary.AppendUvarint(dst, uint64(at-next))
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v[at]))
		next = at + 1
	}
	e.patchAt = e.patchAt[:0]
	return e.words(dst, e.decimals, false)
}

// Floats decodes a column of floats.
func (d *Decoder) Floats(dst []float64, n int, src []byte) ([]float64, error) {
	if err := wantCount(n); err != nil {
		return dst, err
	}
	all, tail := grow(dst, n)
	words := floatWords(tail)
	if n == 0 {
		return all, d.words(words, src, false)
	}
	c := cursor{b: src}
	kind := c.byte()
	var exceptions cursor
	if kind&floatPatched != 0 {
		count := c.uvarint()
		exceptions = c
		next := uint64(0)
		if count > uint64(n) {
			return all, corrupt("number of exceptions out of range")
		}
		for range count {
			gap := c.uvarint()
			c.take(8)
			if gap >= uint64(n)-next {
				return all, corrupt("exception past the end")
			}
			next += gap + 1
		}
		exceptions.b = exceptions.b[:len(exceptions.b)-len(c.b)]
	}
	if c.bad {
		return all, corrupt("float header past the end")
	}
	if err := d.words(words, c.b, false); err != nil {
		return all, err
	}
	if kind == floatBits {
		for i, w := range words {
			words[i] = order(w)
		}
		return all, nil
	}
	digits := int(kind&^floatPatched) - floatDecimal
	if digits < 0 || digits > maxDecimals {
		return all, corrupt("number of decimals out of range")
	}
	if p := powersOfTen[digits]; digits == 0 {
		for i, w := range words {
			tail[i] = float64(int64(w))
		}
	} else {
		for i, w := range words {
			tail[i] = float64(int64(w)) / p
		}
	}
	for next := 0; len(exceptions.b) > 0; next++ {
		next += int(exceptions.uvarint())
		tail[next] = math.Float64frombits(binary.LittleEndian.Uint64(exceptions.take(8)))
	}
	return all, nil
}
