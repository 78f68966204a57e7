package scan

import (
	"math"
	"slices"

	"github.com/varvedb/varve/column"
)

// spread is the greatest less the least number.
type spread[T number] struct {
	have   []bool
	lo, hi []T
}

func (m *spread[T]) grow(n int) {
	m.have, m.lo, m.hi = grown(m.have, n), grown(m.lo, n), grown(m.hi, n)
}
func (m *spread[T]) reset() { m.have, m.lo, m.hi = m.have[:0], m.lo[:0], m.hi[:0] }

func (m *spread[T]) add(slot int, _ []int64, v *column.Vector, from, to int) {
	words := wordsAs[T](v.Words[from:to])
	if i := leastPlace(words); i >= 0 {
		m.put(slot, words[i], words[greatestPlace(words)])
	}
}

func (m *spread[T]) put(slot int, lo, hi T) {
	if m.have[slot] {
		lo, hi = min(lo, m.lo[slot]), max(hi, m.hi[slot])
	}
	m.have[slot], m.lo[slot], m.hi[slot] = true, lo, hi
}

func (m *spread[T]) wants(int, *column.Summary) bool { return false }
func (m *spread[T]) addSummary(slot int, s *column.Summary) {
	if s.HasMinMax {
		m.put(slot, numberOf[T](s.Min), numberOf[T](s.Max))
	}
}
func (m *spread[T]) merge(slot int, from meter, fs int, _ []byte) {
	if o := from.(*spread[T]); o.have[fs] {
		m.put(slot, o.lo[fs], o.hi[fs])
	}
}
func (m *spread[T]) found(slot int) bool { return m.have[slot] }
func (m *spread[T]) bytes() int64        { return int64(cap(m.have)) * 17 }

func (m *spread[T]) appendTo(c *Column, slot int) {
	switch {
	case slot < 0 || !m.have[slot]:
		c.AppendNulls(1)
		c.Overflow = unmarked(c)
	case c.Type == column.Float64:
		c.AppendFloat(float64(m.hi[slot] - m.lo[slot]))
	default:
		appendWide(c, wide{0, wordOf(m.hi[slot]) - wordOf(m.lo[slot])})
	}
}

func (m *spread[T]) encode(dst []byte, slot int) []byte {
	if !m.have[slot] {
		return append(dst, 0)
	}
	return putWords(append(dst, 1), wordOf(m.lo[slot]), wordOf(m.hi[slot]))
}

func (m *spread[T]) decode(src []byte, slot int) ([]byte, error) {
	if len(src) == 0 || src[0] > 1 {
		return nil, errState
	}
	if src[0] == 0 {
		return src[1:], nil
	}
	var lo, hi uint64
	src, err := takeWords(src[1:], &lo, &hi)
	m.have[slot], m.lo[slot], m.hi[slot] = true, numberOf[T](lo), numberOf[T](hi)
	return src, err
}

// moments is the standard deviation, by count, mean and sum of squared
// distances from the mean, which merge without loss of digits (Chan, Golub
// and LeVeque 1979).
type moments[T number] struct {
	population bool
	n          []int64
	mean, m2   []float64
}

func (m *moments[T]) grow(n int) {
	m.n, m.mean, m.m2 = grown(m.n, n), grown(m.mean, n), grown(m.m2, n)
}
func (m *moments[T]) reset() { m.n, m.mean, m.m2 = m.n[:0], m.mean[:0], m.m2[:0] }

func (m *moments[T]) add(slot int, _ []int64, v *column.Vector, from, to int) {
	words := wordsAs[T](v.Words[from:to])
	sum := 0.0
	for _, x := range words {
		sum += float64(x)
	}
	mean, m2 := sum/float64(len(words)), 0.0
	for _, x := range words {
		d := float64(x) - mean
		m2 += d * d
	}
	m.put(slot, int64(len(words)), mean, m2)
}

func (m *moments[T]) put(slot int, n int64, mean, m2 float64) {
	if m.n[slot] == 0 {
		m.n[slot], m.mean[slot], m.m2[slot] = n, mean, m2
		return
	}
	a, b := float64(m.n[slot]), float64(n)
	d := mean - m.mean[slot]
	m.m2[slot] += m2 + d*d*a*b/(a+b)
	m.mean[slot] += d * b / (a + b)
	m.n[slot] += n
}

