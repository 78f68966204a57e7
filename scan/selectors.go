package scan

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/varvedb/varve/column"
)

// point is where the value that a selector chose comes from.
type point struct {
	have bool
	at   int64
	key  []byte // of its series, if the meter is keyed
}

// before reports whether a point comes before another in time or, at the same
// time, in the order of series.
func (p *point) before(at int64, key []byte) bool {
	return p.at < at || p.at == at && bytes.Compare(p.key, key) <= 0
}

func (p *point) encode(dst []byte) []byte {
	if !p.have {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	dst = putWords(dst, uint64(p.at))
	return appendText(dst, p.key)
}

func (p *point) decode(src []byte) ([]byte, error) {
	if len(src) == 0 || src[0] > 1 {
		return nil, errState
	}
	p.have, src = src[0] == 1, src[1:]
	if !p.have {
		return src, nil
	}
	var at uint64
	src, err := takeWords(src, &at)
	if err != nil {
		return nil, err
	}
	p.at = int64(at)
	p.key, src, err = takeText(src)
	return src, err
}

func appendText(dst, s []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func takeText(src []byte) (s, rest []byte, err error) {
	n, w := binary.Uvarint(src)
	if w <= 0 || n > uint64(len(src)-w) {
		return nil, nil, errState
	}
	return slices.Clone(src[w : w+int(n)]), src[w+int(n):], nil
}

// extreme selects the least or the greatest number; NaN is neither.
type extreme[T number] struct {
	max, keyed bool
	value      []T
	points     []point
}

func (m *extreme[T]) grow(n int) { m.value, m.points = grown(m.value, n), grown(m.points, n) }
func (m *extreme[T]) reset()     { m.value, m.points = m.value[:0], m.points[:0] }

func (m *extreme[T]) add(slot int, times []int64, v *column.Vector, from, to int) {
	words := wordsAs[T](v.Words[from:to])
	i := leastPlace(words)
	if m.max {
		i = greatestPlace(words)
	}
	if i >= 0 {
		m.put(slot, words[i], times[from+i], nil)
	}
}

// leastPlace returns the first place of the least number, -1 if all are NaN.
func leastPlace[T number](v []T) int {
	at := 0
	for at < len(v) && v[at] != v[at] {
		at++
	}
	if at == len(v) {
		return -1
	}
	best := v[at]
	for i, x := range v {
		if x < best {
			best, at = x, i
		}
	}
	return at
}

// greatestPlace is leastPlace for the greatest number.
func greatestPlace[T number](v []T) int {
	at := 0
	for at < len(v) && v[at] != v[at] {
		at++
	}
	if at == len(v) {
		return -1
	}
	best := v[at]
	for i, x := range v {
		if x > best {
			best, at = x, i
		}
	}
	return at
}

func (m *extreme[T]) put(slot int, x T, at int64, key []byte) {
	p := &m.points[slot]
	if p.have {
		worse := x > m.value[slot]
		if m.max {
			worse = x < m.value[slot]
		}
		if worse || x == m.value[slot] && p.before(at, key) {
			return
		}
	}
	m.value[slot] = x
	p.have, p.at = true, at
	if m.keyed {
		p.key = key
	}
}

// wants asks for spans that hold a better value, for its time.
func (m *extreme[T]) wants(slot int, s *column.Summary) bool {
	if !s.HasMinMax {
		return false
	}
	p := &m.points[slot]
	if m.max {
		x := numberOf[T](s.Max)
		return !p.have || x > m.value[slot] || x == m.value[slot] && s.FirstTime < p.at
	}
	x := numberOf[T](s.Min)
	return !p.have || x < m.value[slot] || x == m.value[slot] && s.FirstTime < p.at
}

func (m *extreme[T]) addSummary(int, *column.Summary) {}

func (m *extreme[T]) merge(slot int, from meter, fs int, key []byte) {
	o := from.(*extreme[T])
	if !o.points[fs].have {
		return
	}
	if key == nil {
		key = o.points[fs].key
	}
	m.put(slot, o.value[fs], o.points[fs].at, key)
}

func (m *extreme[T]) found(slot int) bool { return m.points[slot].have }
func (m *extreme[T]) bytes() int64        { return int64(cap(m.points)) * 48 }

func (m *extreme[T]) appendTo(c *Column, slot int) {
	if slot < 0 || !m.points[slot].have {
		appendNoPoint(c, m.keyed)
		return
	}
	c.AppendWord(wordOf(m.value[slot]))
	appendPoint(c, &m.points[slot], m.keyed)
}

func appendPoint(c *Column, p *point, keyed bool) {
	c.At = append(c.At, p.at)
	if keyed {
		c.Series = append(c.Series, p.key)
	}
}

func appendNoPoint(c *Column, keyed bool) {
	c.AppendNulls(1)
	appendPoint(c, &point{}, keyed)
}

func (m *extreme[T]) encode(dst []byte, slot int) []byte {
	return putWords(m.points[slot].encode(dst), wordOf(m.value[slot]))
}

func (m *extreme[T]) decode(src []byte, slot int) ([]byte, error) {
	src, err := m.points[slot].decode(src)
	if err != nil {
		return nil, err
	}
	var w uint64
	src, err = takeWords(src, &w)
	m.value[slot] = numberOf[T](w)
	return src, err
}

// edge selects the first or the last value, of any type.
type edge struct {
	last, keyed bool
	kind        column.Type
	words       []uint64
	texts       [][]byte
	points      []point
}

func (m *edge) grow(n int) {
	m.points = grown(m.points, n)
	if m.kind == column.String {
		// Texts of slots that were reset keep their memory.
		for len(m.texts) < n {
			m.texts = append(m.texts, nil)
		}
		return
	}
	m.words = grown(m.words, n)
}

func (m *edge) reset() { m.words, m.points = m.words[:0], m.points[:0] }

func (m *edge) add(slot int, times []int64, v *column.Vector, from, to int) {
	i := from
	if m.last {
		i = to - 1
	}
	if !m.better(slot, times[i], nil) {
		return
	}
	m.points[slot].have, m.points[slot].at = true, times[i]
	if m.kind == column.String {
		m.texts[slot] = append(m.texts[slot][:0], v.Str(i)...)
		return
	}
	m.words[slot] = v.Words[i]
}

// better reports whether a value at this time replaces the one in a slot.
func (m *edge) better(slot int, at int64, key []byte) bool {
	p := &m.points[slot]
	switch {
	case !p.have:
		return true
	case at == p.at:
		return bytes.Compare(key, p.key) < 0
	case m.last:
		return at > p.at
	}
	return at < p.at
}

func (m *edge) edgeOf(s *column.Summary) (at int64, word uint64) {
	if m.last {
		return s.LastTime, s.Last
	}
	return s.FirstTime, s.First
}

// wants asks for strings, whose summaries do not hold them.
func (m *edge) wants(slot int, s *column.Summary) bool {
	at, _ := m.edgeOf(s)
	return s.Count > 0 && m.kind == column.String && m.better(slot, at, nil)
}

func (m *edge) addSummary(slot int, s *column.Summary) {
	at, word := m.edgeOf(s)
	if s.Count == 0 || m.kind == column.String || !m.better(slot, at, nil) {
		return
	}
	m.points[slot].have, m.points[slot].at = true, at
	m.words[slot] = word
}

func (m *edge) merge(slot int, from meter, fs int, key []byte) {
	o := from.(*edge)
	p := o.points[fs]
	if !p.have {
		return
	}
	if key == nil {
		key = p.key
	}
	if !m.keyed {
		key = nil
	}
	if !m.better(slot, p.at, key) {
		return
	}
	m.points[slot] = point{true, p.at, key}
	if m.kind == column.String {
		m.texts[slot] = append(m.texts[slot][:0], o.texts[fs]...)
		return
	}
	m.words[slot] = o.words[fs]
}

func (m *edge) found(slot int) bool { return m.points[slot].have }

func (m *edge) bytes() int64 {
	n := int64(cap(m.points))*40 + int64(cap(m.words))*8 + int64(cap(m.texts))*24
	for _, t := range m.texts {
		n += int64(cap(t))
	}
	return n
}

func (m *edge) appendTo(c *Column, slot int) {
	if slot < 0 || !m.points[slot].have {
		appendNoPoint(c, m.keyed)
		return
	}
	if m.kind == column.String {
		c.AppendString(m.texts[slot])
	} else {
		c.AppendWord(m.words[slot])
	}
	appendPoint(c, &m.points[slot], m.keyed)
}

func (m *edge) encode(dst []byte, slot int) []byte {
	dst = m.points[slot].encode(dst)
	if m.kind == column.String {
		return appendText(dst, m.texts[slot])
	}
	return putWords(dst, m.words[slot])
}

func (m *edge) decode(src []byte, slot int) ([]byte, error) {
	src, err := m.points[slot].decode(src)
	if err != nil {
		return nil, err
	}
	if m.kind == column.String {
		m.texts[slot], src, err = takeText(src)
		return src, err
	}
	return takeWords(src, &m.words[slot])
}
