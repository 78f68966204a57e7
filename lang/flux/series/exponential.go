package series

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
)

// Exponential is an exponential moving average of N values, or what is made of
// averages of averages: the double (2 e1 - e2) and the triple average
// (3 e1 - 3 e2 + e3), and the change of the third in percent (TRIX).
//
// The average of the first N rows is their mean; after them it is
// y(t) = x(t) k + y(t-1) (1 - k), with k = 2 / (1 + N). Nulls leave it as it is.
// Rows before the first average are left out. A table that has too few becomes
// its last row, with the mean of all values, or with NaN if it is an average of
// averages.
type Exponential struct {
	N    int64
	Made Combination
}

// Combination is what is made of exponential averages of averages.
type Combination uint8

// The combinations.
const (
	Single Combination = iota
	Double
	Triple
	TripleDerivative
)

// Name implements flow.Op.
func (e *Exponential) Name() string {
	return [...]string{"exponentialMovingAverage", "doubleEMA", "tripleEMA", "tripleExponentialDerivative"}[e.Made]
}

// Details implements flow.Op.
func (e *Exponential) Details() string { return fmt.Sprintf("n: %d", e.N) }

// Open implements flow.Op.
func (e *Exponential) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	if err := checkPeriod(e.N); err != nil {
		return nil, err
	}
	return walk(in[0], func() walker {
		a := &averaging{before: e.N - 1}
		switch e.Made {
		case Single:
			a.over = &ema{n: e.N}
		case Double:
			a.over, a.before = &cascade{made: Double, stages: stages(e.N, 2)}, 2*(e.N-1)
		case Triple:
			a.over, a.before = &cascade{made: Triple, stages: stages(e.N, 3)}, 3*(e.N-1)
		case TripleDerivative:
			a.over, a.before = &cascade{made: TripleDerivative, stages: stages(e.N, 3)}, 3*(e.N-1)+1
		}
		return a
	}), nil
}

// ema is one exponential moving average.
type ema struct {
	n     int64
	rows  int64
	sum   float64 // of the first n rows
	count int64   // how many of them are not null
	last  float64
	any   bool // last is a value
}

func (e *ema) next(v float64, have bool) (float64, bool) {
	e.rows++
	switch {
	case e.rows <= e.n:
		if have {
			e.sum += v
			e.count++
		}
		if e.rows == e.n {
			e.last, e.any = e.short()
		}
	case !have:
	case !e.any:
		e.last, e.any = v, true
	default:
		k := 2 / (1 + float64(e.n))
		e.last = v*k + e.last*(1-k)
	}
	return e.last, e.any
}

func (e *ema) short() (float64, bool) {
	if e.count == 0 {
		return 0, false
	}
	return e.sum / float64(e.count), true
}

// ready reports whether the first average is there.
func (e *ema) ready() bool { return e.rows >= e.n }

// cascade is averages of averages: each stage takes what the one before it
// returned.
type cascade struct {
	made   Combination
	stages []ema
	before float64 // TripleDerivative: the last stage, a row ago
	any    bool
}

func stages(n int64, count int) []ema {
	s := make([]ema, count)
	for i := range s {
		s[i].n = n
	}
	return s
}

func (c *cascade) next(v float64, have bool) (float64, bool) {
	var e [3]float64
	for i := range c.stages {
		v, have = c.stages[i].next(v, have)
		e[i] = v
		if !c.stages[i].ready() {
			return 0, false
		}
	}
	switch c.made {
	case Double:
		return 2*e[0] - e[1], have
	case Triple:
		return 3*e[0] - 3*e[1] + e[2], have
	}
	y, ok := (v/c.before-1)*100, c.any && have
	c.before, c.any = v, have
	return y, ok
}

func (c *cascade) short() (float64, bool) { return math.NaN(), true }
