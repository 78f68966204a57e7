// Package tdigest estimates quantiles in memory that does not grow with the
// number of values: the merging t-digest of Dunning and Ertl, "Computing
// extremely accurate quantiles using t-digests" (2019), with the scale function
// k1. Centroids stand for values that lie close together; they are small near
// both ends, so that the 0.999 quantile is as good as the median.
//
// Package scan uses it on what is stored, lang/flux/aggregate on what a script
// made; both give the same answer for the same values in the same order. A
// Digest belongs to one goroutine.
package tdigest

import (
	"math"
	"slices"
)

// Compression is what Flux uses unless a script says otherwise: at most some
// 1,000 centroids, with errors of about 0.001 of the rank in the middle and
// less at the ends.
const Compression = 1000

// freshFactor is how many values are collected for each unit of compression
// before they are merged, which costs as much for one as for many.
const freshFactor = 4

// Centroid is the mean of some values.
type Centroid struct{ Mean, Weight float64 }

// Digest is the t-digest of some values.
type Digest struct {
	compression float64
	list        []Centroid // ascending by mean
	fresh       []Centroid // not merged so far
	lo, hi      float64
	weight      float64
	freshSum    float64
}

// New returns a digest of no values. compression bounds the number of
// centroids; it is greater than 0.
func New(compression float64) Digest { return Digest{compression: compression} }

// Add adds a value. One that is not a number is left out.
func (d *Digest) Add(x float64) {
	if x == x {
		d.Put(Centroid{x, 1})
	}
}

// Put adds a centroid, whose mean is a number and whose weight is positive.
func (d *Digest) Put(c Centroid) {
	if !d.Some() {
		d.lo, d.hi = c.Mean, c.Mean
	}
	d.lo, d.hi = min(d.lo, c.Mean), max(d.hi, c.Mean)
	d.fresh = append(d.fresh, c)
	d.freshSum += c.Weight
	if len(d.fresh) >= int(freshFactor*d.compression)+1 {
		d.compact()
	}
}

// Merge adds the values of o.
func (d *Digest) Merge(o *Digest) {
	if !o.Some() {
		return
	}
	lo, hi := o.lo, o.hi
	if d.Some() {
		lo, hi = min(lo, d.lo), max(hi, d.hi)
	}
	for _, c := range o.list {
		d.Put(c)
	}
	for _, c := range o.fresh {
		d.Put(c)
	}
	d.lo, d.hi = lo, hi
}

// Some reports whether the digest has any values.
func (d *Digest) Some() bool { return d.weight+d.freshSum > 0 }

// Centroids returns all centroids, ascending by mean. They are valid until the
// next change.
func (d *Digest) Centroids() []Centroid {
	d.compact()
	return d.list
}

// Ends returns the least and the greatest value.
func (d *Digest) Ends() (lo, hi float64) { return d.lo, d.hi }

// SetEnds sets the least and the greatest value of a digest that was put
// together of centroids.
func (d *Digest) SetEnds(lo, hi float64) { d.lo, d.hi = lo, hi }

// Memory returns the bytes that the centroids take.
func (d *Digest) Memory() int64 { return int64(cap(d.list)+cap(d.fresh)) * 16 }

// compact merges what is fresh into the list.
func (d *Digest) compact() {
	if len(d.fresh) == 0 {
		return
	}
	all := append(d.fresh, d.list...)
	slices.SortFunc(all, func(a, b Centroid) int {
		switch {
		case a.Mean < b.Mean:
			return -1
		case a.Mean > b.Mean:
			return 1
		}
		return 0
	})
	d.weight += d.freshSum
	d.freshSum = 0
	out := d.list[:0] // all has what it held
	cur, done := all[0], 0.0
	limit := d.weight * d.quantileOf(1)
	for _, c := range all[1:] {
		equal := c.Mean == cur.Mean
		if done+cur.Weight+c.Weight <= limit && (equal || !math.IsInf(c.Mean-cur.Mean, 0)) {
			w := cur.Weight + c.Weight
			if !equal { // equal infinities have no difference
				cur.Mean += (c.Mean - cur.Mean) * c.Weight / w
			}
			cur.Weight = w
			continue
		}
		done += cur.Weight
		limit = d.weight * d.quantileOf(d.scaleOf(done/d.weight)+1)
		out = append(out, cur)
		cur = c
	}
	d.list = append(out, cur)
	d.fresh = all[:0]
}

// scaleOf maps a quantile to the scale on which no centroid is longer than 1,
// from 0 to the compression.
func (d *Digest) scaleOf(q float64) float64 {
	return d.compression * (math.Asin(2*q-1)/math.Pi + 0.5)
}

// quantileOf is the inverse of scaleOf.
func (d *Digest) quantileOf(k float64) float64 {
	if k >= d.compression {
		return 1
	}
	return (math.Sin(k*math.Pi/d.compression-math.Pi/2) + 1) / 2
}

// Quantile returns the estimate for q (0 to 1), interpolated between the middles
// of centroids; NaN if there are no values.
func (d *Digest) Quantile(q float64) float64 {
	d.compact()
	if len(d.list) == 0 {
		return math.NaN()
	}
	want := q * d.weight
	prev, prevAt, at := d.lo, 0.0, 0.0
	for _, c := range d.list {
		middle := at + c.Weight/2
		if want < middle {
			return between(prev, c.Mean, (want-prevAt)/(middle-prevAt))
		}
		prev, prevAt = c.Mean, middle
		at += c.Weight
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
