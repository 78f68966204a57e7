package experimental

import (
	"math"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/series"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/value"
)

// seriesFunctions adds variants of functions of series that work on column
// _value, and to, which writes rows with fields as columns.
func seriesFunctions(p *lib.Package) {
	p.Func("kaufmansAMA", "<-tables: stream, n: int", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.Momentum{N: c.Int("n", 0), Columns: []string{"_value"}, Of: series.Adaptive}, flow.Input(c, "tables")), nil
	})
	p.Func("histogram", "<-tables: stream, bins: [float], ?normalize: bool", func(c *value.Call) (value.Value, error) {
		var bins []float64
		for _, b := range c.Arg("bins").Array() {
			bins = append(bins, b.Float())
		}
		return flow.New(c, &series.Histogram{Column: "_value", UpperBoundColumn: "le", CountColumn: "_value", Bins: bins, Normalize: c.Bool("normalize", false)}, flow.Input(c, "tables")), nil
	})
	p.Func("histogramQuantile", "<-tables: stream, ?quantile: float, ?minValue: float, ?onNonmonotonic: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.HistogramQuantile{
			Quantile:         c.Float("quantile", math.NaN()),
			CountColumn:      "_value",
			UpperBoundColumn: "le",
			ValueColumn:      "_value",
			MinValue:         c.Float("minValue", 0),
			OnNonmonotonic:   c.Str("onNonmonotonic", "error"),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("to", storage.WideToParams, storage.CallWideTo)
}
