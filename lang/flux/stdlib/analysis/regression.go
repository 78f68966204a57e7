package analysis

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Regression fits the line of least squares to the values of each table, whose
// rows are taken to be equally apart: x is 1, 2, 3 and so on. It adds what the
// line says of each row, the square of what that is off, and the sums that led
// to it. Rows without a value are left out.
type Regression struct{}

// Name implements flow.Op.
func (Regression) Name() string { return "statsmodels.linearRegression" }

// Details implements flow.Op.
func (Regression) Details() string { return "" }

// Open implements flow.Op.
func (Regression) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		c, err := t.Need("_value", value.Float)
		if err != nil {
			return err
		}
		var there []int
		var y []float64
		for i := range t.Rows {
			if !c.Null(i) {
				there, y = append(there, i), append(y, c.Float(i))
			}
		}
		n, rows := float64(len(y)), len(y)
		x, hat, off := make([]float64, rows), make([]float64, rows), make([]float64, rows)
		var sx, sy, sxx, sxy float64
		for i, v := range y {
			x[i] = float64(i + 1)
			sx += x[i]
			sy += v
			sxx += x[i] * x[i]
			sxy += x[i] * v
		}
		slope := (sxy - sx/n*(sy/n)*n) / (sxx - n*(sx/n)*(sx/n))
		zero := sy/n - slope*(sx/n)
		for i := range y {
			hat[i] = slope*x[i] + zero
			off[i] = (y[i] - hat[i]) * (y[i] - hat[i])
		}
		out := t.Pick(there)
		out = out.Keep(func(label string) bool { return label != "_value" }).
			With(table.Floats("y", y)).With(table.Floats("x", x)).With(table.Floats("y_hat", hat)).With(table.Floats("errors", off))
		for _, s := range []struct {
			label string
			v     float64
		}{{"N", n}, {"slope", slope}, {"sx", sx}, {"sxx", sxx}, {"sxy", sxy}, {"sy", sy}} {
			out = out.With(table.Constant(s.label, value.OfFloat(s.v)))
		}
		return emit(out)
	}), nil
}
