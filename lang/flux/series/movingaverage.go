package series

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// MovingAverage is the mean of the last N values, of which nulls do not count.
// The first rows, before N of them were seen, are left out; a table of fewer
// rows becomes its last row with the mean of them all.
type MovingAverage struct{ N int64 }

// Name implements flow.Op.
func (m *MovingAverage) Name() string { return "movingAverage" }

// Details implements flow.Op.
func (m *MovingAverage) Details() string { return fmt.Sprintf("n: %d", m.N) }

// Open implements flow.Op.
func (m *MovingAverage) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	if err := checkPeriod(m.N); err != nil {
		return nil, err
	}
	return walk(in[0], func() walker {
		return &averaging{over: &mean{window: ring{n: m.N}}, before: m.N - 1}
	}), nil
}

// maxPeriod is how many rows an average may go back: a ring of so many values
// takes no more than some tens of megabytes.
const maxPeriod = 1 << 20

func checkPeriod(n int64) error {
	if n <= 0 || n > maxPeriod {
		return fmt.Errorf("n is %d: it must be between 1 and %d", n, maxPeriod)
	}
	return nil
}

// average computes a value of each row of a table and those before it.
type average interface {
	// next takes the value of the next row (have: it is not null), and returns
	// that of the average, if there is one.
	next(v float64, have bool) (float64, bool)
	// short returns the value for a table that ended too early, of which it
	// has seen all rows.
	short() (float64, bool)
}

// averaging is the walk of the averages of column _value.
type averaging struct {
	over   average
	before int64 // rows that are left out
	rows   int64
	last   *table.Table // the last row, while there was no row to return
}

func (a *averaging) piece(t *table.Table) (*table.Table, error) {
	c, err := oneNumber(t, valueLabel)
	if err != nil {
		return nil, err
	}
	in := floats(&c)
	out := make([]float64, len(in))
	var none gaps
	for i, v := range in {
		y, ok := a.over.next(v, c.Vec.Valid.Get(i))
		if !ok {
			none.add(i, len(in))
			continue
		}
		out[i] = y
	}
	left := min(max(a.before-a.rows, 0), int64(t.Rows))
	a.rows += int64(t.Rows)
	a.last = nil
	if a.rows <= a.before && t.Rows > 0 {
		a.last = t.Slice(t.Rows-1, t.Rows)
	}
	return t.With(made(valueLabel, value.Float, out, &none)).Slice(int(left), t.Rows), nil
}

func (a *averaging) end() (*table.Table, error) {
	if a.last == nil {
		return nil, nil
	}
	y, ok := a.over.short()
	var none gaps
	if !ok {
		none.add(0, 1)
	}
	return a.last.With(made(valueLabel, value.Float, []float64{y}, &none)), nil
}

// mean is the average of a window.
type mean struct{ window ring }

func (m *mean) next(v float64, have bool) (float64, bool) {
	m.window.push(v, have)
	return m.short()
}

func (m *mean) short() (float64, bool) {
	if m.window.count == 0 {
		return 0, false
	}
	return m.window.sum / float64(m.window.count), true
}

// ring is the last n values of a column and their sum. It grows to its size as
// values come.
type ring struct {
	n      int64
	values []float64
	have   []bool // whether there is a value
	at     int    // the oldest, once there are n
	sum    float64
	count  int // values that are there
	zeros  int // of them, those that are zero
}

// push puts a value in place of the oldest.
func (r *ring) push(v float64, have bool) {
	if int64(len(r.values)) < r.n {
		r.values, r.have = append(r.values, 0), append(r.have, false)
		r.at = len(r.values) - 1
	}
	old := r.values[r.at]
	if r.have[r.at] {
		r.count--
		r.sum -= old
		if old == 0 {
			r.zeros--
		}
	}
	r.values[r.at], r.have[r.at] = v, have
	if have {
		r.count++
		r.sum += v
		if v == 0 {
			r.zeros++
		}
	}
	r.at++
	if int64(r.at) == r.n {
		r.at = 0
	}
	// What was subtracted leaves its rounding behind, and infinities cannot be
	// taken back: now and then, and after those, the sum is made anew.
	if r.at == 0 || math.IsNaN(r.sum) || math.IsInf(r.sum, 0) {
		r.total()
	}
	if r.zeros == r.count {
		r.sum = 0
	}
}

func (r *ring) total() {
	r.sum = 0
	for i, v := range r.values {
		if r.have[i] {
			r.sum += v
		}
	}
}
