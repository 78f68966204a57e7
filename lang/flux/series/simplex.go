package series

import (
	"math"
	"slices"
)

// The method of Nelder and Mead (A Simplex Method for Function Minimization,
// The Computer Journal 7, 1965) with the usual coefficients, and the starting
// simplex of Spendley, Hext and Himsworth with edges of length 1.
const (
	reflection  = 1.0
	expansion   = 2.0
	contraction = 0.5
	// maxSteps ends a search that does not settle; the method mostly needs some
	// hundreds for ten parameters.
	maxSteps = 1000
)

// minimize returns a place near start where f is small, and its value there. It
// ends when the values at the corners of the simplex deviate by less than
// epsilon. f may change the place that it is given; the search goes on from where it
// moved it.
func minimize(f func(x []float64) float64, start []float64, epsilon float64) (float64, []float64) {
	n := len(start)
	corners := make([][]float64, n+1)
	values := make([]float64, n+1)
	near := (math.Sqrt(float64(n)+1) - 1) / (float64(n) * math.Sqrt2)
	far := (math.Sqrt(float64(n)+1) - 1 + float64(n)) / (float64(n) * math.Sqrt2)
	for i := range corners {
		corners[i] = slices.Clone(start)
		if i > 0 {
			for j := range corners[i] {
				if j == i-1 {
					corners[i][j] += far
				} else {
					corners[i][j] += near
				}
			}
		}
	}
	for i := range corners {
		values[i] = f(corners[i])
	}
	// along returns the place on the line from the middle of all corners but
	// the worst, some share of the way to another place.
	middle := make([]float64, n)
	along := func(from []float64, share float64) []float64 {
		x := make([]float64, n)
		for j := range x {
			x[j] = middle[j] + share*(from[j]-middle[j])
		}
		return x
	}
	for step := 1; step <= maxSteps; step++ {
		best, worst := 0, 0
		for i, v := range values {
			if v > values[worst] {
				worst = i
			}
			if v < values[best] {
				best = i
			}
		}
		second := best
		for i, v := range values {
			if v > values[second] && v < values[worst] {
				second = i
			}
		}
		for j := range middle {
			middle[j] = 0
			for i := range corners {
				if i != worst {
					middle[j] += corners[i][j]
				}
			}
			middle[j] /= float64(n)
		}
		mirrored := make([]float64, n)
		for j := range mirrored {
			mirrored[j] = middle[j] + reflection*(middle[j]-corners[worst][j])
		}
		at := f(mirrored)
		switch {
		case at < values[best]:
			corners[worst], values[worst] = mirrored, at
			longer := along(mirrored, expansion)
			if v := f(longer); v < at {
				corners[worst], values[worst] = longer, v
			}
		case at < values[second]:
			corners[worst], values[worst] = mirrored, at
		default:
			shorter := along(corners[worst], contraction)
			if at < values[worst] {
				shorter = along(mirrored, contraction)
			}
			if v := f(shorter); v < values[worst] {
				corners[worst], values[worst] = shorter, v
				break
			}
			for i := range corners {
				if i == best {
					continue
				}
				for j := range corners[i] {
					corners[i][j] = corners[best][j] + (corners[i][j]-corners[best][j])/2
				}
			}
			for i := range corners {
				if i != best {
					values[i] = f(corners[i])
				}
			}
		}
		if deviation(values) < epsilon {
			break
		}
	}
	best := 0
	for i, v := range values {
		if v < values[best] {
			best = i
		}
	}
	return values[best], corners[best]
}

// deviation returns the standard deviation of values.
func deviation(values []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, v := range values {
		mean += v
	}
	mean /= float64(len(values))
	for _, v := range values {
		sum += (v - mean) * (v - mean) / float64(len(values)-1)
	}
	return math.Sqrt(sum)
}
