package encoding

import (
	"math"
	"math/rand/v2"
)

// Columns like those that the product is measured on, from a seed.

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }

// hostInts is one field of the host fleet: the floor of a walk with normal
// steps, kept between 0 and 100; a new host starts every rows values.
func hostInts(seed uint64, n, rows int) []int64 {
	r := seeded(seed)
	v := make([]int64, n)
	x := 0.0
	for i := range v {
		if i%rows == 0 {
			x = r.Float64() * 100
		}
		x = min(max(x+r.NormFloat64(), 0), 100)
		v[i] = int64(math.Floor(x))
	}
	return v
}

// decimals rounds a walk to digits.
func decimals(seed uint64, n, digits int, start, step float64) []float64 {
	r := seeded(seed)
	p := math.Pow(10, float64(digits))
	v := make([]float64, n)
	x := start
	for i := range v {
		x += r.NormFloat64() * step
		v[i] = math.Round(x*p) / p
	}
	return v
}

// full is a walk of full precision.
func full(seed uint64, n int) []float64 {
	r := seeded(seed)
	v := make([]float64, n)
	x := 50.0
	for i := range v {
		x += r.NormFloat64()
		v[i] = x
	}
	return v
}

// falling is a tank that empties: long runs, steps of -0.1.
func falling(seed uint64, n int) []float64 {
	r := seeded(seed)
	v := make([]float64, n)
	x := 10
	for i := range v {
		if r.IntN(40) == 0 {
			x--
		}
		if x < 0 {
			x = 10
		}
		v[i] = float64(x) / 10
	}
	return v
}

// statuses are strings of few values that seldom change.
func statuses(seed uint64, n int) (ends []uint32, data []byte) {
	r := seeded(seed)
	names := []string{"ok", "warning", "critical", "maintenance"}
	at := 0
	for range n {
		if r.IntN(50) == 0 {
			at = r.IntN(len(names))
		}
		data = append(data, names[at]...)
		ends = append(ends, uint32(len(data)))
	}
	return ends, data
}

// ids are strings that seldom repeat.
func ids(seed uint64, n int) (ends []uint32, data []byte) {
	r := seeded(seed)
	for range n {
		data = append(data, "request-"...)
		for range 8 {
			data = append(data, "0123456789abcdef"[r.IntN(16)])
		}
		ends = append(ends, uint32(len(data)))
	}
	return ends, data
}

// evenTimes are rows of a period for each run.
func evenTimes(n, rows int, start, step int64) (runs []int32, v []int64) {
	for len(v) < n {
		count := min(rows, n-len(v))
		runs = append(runs, int32(count))
		for i := range count {
			v = append(v, start+int64(i)*step)
		}
	}
	return runs, v
}

// jitter delays each time by up to most units.
func jitter(seed uint64, v []int64, most int, unit int64) []int64 {
	r := seeded(seed)
	out := make([]int64, len(v))
	for i, t := range v {
		out[i] = t + int64(r.IntN(most))*unit
	}
	return out
}

// truckColumns are the fields of the truck fleet: uniform steps, few decimals.
func truckColumns(seed uint64, n int) map[string][]float64 {
	r := seeded(seed)
	uniform := func(from, to float64) float64 { return from + r.Float64()*(to-from) }
	walk := func(start, step, low, high float64, digits int) []float64 {
		p := math.Pow(10, float64(digits))
		v := make([]float64, n)
		for i := range v {
			start = min(max(start+uniform(-step, step), low), high)
			v[i] = math.Round(start*p) / p
		}
		return v
	}
	fuel, load, status := make([]float64, n), make([]float64, n), make([]float64, n)
	f, l, s := 1.0, 0.0, 0.0
	for i := range n {
		if f -= uniform(0, 0.001); f <= 0 {
			f = 1
		}
		if r.Float64() < 0.05 {
			l = uniform(0, 5000)
		}
		s = min(max(s+r.NormFloat64(), 0), 5)
		fuel[i], load[i], status[i] = math.Round(f*10)/10, math.Round(l), math.Floor(s)
	}
	return map[string][]float64{
		"latitude":         walk(52, 0.005, -90, 90, 5),
		"longitude":        walk(13, 0.005, -180, 180, 5),
		"elevation":        walk(150, 10, 0, 5000, 0),
		"velocity":         walk(0, 10, 0, 100, 0),
		"heading":          walk(100, 5, 0, 360, 0),
		"grade":            walk(0, 5, 0, 100, 0),
		"fuel_consumption": walk(25, 5, 0, 50, 1),
		"fuel_state":       fuel,
		"current_load":     load,
		"status":           status,
	}
}
