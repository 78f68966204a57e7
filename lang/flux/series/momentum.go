package series

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Momentum is an indicator of how values rose and fell over the last N rows. The
// first N rows of a table are left out.
type Momentum struct {
	N       int64
	Columns []string
	Of      Indicator
}

// Indicator is a formula over rises and falls.
type Indicator uint8

// The indicators. With the sums u of the rises and d of the falls, both above
// zero, over the last N rows:
const (
	// Chande is the oscillator of Chande: 100 (u - d) / (u + d).
	Chande Indicator = iota
	// Efficiency is the ratio of Kaufman: |u - d| / (u + d).
	Efficiency
	// Strength is the relative strength index of Wilder: 100 - 100 / (1 + u/d),
	// of averages that are the means of the first N rows, the first of which
	// rises or falls from zero, and (previous (N-1) + this) / N from then on.
	Strength
	// Adaptive is the moving average of Kaufman: it starts from the value
	// before and moves by (e (2/3 - 2/31) + 2/31)² of the distance, where e is
	// the Efficiency.
	Adaptive
)

// Name implements flow.Op.
func (m *Momentum) Name() string {
	return [...]string{"chandeMomentumOscillator", "kaufmansER", "relativeStrengthIndex", "kaufmansAMA"}[m.Of]
}

// Details implements flow.Op.
func (m *Momentum) Details() string {
	return fmt.Sprintf("n: %d, columns: %s", m.N, quoted(m.Columns))
}

// Open implements flow.Op.
func (m *Momentum) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	if err := checkPeriod(m.N); err != nil {
		return nil, err
	}
	return walk(in[0], func() walker { return &moving{of: m, by: map[string]indicator{}} }), nil
}

// indicator computes one column. next takes the next value that is not null,
// keep stands for a row with a null. now returns the indicator.
type indicator interface {
	next(v float64)
	keep()
	now() float64
}

func (m *Momentum) indicator() indicator {
	switch m.Of {
	case Strength:
		return &strength{n: m.N}
	case Adaptive:
		return &adaptive{swing: newSwing(m.N)}
	}
	return &oscillator{swing: newSwing(m.N), ratio: m.Of == Efficiency}
}

type moving struct {
	of   *Momentum
	by   map[string]indicator
	rows int64
}

func (m *moving) piece(t *table.Table) (*table.Table, error) {
	cols, err := numbers(t, m.of.Columns)
	if err != nil {
		return nil, err
	}
	out := t
	for i := range cols {
		c := &cols[i]
		by := m.by[c.Label]
		if by == nil {
			by = m.of.indicator()
			m.by[c.Label] = by
		}
		values := make([]float64, t.Rows)
		for j, v := range floats(c) {
			if c.Vec.Valid.Get(j) {
				by.next(v)
			} else {
				by.keep()
			}
			values[j] = by.now()
		}
		out = out.With(made(c.Label, value.Float, values, &gaps{}))
	}
	left := min(max(m.of.N-m.rows, 0), int64(t.Rows))
	m.rows += int64(t.Rows)
	return out.Slice(int(left), t.Rows), nil
}

func (m *moving) end() (*table.Table, error) { return nil, nil }

// swing is the sums of rises and falls over the last rows.
type swing struct {
	any      bool
	last     float64
	up, down ring
}

func newSwing(n int64) swing { return swing{up: ring{n: n}, down: ring{n: n}} }

func (s *swing) next(v float64) {
	if s.any {
		d := v - s.last
		s.up.push(max(d, 0), true)
		s.down.push(max(-d, 0), true)
	}
	s.any, s.last = true, v
}

// keep says that the value stayed.
func (s *swing) keep() {
	if s.any {
		s.next(s.last)
	}
}

// trend returns (u - d) / (u + d), zero if nothing moved.
func (s *swing) trend() float64 {
	all := s.up.sum + s.down.sum
	if all == 0 {
		return 0
	}
	return (s.up.sum - s.down.sum) / all
}

type oscillator struct {
	swing
	ratio bool
}

func (o *oscillator) now() float64 {
	if o.ratio {
		return math.Abs(100*o.trend()) / 100
	}
	return 100 * o.trend()
}

type strength struct {
	n        int64
	rows     int64
	last     float64
	up, down float64 // averages
}

func (s *strength) next(v float64) {
	d, n := v-s.last, float64(s.n)
	s.last = v
	s.rows++
	if s.rows <= s.n {
		s.up += max(d, 0) / n
		s.down += max(-d, 0) / n
		return
	}
	s.up = (s.up*(n-1) + max(d, 0)) / n
	s.down = (s.down*(n-1) + max(-d, 0)) / n
}

func (s *strength) keep() {}

func (s *strength) now() float64 { return 100 - 100/(1+s.up/s.down) }

type adaptive struct {
	swing
	moves int64
	y     float64
}

func (a *adaptive) next(v float64) {
	a.swing.next(v)
	a.step()
}

func (a *adaptive) keep() {
	a.swing.keep()
	a.step()
}

func (a *adaptive) step() {
	if a.moves < a.up.n {
		a.moves++
		a.y = a.last
		return
	}
	const fast, slow = 2.0 / (2 + 1), 2.0 / (30 + 1)
	c := math.Abs(a.trend())*(fast-slow) + slow
	a.y += c * c * (a.last - a.y)
}

func (a *adaptive) now() float64 { return a.y }
