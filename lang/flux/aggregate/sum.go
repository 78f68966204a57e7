package aggregate

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Count counts rows, those that are null too.
type Count struct{ One }

// Name implements flow.Op.
func (*Count) Name() string { return "count" }

// Open implements flow.Op.
func (c *Count) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, c)
}

func (*Count) result([]value.Kind) (value.Kind, error) { return value.Int, nil }
func (*Count) begin([]value.Kind) accumulator          { return new(counter) }

type counter int64

func (c *counter) add(_ []*table.Column, from, to int) { *c += counter(to - from) }
func (c *counter) value() value.Value                  { return value.OfInt(int64(*c)) }
func (c *counter) size() int64                         { return 8 }

// Sum adds up numbers. Integers wrap around.
type Sum struct{ One }

// Name implements flow.Op.
func (*Sum) Name() string { return "sum" }

// Open implements flow.Op.
func (s *Sum) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, s)
}

func (*Sum) result(kinds []value.Kind) (value.Kind, error) { return kinds[0], numeric(kinds) }

func (*Sum) begin(kinds []value.Kind) accumulator {
	switch kinds[0] {
	case value.Int:
		return &adder[int64]{kind: kinds[0]}
	case value.Uint:
		return &adder[uint64]{kind: kinds[0]}
	}
	return &adder[float64]{kind: kinds[0]}
}

type adder[T number] struct {
	kind value.Kind
	some bool
	sum  T
}

func (a *adder[T]) take(words []uint64) {
	sum := a.sum
	for _, x := range numbers[T](words) {
		sum += x
	}
	a.sum = sum
	a.some = a.some || len(words) > 0
}

func (a *adder[T]) add(cols []*table.Column, from, to int) { takeValid(a, cols[0], from, to) }
func (a *adder[T]) size() int64                            { return 24 }

func (a *adder[T]) value() value.Value {
	if !a.some {
		return value.Value{}
	}
	return value.OfWord(a.kind, wordOf(a.sum))
}

// Mean is the mean of numbers, a float.
type Mean struct{ One }

// Name implements flow.Op.
func (*Mean) Name() string { return "mean" }

// Open implements flow.Op.
func (m *Mean) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, m)
}

func (*Mean) result(kinds []value.Kind) (value.Kind, error) { return value.Float, numeric(kinds) }

func (*Mean) begin(kinds []value.Kind) accumulator {
	switch kinds[0] {
	case value.Int:
		return &averager[int64]{}
	case value.Uint:
		return &averager[uint64]{}
	}
	return &averager[float64]{}
}

type averager[T number] struct {
	n   int
	sum float64
}

func (a *averager[T]) take(words []uint64) {
	sum := a.sum
	for _, x := range numbers[T](words) {
		sum += float64(x)
	}
	a.sum = sum
	a.n += len(words)
}

func (a *averager[T]) add(cols []*table.Column, from, to int) { takeValid(a, cols[0], from, to) }
func (a *averager[T]) size() int64                            { return 16 }

func (a *averager[T]) value() value.Value {
	if a.n == 0 {
		return value.Value{}
	}
	return value.OfFloat(a.sum / float64(a.n))
}

// Spread is the difference between the greatest and the least number.
type Spread struct{ One }

// Name implements flow.Op.
func (*Spread) Name() string { return "spread" }

// Open implements flow.Op.
func (s *Spread) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, s)
}

func (*Spread) result(kinds []value.Kind) (value.Kind, error) { return kinds[0], numeric(kinds) }

func (*Spread) begin(kinds []value.Kind) accumulator {
	switch kinds[0] {
	case value.Int:
		return &spreader[int64]{kind: kinds[0]}
	case value.Uint:
		return &spreader[uint64]{kind: kinds[0]}
	}
	return &spreader[float64]{kind: kinds[0]}
}

type spreader[T number] struct {
	kind   value.Kind
	some   bool
	lo, hi T
}

func (s *spreader[T]) take(words []uint64) {
	for _, x := range numbers[T](words) {
		switch {
		case !s.some:
			s.some, s.lo, s.hi = true, x, x
		case x < s.lo:
			s.lo = x
		case x > s.hi:
			s.hi = x
		}
	}
}

func (s *spreader[T]) add(cols []*table.Column, from, to int) { takeValid(s, cols[0], from, to) }
func (s *spreader[T]) size() int64                            { return 32 }

func (s *spreader[T]) value() value.Value {
	if !s.some {
		return value.Value{}
	}
	return value.OfWord(s.kind, wordOf(s.hi-s.lo))
}
