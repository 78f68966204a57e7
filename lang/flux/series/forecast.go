package series

import (
	"math"
	"slices"
)

// forecast is the model of Holt and Winters with a damped trend and
// multiplicative seasons (Hyndman and Athanasopoulos, Forecasting: Principles and
// Practice), as InfluxQL has it.
//
// Its parameters are alpha, beta, gamma and phi, each between 0 and 1, the level
// and the trend at the start, and a factor for each point of a season.
type forecast struct {
	y      []float64 // NaN: missing
	season int       // points of a season; 0: there are none
}

// Places of parameters.
const (
	alpha = iota
	beta
	gamma
	phi
	level
	trend
	factors
)

// weight is how much of the first value and the first step a search begins with
// where there are no seasons.
const weight = 0.5

// first returns the first value, zero if it is missing.
func (f *forecast) first() float64 {
	if math.IsNaN(f.y[0]) {
		return 0
	}
	return f.y[0]
}

// run returns what the model says of each point, and of h points after the last.
// Smoothing parameters that are out of bounds count as the nearest bound.
func (f *forecast) run(h int, p []float64) []float64 {
	for i := alpha; i <= phi; i++ {
		p[i] = min(max(p[i], 0), 1)
	}
	out := make([]float64, len(f.y)+h)
	y, l, b, damped := f.first(), p[level], p[trend], p[phi]
	out[0] = y
	m := f.season
	past := slices.Clone(p[factors:])
	if m == 1 {
		past[0] = 1
	}
	turn := m - 1
	for t := 1; t < len(out); t++ {
		was, will := 1.0, 1.0
		if m > 0 {
			was = past[(t-m+turn)%m]
			will = past[(t-m+t%m+turn)%m]
		}
		y0, l0, b0 := y, l, b
		l = p[alpha]*(y0/was) + (1-p[alpha])*(l0+p[phi]*b0)
		b = p[beta]*(l-l0) + (1-p[beta])*p[phi]*b0
		y = (l + damped*b) * will
		damped += math.Pow(p[phi], float64(t))
		if m > 0 {
			past[(t+turn)%m] = p[gamma]*(y0/(l0+p[phi]*b0)) + (1-p[gamma])*was
			turn++
		}
		out[t] = y
	}
	return out
}

// sse returns the sum of the squared errors with parameters.
func (f *forecast) sse(p []float64) float64 {
	sum := 0.0
	for i, v := range f.run(0, p) {
		if math.IsNaN(f.y[i]) {
			continue
		}
		if math.IsNaN(v) {
			return math.Inf(1)
		}
		sum += (v - f.y[i]) * (v - f.y[i])
	}
	return sum
}

// fit returns the parameters that give the least errors, found from guesses all
// over the range of the four smoothing parameters, and these errors. ended is
// asked now and then.
func (f *forecast) fit(ended func() error) (least float64, best []float64, err error) {
	start := f.start()
	least = math.Inf(1)
	guesses := []float64{0.3, 0.7}
	for _, a := range guesses {
		for _, b := range guesses {
			for _, g := range guesses {
				for _, d := range guesses {
					start[alpha], start[beta], start[gamma], start[phi] = a, b, g, d
					sse, p, err := minimize(f.sse, start, ended)
					if err != nil {
						return 0, nil, err
					}
					if sse < least || best == nil {
						least, best = sse, p
					}
				}
			}
		}
	}
	return least, best, nil
}

// start returns the parameters from which a search begins, apart from the
// smoothing ones.
func (f *forecast) start() []float64 {
	m := f.season
	p := make([]float64, factors+m)
	if m == 0 {
		p[level] = weight * f.first()
		if !math.IsNaN(f.y[1]) {
			p[trend] = weight * (f.y[1] - f.first())
		}
		return p
	}
	for _, v := range f.y[:m] {
		if !math.IsNaN(v) {
			p[level] += 1 / float64(m) * v
		}
	}
	for i := 0; i < m && m+i < len(f.y); i++ {
		if !math.IsNaN(f.y[i]) && !math.IsNaN(f.y[m+i]) {
			p[trend] += 1 / float64(m*m) * (f.y[m+i] - f.y[i])
		}
	}
	for i, v := range f.y[:m] {
		if !math.IsNaN(v) {
			p[factors+i] = v / p[level]
		}
	}
	return p
}
