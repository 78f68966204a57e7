package series

import (
	"cmp"
	"math"
	"slices"
)

// simplexEdge is how far the corners of the first simplex are from the start.
const simplexEdge = 0.05

// A search ends when the least value has not sunk by settled for so many steps,
// or after maxSteps, which those that do not settle would need.
const (
	settled     = 1e-10
	settleSteps = 100
	maxSteps    = 20_000
)

// corner is a place and the value there.
type corner struct {
	x []float64
	v float64
}

// minimize returns a place near start where f is small, and its value there, by
// the method of Nelder and Mead (A Simplex Method for Function Minimization, The
// Computer Journal 7, 1965) with the coefficients of Gao and Han (Implementing
// the Nelder-Mead simplex algorithm with adaptive parameters, Computational
// Optimization and Applications 51, 2012), for at least two dimensions. f may
// change the place that it is given. ended is asked at each step.
func minimize(f func(x []float64) float64, start []float64, ended func() error) (float64, []float64, error) {
	n := len(start)
	dim := float64(n)
	expansion, contraction, shrink := 1+2/dim, 0.75-1/(2*dim), 1-1/dim
	value := func(x []float64) corner { return corner{x, f(slices.Clone(x))} }
	corners := make([]corner, 0, n+1)
	corners = append(corners, value(slices.Clone(start)))
	for i := range n {
		x := slices.Clone(start)
		x[i] += simplexEdge
		corners = append(corners, value(x))
	}
	middle := make([]float64, n)
	// beyond returns the corner on the line from the worst one through the
	// middle of the others, some share of the way from the middle.
	beyond := func(share float64) corner {
		x := make([]float64, n)
		for j := range x {
			x[j] = middle[j] + share*(middle[j]-corners[n].x[j])
		}
		return value(x)
	}
	least, since := math.Inf(1), 0
	for range maxSteps {
		if err := ended(); err != nil {
			return 0, nil, err
		}
		slices.SortStableFunc(corners, func(a, b corner) int { return cmp.Compare(a.v, b.v) })
		if since++; corners[0].v < least-settled {
			least, since = corners[0].v, 0
		}
		if since > settleSteps {
			break
		}
		for j := range middle {
			middle[j] = 0
			for _, c := range corners[:n] {
				middle[j] += c.x[j] / dim
			}
		}
		next := beyond(1)
		switch {
		case next.v < corners[0].v:
			if further := beyond(expansion); further.v < next.v {
				next = further
			}
		case next.v < corners[n-1].v:
		case next.v < corners[n].v:
			next = closer(next, beyond(contraction))
		default:
			next = closer(corners[n], beyond(-contraction))
		}
		if next.v < corners[n].v {
			corners[n] = next
			continue
		}
		for i := 1; i <= n; i++ {
			x := make([]float64, n)
			for j := range x {
				x[j] = corners[0].x[j] + shrink*(corners[i].x[j]-corners[0].x[j])
			}
			corners[i] = value(x)
		}
	}
	best := slices.MinFunc(corners, func(a, b corner) int { return cmp.Compare(a.v, b.v) })
	return best.v, best.x, nil
}

// closer returns the corner inside if it is better than the one outside, and
// otherwise one so bad that the simplex shrinks.
func closer(outside, inside corner) corner {
	if inside.v < outside.v {
		return inside
	}
	return corner{inside.x, math.Inf(1)}
}
