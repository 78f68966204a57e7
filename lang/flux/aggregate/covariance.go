package aggregate

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Covariance is the covariance of two columns of numbers, of the rows in which
// neither is null, or their coefficient of correlation by Pearson.
type Covariance struct {
	X, Y     string
	Pearson  bool
	ValueDst string
}

// Name implements flow.Op.
func (*Covariance) Name() string { return "covariance" }

// Details implements flow.Op.
func (c *Covariance) Details() string {
	text := fmt.Sprintf("columns: [%q, %q]", c.X, c.Y)
	if c.Pearson {
		text = with(text, "pearsonr", "%v", true)
	}
	if c.ValueDst != valueLabel {
		text = with(text, "valueDst", "%q", c.ValueDst)
	}
	return text
}

// Open implements flow.Op.
func (c *Covariance) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, c)
}

func (c *Covariance) reads() []string { return []string{c.X, c.Y} }
func (c *Covariance) writes() string  { return c.ValueDst }
func (*Covariance) missing(label string) error {
	return fmt.Errorf("specified column does not exist in table: %s", label)
}

func (*Covariance) result(kinds []value.Kind) (value.Kind, error) {
	for _, k := range kinds {
		if !k.Numeric() {
			return value.Float, fmt.Errorf("covariance does not support values of type %s", k)
		}
	}
	if kinds[0] != kinds[1] {
		return value.Float, fmt.Errorf("cannot compute the covariance between different types: %s and %s", kinds[0], kinds[1])
	}
	return value.Float, nil
}

func (c *Covariance) begin([]value.Kind) accumulator { return &comoments{pearson: c.Pearson} }

// comoments has the means and the central moments of pairs in one pass.
type comoments struct {
	pearson      bool
	n            float64
	meanX, meanY float64
	xx, yy, xy   float64
}

func (m *comoments) add(cols []*table.Column, from, to int) {
	x, y := cols[0], cols[1]
	for i := from; i < to; i++ {
		if x.Null(i) || y.Null(i) {
			continue
		}
		a, b := x.Number(i), y.Number(i)
		m.n++
		dx, dy := a-m.meanX, b-m.meanY
		m.meanX += dx / m.n
		m.meanY += dy / m.n
		m.xx += dx * (a - m.meanX)
		m.yy += dy * (b - m.meanY)
		m.xy += dx * (b - m.meanY)
	}
}

func (m *comoments) size() int64 { return 64 }

func (m *comoments) value() value.Value {
	switch {
	case m.n == 0:
		return value.Value{}
	case m.pearson:
		return value.OfFloat(m.xy / math.Sqrt(m.xx*m.yy))
	}
	return value.OfFloat(m.xy / (m.n - 1))
}
