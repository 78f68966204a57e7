package series

import (
	"cmp"
	"slices"
)

// simplexEdge is how far the corners of the first simplex are from the start.
const simplexEdge = 0.05

// A search ends when the least value has not sunk by more than settled for so
// many steps, or after maxSteps, which only those that creep on would need.
const (
	settled     = 1e-4
	settleSteps = 100
	maxSteps    = 100_000
)

// corner is a place and the value there.
type corner struct {
	x []float64
	v float64
}

// simplex is one more corner than there are dimensions, best first.
type simplex struct {
	f       func(x []float64) float64
	corners []corner
	middle  []float64 // of all corners but the worst
}

// minimize returns a place near start where f is small, and its value there, by
// the method of Nelder and Mead (A Simplex Method for Function Minimization, The
// Computer Journal 7, 1965) with the coefficients of Gao and Han (Implementing
// the Nelder-Mead simplex algorithm with adaptive parameters, Computational
// Optimization and Applications 51, 2012), for at least two dimensions. f may
// change the place that it is given. ended is asked at each step.
//
// Forecasts are to agree to the last digits with those of influxdata/flux, and a
// search goes another way after the least difference in rounding: the order of
// additions matters here.
func minimize(f func(x []float64) float64, start []float64, ended func() error) (float64, []float64, error) {
	n := len(start)
	dim := float64(n)
	expansion, contraction, shrink := 1+2/dim, 0.75-1/(2*dim), 1-1/dim
	s := &simplex{f: f, middle: make([]float64, n)}
	for i := range n {
		x := slices.Clone(start)
		x[i] += simplexEdge
		s.corners = append(s.corners, s.at(x))
	}
	s.corners = append(s.corners, s.at(slices.Clone(start)))
	s.order()
	least, since := s.corners[0].v, 0
	for range maxSteps {
		if err := ended(); err != nil {
			return 0, nil, err
		}
		if !s.step(expansion, contraction) {
			best := s.corners[0].x
			for i := 1; i <= n; i++ {
				s.corners[i] = s.at(along(best, s.corners[i].x, best, shrink))
			}
			s.order()
		}
		if v := s.corners[0].v; least-v > settled {
			least, since = v, 0
		} else if since++; since == settleSteps {
			break
		}
	}
	return s.corners[0].v, s.corners[0].x, nil
}

// at returns the corner at x.
func (s *simplex) at(x []float64) corner { return corner{x, s.f(slices.Clone(x))} }

// order sorts the corners and finds their middle.
func (s *simplex) order() {
	slices.SortStableFunc(s.corners, func(a, b corner) int { return cmp.Compare(a.v, b.v) })
	for j := range s.middle {
		s.middle[j] = 0
		for _, c := range s.corners[:len(s.middle)] {
			s.middle[j] += c.x[j]
		}
		s.middle[j] /= float64(len(s.middle))
	}
}

// along returns share (to - from) + base.
func along(base, to, from []float64, share float64) []float64 {
	x := make([]float64, len(base))
	for j := range x {
		x[j] = (to[j]-from[j])*share + base[j]
	}
	return x
}

// step puts a better corner in the place of the worst: its mirror image in the
// middle of the others, or one on the same line further away or nearer. It
// reports false if it found none.
func (s *simplex) step(expansion, contraction float64) bool {
	n := len(s.middle)
	worst := s.corners[n]
	beyond := func(share float64) corner { return s.at(along(s.middle, s.middle, worst.x, share)) }
	next := beyond(1)
	switch {
	case next.v < s.corners[0].v:
		if further := beyond(expansion); further.v < next.v {
			next = further
		}
	case next.v < s.corners[n-1].v:
	case next.v < worst.v:
		inside := beyond(contraction)
		if inside.v > next.v {
			return false
		}
		next = inside
	default:
		if next = beyond(-contraction); !(next.v < worst.v) {
			return false
		}
	}
	at, _ := slices.BinarySearchFunc(s.corners[:n], next.v, func(c corner, v float64) int { return cmp.Compare(c.v, v) })
	copy(s.corners[at+1:], s.corners[at:n])
	s.corners[at] = next
	leaves := s.corners[n].x
	for j := range s.middle {
		s.middle[j] += -1 / float64(n) * leaves[j]
		s.middle[j] += 1 / float64(n) * next.x[j]
	}
	return true
}
