package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Deviation tells which values of each table are far from its median: how far
// each is, as a multiple of the median of these distances, and whether that is
// at least a threshold. Rows without a value are left out.
type Deviation struct{ Threshold float64 }

// normalScale makes a median absolute deviation comparable to the standard
// deviation of a normal distribution.
const normalScale = 1.4826

// Name implements flow.Op.
func (d *Deviation) Name() string { return "anomalydetection.mad" }

// Details implements flow.Op.
func (d *Deviation) Details() string { return fmt.Sprintf("threshold: %v", d.Threshold) }

// Open implements flow.Op.
func (d *Deviation) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		c, err := t.Need("_value", value.Float)
		if err != nil {
			return err
		}
		var there []int
		var values []float64
		for i := range t.Rows {
			if !c.Null(i) {
				there, values = append(there, i), append(values, c.Float(i))
			}
		}
		if len(there) == 0 {
			return nil
		}
		center := median(values)
		far := make([]float64, len(values))
		for i, v := range values {
			far[i] = math.Abs(v - center)
		}
		usual := median(far)
		level := table.NewColumn("level", value.String)
		times := make([]float64, len(far))
		for i, f := range far {
			times[i] = f / usual
			name := "normal"
			if times[i] >= d.Threshold {
				name = "anomaly"
			}
			level.Append(value.OfString(name))
		}
		return emit(t.Pick(there).With(table.Floats("_value", times)).With(table.Floats("_value_diff", far)).
			With(table.Constant("_value_diff_med", value.OfFloat(usual))).
			With(table.Constant("MAD", value.OfFloat(normalScale*usual))).With(level))
	}), nil
}

// median returns the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
