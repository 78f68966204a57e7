package scan

import (
	"math"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/tdigest"
)

// estimate is a quantile by t-digests.
type estimate[T number] struct {
	q       float64
	digests []tdigest.Digest
}

func (m *estimate[T]) grow(n int) {
	for len(m.digests) < n {
		m.digests = append(m.digests, tdigest.New(tdigest.Compression))
	}
}

func (m *estimate[T]) reset() { m.digests = m.digests[:0] }

func (m *estimate[T]) add(slot int, _ []int64, v *column.Vector, from, to int) {
	d := &m.digests[slot]
	for _, x := range wordsAs[T](v.Words[from:to]) {
		d.Add(float64(x))
	}
}

func (m *estimate[T]) wants(_ int, s *column.Summary) bool { return s.Count > 0 }
func (m *estimate[T]) addSummary(int, *column.Summary)     {}

func (m *estimate[T]) merge(slot int, from meter, fs int, _ []byte) {
	m.digests[slot].Merge(&from.(*estimate[T]).digests[fs])
}

func (m *estimate[T]) found(slot int) bool { return m.digests[slot].Some() }

func (m *estimate[T]) bytes() int64 {
	n := int64(cap(m.digests)) * 96
	for i := range m.digests {
		n += m.digests[i].Memory()
	}
	return n
}

func (m *estimate[T]) appendTo(c *Column, slot int) {
	if slot < 0 || !m.digests[slot].Some() {
		c.AppendNulls(1)
		return
	}
	c.AppendFloat(m.digests[slot].Quantile(m.q))
}

func (m *estimate[T]) encode(dst []byte, slot int) []byte {
	list := m.digests[slot].Centroids()
	lo, hi := m.digests[slot].Ends()
	dst = putWords(dst, uint64(len(list)), math.Float64bits(lo), math.Float64bits(hi))
	for _, c := range list {
		dst = putWords(dst, math.Float64bits(c.Mean), math.Float64bits(c.Weight))
	}
	return dst
}

func (m *estimate[T]) decode(src []byte, slot int) ([]byte, error) {
	var n, lo, hi uint64
	src, err := takeWords(src, &n, &lo, &hi)
	if err != nil || n > uint64(len(src)/16) {
		return nil, errState
	}
	d := &m.digests[slot]
	for range n {
		var mean, weight uint64
		if src, err = takeWords(src, &mean, &weight); err != nil {
			return nil, err
		}
		c := tdigest.Centroid{Mean: math.Float64frombits(mean), Weight: math.Float64frombits(weight)}
		if c.Mean != c.Mean || !(c.Weight > 0) || math.IsInf(c.Weight, 0) {
			return nil, errState
		}
		d.Put(c)
	}
	if n > 0 {
		d.SetEnds(math.Float64frombits(lo), math.Float64frombits(hi))
	}
	return src, nil
}
