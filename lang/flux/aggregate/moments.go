package aggregate

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Modes of Stddev.
const (
	OfSample     = "sample"     // values are some of those that there are
	OfPopulation = "population" // values are all that there are
)

// Stddev is the standard deviation of numbers.
type Stddev struct {
	One
	Mode string
}

// Name implements flow.Op.
func (*Stddev) Name() string { return "stddev" }

// Details implements flow.Op.
func (s *Stddev) Details() string {
	if s.Mode == OfSample {
		return s.One.Details()
	}
	return with(s.One.Details(), "mode", "%q", s.Mode)
}

// Check reports whether the mode is known.
func (s *Stddev) Check() error {
	if s.Mode != OfSample && s.Mode != OfPopulation {
		return fmt.Errorf("%q is not a valid standard deviation mode: use %q or %q", s.Mode, OfSample, OfPopulation)
	}
	return nil
}

// Open implements flow.Op.
func (s *Stddev) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, s)
}

func (*Stddev) result(kinds []value.Kind) (value.Kind, error) { return value.Float, numeric(kinds) }

func (s *Stddev) begin(kinds []value.Kind) accumulator {
	return newMoments(kinds[0], func(m *moments) float64 {
		n := m.n
		if s.Mode == OfSample {
			n--
		}
		if n < 1 {
			return math.NaN()
		}
		return math.Sqrt(m.m2 / n)
	})
}

// Skew is the skewness of numbers, of all that there are.
type Skew struct{ One }

// Name implements flow.Op.
func (*Skew) Name() string { return "skew" }

// Open implements flow.Op.
func (s *Skew) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, s)
}

func (*Skew) result(kinds []value.Kind) (value.Kind, error) { return value.Float, numeric(kinds) }

func (*Skew) begin(kinds []value.Kind) accumulator {
	return newMoments(kinds[0], func(m *moments) float64 {
		if m.n < 2 {
			return math.NaN()
		}
		return math.Sqrt(m.n) * m.m3 / math.Pow(m.m2, 1.5)
	})
}

// moments has the central moments of numbers in one pass: Welford's method, for
// the third one after Terriberry (2007).
type moments struct {
	n, mean, m2, m3 float64
	end             func(*moments) float64
}

// kindMoments takes numbers of one kind.
type kindMoments[T number] struct{ moments }

func newMoments(k value.Kind, end func(*moments) float64) accumulator {
	m := moments{end: end}
	switch k {
	case value.Int:
		return &kindMoments[int64]{m}
	case value.Uint:
		return &kindMoments[uint64]{m}
	}
	return &kindMoments[float64]{m}
}

func (m *kindMoments[T]) take(words []uint64) {
	for _, x := range numbers[T](words) {
		m.push(float64(x))
	}
}

func (m *moments) push(x float64) {
	before := m.n
	m.n++
	delta := x - m.mean
	part := delta / m.n
	term := delta * part * before
	m.mean += part
	m.m3 += term*part*(m.n-2) - 3*part*m.m2
	m.m2 += delta * (x - m.mean)
}

func (m *kindMoments[T]) add(cols []*table.Column, from, to int) { takeValid(m, cols[0], from, to) }
func (m *moments) size() int64                                   { return 40 }

func (m *moments) value() value.Value {
	if m.n == 0 {
		return value.Value{}
	}
	return value.OfFloat(m.end(m))
}
