package scan

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"

	"github.com/varvedb/varve/column"
)

// errState says that an encoded state is not one.
var errState = errors.New("state of a partial result is malformed")

func takeWord(src []byte) (uint64, []byte, error) {
	if len(src) < 8 {
		return 0, nil, errState
	}
	return binary.LittleEndian.Uint64(src), src[8:], nil
}

func takeWords(src []byte, dst ...*uint64) ([]byte, error) {
	for _, d := range dst {
		var err error
		if *d, src, err = takeWord(src); err != nil {
			return nil, err
		}
	}
	return src, nil
}

func putWords(dst []byte, words ...uint64) []byte {
	for _, w := range words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// counter counts values.
type counter struct{ n []int64 }

func (m *counter) grow(n int) { m.n = grown(m.n, n) }
func (m *counter) reset()     { m.n = m.n[:0] }
func (m *counter) add(slot int, _ []int64, _ *column.Vector, from, to int) {
	m.n[slot] += int64(to - from)
}
func (m *counter) wants(int, *column.Summary) bool              { return false }
func (m *counter) addSummary(slot int, s *column.Summary)       { m.n[slot] += s.Count }
func (m *counter) merge(slot int, from meter, fs int, _ []byte) { m.n[slot] += from.(*counter).n[fs] }
func (m *counter) found(slot int) bool                          { return m.n[slot] > 0 }
func (m *counter) bytes() int64                                 { return int64(cap(m.n)) * 8 }
func (m *counter) encode(dst []byte, slot int) []byte           { return putWords(dst, uint64(m.n[slot])) }

func (m *counter) appendTo(c *Column, slot int) {
	if slot < 0 {
		c.AppendWord(0)
		return
	}
	c.AppendWord(uint64(m.n[slot]))
}

func (m *counter) decode(src []byte, slot int) ([]byte, error) {
	var n uint64
	src, err := takeWords(src, &n)
	m.n[slot] = int64(n)
	return src, err
}

// floatSum is the sum, or the mean, of floats.
type floatSum struct {
	mean bool
	n    []int64
	sum  []float64
}

func (m *floatSum) grow(n int) { m.n, m.sum = grown(m.n, n), grown(m.sum, n) }
func (m *floatSum) reset()     { m.n, m.sum = m.n[:0], m.sum[:0] }

func (m *floatSum) add(slot int, _ []int64, v *column.Vector, from, to int) {
	m.put(slot, int64(to-from), sumFloats(v.Floats()[from:to]))
}

// put adds a sum of n values. The first is taken as it is, because adding it
// to 0 would lose the sign of -0.
func (m *floatSum) put(slot int, n int64, sum float64) {
	if m.n[slot] == 0 {
		m.sum[slot] = sum
	} else {
		m.sum[slot] += sum
	}
	m.n[slot] += n
}

// sumFloats adds up at least one value, in four lanes so that one addition
// does not wait for the one before.
func sumFloats(v []float64) float64 {
	if len(v) < 8 {
		sum := v[0]
		for _, x := range v[1:] {
			sum += x
		}
		return sum
	}
	a, b, c, d := v[0], v[1], v[2], v[3]
	v = v[4:]
	for ; len(v) >= 4; v = v[4:] {
		a += v[0]
		b += v[1]
		c += v[2]
		d += v[3]
	}
	for _, x := range v {
		a += x
	}
	return (a + b) + (c + d)
}

func (m *floatSum) wants(int, *column.Summary) bool { return false }
func (m *floatSum) addSummary(slot int, s *column.Summary) {
	if s.Count > 0 {
		m.put(slot, s.Count, math.Float64frombits(s.Sum))
	}
}
func (m *floatSum) merge(slot int, from meter, fs int, _ []byte) {
	if o := from.(*floatSum); o.n[fs] > 0 {
		m.put(slot, o.n[fs], o.sum[fs])
	}
}
func (m *floatSum) found(slot int) bool { return m.n[slot] > 0 }
func (m *floatSum) bytes() int64        { return int64(cap(m.n)) * 16 }

func (m *floatSum) appendTo(c *Column, slot int) {
	switch {
	case slot < 0 || m.n[slot] == 0:
		c.AppendNulls(1)
	case m.mean:
		c.AppendFloat(m.sum[slot] / float64(m.n[slot]))
	default:
		c.AppendFloat(m.sum[slot])
	}
}

func (m *floatSum) encode(dst []byte, slot int) []byte {
	return putWords(dst, uint64(m.n[slot]), math.Float64bits(m.sum[slot]))
}

func (m *floatSum) decode(src []byte, slot int) ([]byte, error) {
	var n, sum uint64
	src, err := takeWords(src, &n, &sum)
	m.n[slot], m.sum[slot] = int64(n), math.Float64frombits(sum)
	return src, err
}

// wide is a signed integer of 128 bits: no sum of as many 64-bit integers as
// there are nanoseconds leaves it, so that only the final result can be too
// large, whatever the order of adding.
type wide struct {
	hi int64
	lo uint64
}

func (w *wide) add(o wide) {
	var carry uint64
	w.lo, carry = bits.Add64(w.lo, o.lo, 0)
	w.hi += o.hi + int64(carry)
}

// float returns w rounded to a float.
func (w wide) float() float64 {
	if w.hi == int64(w.lo)>>63 {
		return float64(int64(w.lo))
	}
	return float64(w.hi)*(1<<64) + float64(w.lo)
}

// widen returns an integer in 128 bits.
func widen[T int64 | uint64](x T) wide {
	if x < 0 {
		return wide{-1, uint64(x)}
	}
	return wide{0, uint64(x)}
}

// appendWide appends an integer result in the type of the column, with a mark
// if it does not fit.
func appendWide(c *Column, w wide) {
	over := w.hi != 0
	if c.Type == column.Int64 {
		over = w.hi != int64(w.lo)>>63
	}
	c.AppendWord(w.lo)
	if over || c.Overflow != nil {
		c.Overflow = append(grown(c.Overflow, c.Len()-1), over)
	}
}

// integerSum is the sum, or the mean, of integers.
type integerSum[T int64 | uint64] struct {
	mean bool
	n    []int64
	sum  []wide
}

func (m *integerSum[T]) grow(n int) { m.n, m.sum = grown(m.n, n), grown(m.sum, n) }
func (m *integerSum[T]) reset()     { m.n, m.sum = m.n[:0], m.sum[:0] }

func (m *integerSum[T]) add(slot int, _ []int64, v *column.Vector, from, to int) {
	var lo, high, carries uint64
	for _, x := range wordsAs[T](v.Words[from:to]) {
		var c uint64
		lo, c = bits.Add64(lo, uint64(x), 0)
		carries += c
		if T(0)-1 < 0 { // signed: the compiler drops this for the other
			high += uint64(int64(x) >> 63)
		}
	}
	m.sum[slot].add(wide{int64(high + carries), lo})
	m.n[slot] += int64(to - from)
}

func (m *integerSum[T]) wants(_ int, s *column.Summary) bool { return s.Overflow }
func (m *integerSum[T]) addSummary(slot int, s *column.Summary) {
	m.sum[slot].add(widen(numberOf[T](s.Sum)))
	m.n[slot] += s.Count
}
func (m *integerSum[T]) merge(slot int, from meter, fs int, _ []byte) {
	o := from.(*integerSum[T])
	m.sum[slot].add(o.sum[fs])
	m.n[slot] += o.n[fs]
}
func (m *integerSum[T]) found(slot int) bool { return m.n[slot] > 0 }
func (m *integerSum[T]) bytes() int64        { return int64(cap(m.n)) * 24 }

func (m *integerSum[T]) appendTo(c *Column, slot int) {
	switch {
	case slot < 0 || m.n[slot] == 0:
		c.AppendNulls(1)
		c.Overflow = unmarked(c)
	case m.mean:
		c.AppendFloat(m.sum[slot].float() / float64(m.n[slot]))
	default:
		appendWide(c, m.sum[slot])
	}
}

// unmarked returns the marks of c for all its rows, if there are any.
func unmarked(c *Column) []bool {
	if c.Overflow == nil {
		return nil
	}
	return grown(c.Overflow, c.Len())
}

func (m *integerSum[T]) encode(dst []byte, slot int) []byte {
	return putWords(dst, uint64(m.n[slot]), uint64(m.sum[slot].hi), m.sum[slot].lo)
}

func (m *integerSum[T]) decode(src []byte, slot int) ([]byte, error) {
	var n, hi, lo uint64
	src, err := takeWords(src, &n, &hi, &lo)
	m.n[slot], m.sum[slot] = int64(n), wide{int64(hi), lo}
	return src, err
}

// floatIncrease adds up what a counter grew by. Series that merge add up.
type floatIncrease struct {
	n    []int64
	prev []float64
	sum  []float64
}

func (m *floatIncrease) grow(n int) {
	m.n, m.prev, m.sum = grown(m.n, n), grown(m.prev, n), grown(m.sum, n)
}
func (m *floatIncrease) reset() { m.n, m.prev, m.sum = m.n[:0], m.prev[:0], m.sum[:0] }

func (m *floatIncrease) add(slot int, _ []int64, v *column.Vector, from, to int) {
	n, prev, sum := m.n[slot], m.prev[slot], m.sum[slot]
	for _, x := range v.Floats()[from:to] {
		if x != x {
			continue
		}
		if n > 0 {
			if x >= prev {
				sum += x - prev
			} else {
				sum += x
			}
		}
		prev = x
		n++
	}
	m.n[slot], m.prev[slot], m.sum[slot] = n, prev, sum
}

func (m *floatIncrease) wants(_ int, s *column.Summary) bool { return s.Count > 0 }
func (m *floatIncrease) addSummary(int, *column.Summary)     {}
func (m *floatIncrease) merge(slot int, from meter, fs int, _ []byte) {
	o := from.(*floatIncrease)
	m.n[slot] += o.n[fs]
	m.sum[slot] += o.sum[fs]
}
func (m *floatIncrease) found(slot int) bool { return m.n[slot] > 0 }
func (m *floatIncrease) bytes() int64        { return int64(cap(m.n)) * 24 }
func (m *floatIncrease) appendTo(c *Column, slot int) {
	if slot < 0 || m.n[slot] == 0 {
		c.AppendNulls(1)
		return
	}
	c.AppendFloat(m.sum[slot])
}
func (m *floatIncrease) encode(dst []byte, slot int) []byte {
	return putWords(dst, uint64(m.n[slot]), math.Float64bits(m.sum[slot]))
}
func (m *floatIncrease) decode(src []byte, slot int) ([]byte, error) {
	var n, sum uint64
	src, err := takeWords(src, &n, &sum)
	m.n[slot], m.sum[slot] = int64(n), math.Float64frombits(sum)
	return src, err
}

// integerIncrease is floatIncrease for integers.
type integerIncrease[T int64 | uint64] struct {
	n    []int64
	prev []T
	sum  []wide
}

func (m *integerIncrease[T]) grow(n int) {
	m.n, m.prev, m.sum = grown(m.n, n), grown(m.prev, n), grown(m.sum, n)
}
func (m *integerIncrease[T]) reset() { m.n, m.prev, m.sum = m.n[:0], m.prev[:0], m.sum[:0] }

func (m *integerIncrease[T]) add(slot int, _ []int64, v *column.Vector, from, to int) {
	for _, x := range wordsAs[T](v.Words[from:to]) {
		if m.n[slot] > 0 {
			if x >= m.prev[slot] {
				m.sum[slot].add(wide{0, uint64(x) - uint64(m.prev[slot])})
			} else {
				m.sum[slot].add(widen(x))
			}
		}
		m.prev[slot] = x
		m.n[slot]++
	}
}

func (m *integerIncrease[T]) wants(_ int, s *column.Summary) bool { return s.Count > 0 }
func (m *integerIncrease[T]) addSummary(int, *column.Summary)     {}
func (m *integerIncrease[T]) merge(slot int, from meter, fs int, _ []byte) {
	o := from.(*integerIncrease[T])
	m.n[slot] += o.n[fs]
	m.sum[slot].add(o.sum[fs])
}
func (m *integerIncrease[T]) found(slot int) bool { return m.n[slot] > 0 }
func (m *integerIncrease[T]) bytes() int64        { return int64(cap(m.n)) * 32 }
func (m *integerIncrease[T]) appendTo(c *Column, slot int) {
	if slot < 0 || m.n[slot] == 0 {
		c.AppendNulls(1)
		c.Overflow = unmarked(c)
		return
	}
	appendWide(c, m.sum[slot])
}
func (m *integerIncrease[T]) encode(dst []byte, slot int) []byte {
	return putWords(dst, uint64(m.n[slot]), uint64(m.sum[slot].hi), m.sum[slot].lo)
}
func (m *integerIncrease[T]) decode(src []byte, slot int) ([]byte, error) {
	var n, hi, lo uint64
	src, err := takeWords(src, &n, &hi, &lo)
	m.n[slot], m.sum[slot] = int64(n), wide{int64(hi), lo}
	return src, err
}
