package scan

import (
	"math"
	"slices"

	"github.com/varvedb/varve/column"
)

// estimate is a quantile by t-digests: centroids of values whose number is
// bounded, small near both ends, merged by the scale function k1 of Dunning
// and Ertl (2019).
type estimate[T number] struct {
	q       float64
	digests []digest
}

// centroid is the mean of some values.
type centroid struct{ mean, weight float64 }

type digest struct {
	list     []centroid // ascending by mean
	fresh    []centroid // not merged so far
	lo, hi   float64
	weight   float64
	freshSum float64
}

const (
	// compression bounds the number of centroids; 1000 is Flux's default, with
	// errors of some 0.001 of the rank in the middle and less at the ends.
	compression = 1000
	// freshLimit is how many values are collected before a merge, which costs
	// as much for one as for many.
	freshLimit = 4 * compression
)

func (m *estimate[T]) grow(n int) { m.digests = grown(m.digests, n) }
func (m *estimate[T]) reset()     { m.digests = m.digests[:0] }

func (m *estimate[T]) add(slot int, _ []int64, v *column.Vector, from, to int) {
	d := &m.digests[slot]
	for _, x := range wordsAs[T](v.Words[from:to]) {
		if x == x {
			d.put(centroid{float64(x), 1})
		}
	}
}

func (d *digest) put(c centroid) {
	if d.weight+d.freshSum == 0 {
		d.lo, d.hi = c.mean, c.mean
	}
	d.lo, d.hi = min(d.lo, c.mean), max(d.hi, c.mean)
	d.fresh = append(d.fresh, c)
	d.freshSum += c.weight
	if len(d.fresh) >= freshLimit {
		d.compact()
	}
}

// compact merges what is fresh into the list.
func (d *digest) compact() {
	if len(d.fresh) == 0 {
		return
	}
	all := append(d.fresh, d.list...)
	slices.SortFunc(all, func(a, b centroid) int {
		switch {
		case a.mean < b.mean:
			return -1
		case a.mean > b.mean:
			return 1
		}
		return 0
	})
	d.weight += d.freshSum
	d.freshSum = 0
	out := make([]centroid, 0, min(len(all), compression))
	cur, done := all[0], 0.0
	limit := d.weight * quantileOf(scaleOf(0)+1)
	for _, c := range all[1:] {
		equal := c.mean == cur.mean
		if equal || done+cur.weight+c.weight <= limit && !math.IsInf(c.mean-cur.mean, 0) {
			w := cur.weight + c.weight
			if !equal { // equal infinities have no difference
				cur.mean += (c.mean - cur.mean) * c.weight / w
			}
			cur.weight = w
			continue
		}
		done += cur.weight
		limit = d.weight * quantileOf(scaleOf(done/d.weight)+1)
		out = append(out, cur)
		cur = c
	}
	d.list = append(out, cur)
	d.fresh = d.fresh[:0]
}

func scaleOf(q float64) float64 { return compression / (2 * math.Pi) * math.Asin(2*q-1) }

func quantileOf(k float64) float64 {
	x := k * 2 * math.Pi / compression
	if x >= math.Pi/2 {
		return 1
	}
	return (math.Sin(x) + 1) / 2
}

// quantile returns the estimate for q, interpolated between the middles of
// centroids.
func (d *digest) quantile(q float64) float64 {
	d.compact()
	want := q * d.weight
	prev, prevAt, at := d.lo, 0.0, 0.0
	for _, c := range d.list {
		middle := at + c.weight/2
		if want < middle {
			return between(prev, c.mean, (want-prevAt)/(middle-prevAt))
		}
		prev, prevAt = c.mean, middle
		at += c.weight
	}
	if d.weight == prevAt {
		return d.hi
	}
	return between(prev, d.hi, (want-prevAt)/(d.weight-prevAt))
}

func between(a, b, part float64) float64 {
	if a == b || part <= 0 {
		return a
	}
	return a*(1-part) + b*part
}

func (m *estimate[T]) wants(_ int, s *column.Summary) bool { return s.Count > 0 }
func (m *estimate[T]) addSummary(int, *column.Summary)     {}

func (m *estimate[T]) merge(slot int, from meter, fs int, _ []byte) {
	d, o := &m.digests[slot], &from.(*estimate[T]).digests[fs]
	if !o.some() {
		return
	}
	lo, hi := o.lo, o.hi
	if d.some() {
		lo, hi = min(lo, d.lo), max(hi, d.hi)
	}
	for _, c := range o.list {
		d.put(c)
	}
	for _, c := range o.fresh {
		d.put(c)
	}
	d.lo, d.hi = lo, hi
}

func (d *digest) some() bool { return d.weight+d.freshSum > 0 }

func (m *estimate[T]) found(slot int) bool { return m.digests[slot].some() }

func (m *estimate[T]) bytes() int64 {
	n := int64(cap(m.digests)) * 88
	for i := range m.digests {
		n += int64(cap(m.digests[i].list)+cap(m.digests[i].fresh)) * 16
	}
	return n
}

func (m *estimate[T]) appendTo(c *Column, slot int) {
	if slot < 0 || !m.digests[slot].some() {
		c.AppendNulls(1)
		return
	}
	c.AppendFloat(m.digests[slot].quantile(m.q))
}

func (m *estimate[T]) encode(dst []byte, slot int) []byte {
	d := &m.digests[slot]
	d.compact()
	dst = putWords(dst, uint64(len(d.list)), math.Float64bits(d.lo), math.Float64bits(d.hi))
	for _, c := range d.list {
		dst = putWords(dst, math.Float64bits(c.mean), math.Float64bits(c.weight))
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
		c := centroid{math.Float64frombits(mean), math.Float64frombits(weight)}
		if c.mean != c.mean || !(c.weight > 0) || math.IsInf(c.weight, 0) {
			return nil, errState
		}
		d.put(c)
	}
	if n > 0 {
		d.lo, d.hi = math.Float64frombits(lo), math.Float64frombits(hi)
	}
	return src, nil
}