func (m *moments[T]) wants(_ int, s *column.Summary) bool { return s.Count > 0 }
func (m *moments[T]) addSummary(int, *column.Summary)     {}
func (m *moments[T]) merge(slot int, from meter, fs int, _ []byte) {
	if o := from.(*moments[T]); o.n[fs] > 0 {
		m.put(slot, o.n[fs], o.mean[fs], o.m2[fs])
	}
}
func (m *moments[T]) found(slot int) bool { return m.n[slot] > 0 }
func (m *moments[T]) bytes() int64        { return int64(cap(m.n)) * 24 }

func (m *moments[T]) appendTo(c *Column, slot int) {
	if slot < 0 || m.n[slot] == 0 || !m.population && m.n[slot] == 1 {
		c.AppendNulls(1)
		return
	}
	by := float64(m.n[slot])
	if !m.population {
		by--
	}
	c.AppendFloat(math.Sqrt(m.m2[slot] / by))
}

func (m *moments[T]) encode(dst []byte, slot int) []byte {
	return putWords(dst, uint64(m.n[slot]), math.Float64bits(m.mean[slot]), math.Float64bits(m.m2[slot]))
}

func (m *moments[T]) decode(src []byte, slot int) ([]byte, error) {
	var n, mean, m2 uint64
	src, err := takeWords(src, &n, &mean, &m2)
	m.n[slot], m.mean[slot], m.m2[slot] = int64(n), math.Float64frombits(mean), math.Float64frombits(m2)
	return src, err
}

// quantile is exact: it keeps every value.
type quantile[T number] struct {
	q        float64
	selector bool
	values   [][]T
	sorted   []T
}

func (m *quantile[T]) grow(n int) {
	for len(m.values) < n {
		if len(m.values) < cap(m.values) {
			m.values = m.values[:len(m.values)+1]
			last := &m.values[len(m.values)-1]
			*last = (*last)[:0]
			continue
		}
		m.values = append(m.values, nil)
	}
}
func (m *quantile[T]) reset() { m.values = m.values[:0] }

func (m *quantile[T]) add(slot int, _ []int64, v *column.Vector, from, to int) {
	for _, x := range wordsAs[T](v.Words[from:to]) {
		if x == x {
			m.values[slot] = append(m.values[slot], x)
		}
	}
}

func (m *quantile[T]) wants(_ int, s *column.Summary) bool { return s.Count > 0 }
func (m *quantile[T]) addSummary(int, *column.Summary)     {}
func (m *quantile[T]) merge(slot int, from meter, fs int, _ []byte) {
	m.values[slot] = append(m.values[slot], from.(*quantile[T]).values[fs]...)
}
func (m *quantile[T]) found(slot int) bool { return len(m.values[slot]) > 0 }

func (m *quantile[T]) bytes() int64 {
	n := int64(cap(m.values)) * 24
	for _, v := range m.values {
		n += int64(cap(v)) * 8
	}
	return n
}

func (m *quantile[T]) appendTo(c *Column, slot int) {
	if slot < 0 || len(m.values[slot]) == 0 {
		c.AppendNulls(1)
		return
	}
	m.sorted = append(m.sorted[:0], m.values[slot]...)
	slices.Sort(m.sorted)
	n := float64(len(m.sorted))
	if m.selector {
		i := max(int(math.Ceil(m.q*n))-1, 0)
		c.AppendWord(wordOf(m.sorted[i]))
		return
	}
	at := m.q * (n - 1)
	lo, hi := float64(m.sorted[int(math.Floor(at))]), float64(m.sorted[int(math.Ceil(at))])
	if lo == hi { // infinities too
		c.AppendFloat(lo)
		return
	}
	part := at - math.Floor(at)
	c.AppendFloat(lo*(1-part) + hi*part)
}

func (m *quantile[T]) encode(dst []byte, slot int) []byte {
	dst = putWords(dst, uint64(len(m.values[slot])))
	for _, x := range m.values[slot] {
		dst = putWords(dst, wordOf(x))
	}
	return dst
}

func (m *quantile[T]) decode(src []byte, slot int) ([]byte, error) {
	var n uint64
	src, err := takeWords(src, &n)
	if err != nil || n > uint64(len(src)/8) {
		return nil, errState
	}
	for range n {
		var w uint64
		if src, err = takeWords(src, &w); err != nil {
			return nil, err
		}
		m.values[slot] = append(m.values[slot], numberOf[T](w))
	}
	return src, nil
}
