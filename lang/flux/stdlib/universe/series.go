package universe

import (
	"math"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/series"
	"github.com/varvedb/varve/lang/flux/value"
)

// second is the unit of times in most functions.
var second = value.Span{Nanos: int64(time.Second)}

// seriesFunctions adds the functions that look from one row to the next.
func seriesFunctions(p *lib.Package) {
	p.Func("difference", "<-tables: stream, ?nonNegative: bool, ?columns: [string], ?keepFirst: bool, ?initialZero: bool", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.Difference{
			Columns:     c.Strings("columns", "_value"),
			NonNegative: c.Bool("nonNegative", false),
			InitialZero: c.Bool("initialZero", false),
			KeepFirst:   c.Bool("keepFirst", false),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("derivative", "<-tables: stream, ?unit: duration, ?nonNegative: bool, ?columns: [string], ?timeColumn: string, ?initialZero: bool", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.Derivative{
			Unit:        c.Span("unit", second),
			Columns:     c.Strings("columns", "_value"),
			TimeColumn:  c.Str("timeColumn", "_time"),
			NonNegative: c.Bool("nonNegative", false),
			InitialZero: c.Bool("initialZero", false),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("increase", "<-tables: stream, ?columns: [string]", func(c *value.Call) (value.Value, error) {
		columns := c.Strings("columns", "_value")
		steps := flow.New(c, &series.Difference{Columns: columns, NonNegative: true, InitialZero: true, KeepFirst: true}, flow.Input(c, "tables"))
		return flow.New(c, &series.CumulativeSum{Columns: columns}, flow.Of(steps)), nil
	})
	p.Func("cumulativeSum", "<-tables: stream, ?columns: [string]", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.CumulativeSum{Columns: c.Strings("columns", "_value")}, flow.Input(c, "tables")), nil
	})
	p.Func("elapsed", "<-tables: stream, ?unit: duration, ?timeColumn: string, ?columnName: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.Elapsed{
			Unit:       c.Span("unit", second),
			TimeColumn: c.Str("timeColumn", "_time"),
			Column:     c.Str("columnName", "elapsed"),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("timeShift", "<-tables: stream, duration: duration, ?columns: [string]", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.TimeShift{
			Duration: c.Span("duration", value.Span{}),
			Columns:  c.Strings("columns", "_start", "_stop", "_time"),
		}, flow.Input(c, "tables")), nil
	})
	averages(p)
	states(p)
	histograms(p)
}

// averages adds moving averages, indicators made of them, and forecasts.
func averages(p *lib.Package) {
	p.Func("movingAverage", "<-tables: stream, n: int", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.MovingAverage{N: c.Int("n", 0)}, flow.Input(c, "tables")), nil
	})
	for name, made := range map[string]series.Combination{
		"exponentialMovingAverage": series.Single, "doubleEMA": series.Double,
		"tripleEMA": series.Triple, "tripleExponentialDerivative": series.TripleDerivative,
	} {
		p.Func(name, "<-tables: stream, n: int", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &series.Exponential{N: c.Int("n", 0), Made: made}, flow.Input(c, "tables")), nil
		})
	}
	for name, of := range map[string]series.Indicator{"chandeMomentumOscillator": series.Chande, "relativeStrengthIndex": series.Strength} {
		p.Func(name, "<-tables: stream, n: int, ?columns: [string]", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &series.Momentum{N: c.Int("n", 0), Columns: c.Strings("columns", "_value"), Of: of}, flow.Input(c, "tables")), nil
		})
	}
	p.Func("kaufmansER", "<-tables: stream, n: int", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.Momentum{N: c.Int("n", 0), Columns: []string{"_value"}, Of: series.Efficiency}, flow.Input(c, "tables")), nil
	})
	p.Func("kaufmansAMA", "<-tables: stream, n: int, ?column: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.Momentum{N: c.Int("n", 0), Columns: []string{c.Str("column", "_value")}, Of: series.Adaptive}, flow.Input(c, "tables")), nil
	})
	p.Func("holtWinters", "<-tables: stream, n: int, interval: duration, ?withFit: bool, ?column: string, ?timeColumn: string, ?seasonality: int, ?withMinSSE: bool", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.HoltWinters{
			N:           c.Int("n", 0),
			Interval:    c.Span("interval", value.Span{}),
			Seasonality: c.Int("seasonality", 0),
			Column:      c.Str("column", "_value"),
			TimeColumn:  c.Str("timeColumn", "_time"),
			WithFit:     c.Bool("withFit", false),
			WithMinSSE:  c.Bool("withMinSSE", false),
		}, flow.Input(c, "tables")), nil
	})
}

// states adds the functions of how long a state has lasted.
func states(p *lib.Package) {
	p.Func("stateTracking", "<-tables: stream, fn: function, ?countColumn: string, ?durationColumn: string, ?durationUnit: duration, ?timeColumn: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.StateTracking{
			Fn:             c.Arg("fn").Func(),
			CountColumn:    c.Str("countColumn", ""),
			DurationColumn: c.Str("durationColumn", ""),
			DurationUnit:   c.Span("durationUnit", second),
			TimeColumn:     c.Str("timeColumn", "_time"),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("stateCount", "<-tables: stream, fn: function, ?column: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.StateTracking{
			Fn:          c.Arg("fn").Func(),
			CountColumn: c.Str("column", "stateCount"),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("stateDuration", "<-tables: stream, fn: function, ?column: string, ?timeColumn: string, ?unit: duration", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.StateTracking{
			Fn:             c.Arg("fn").Func(),
			DurationColumn: c.Str("column", "stateDuration"),
			DurationUnit:   c.Span("unit", second),
			TimeColumn:     c.Str("timeColumn", "_time"),
		}, flow.Input(c, "tables")), nil
	})
}

// maxBins is how many bins are made at most.
const maxBins = 1 << 20

// histograms adds the functions of distributions.
func histograms(p *lib.Package) {
	p.Func("histogram", "<-tables: stream, bins: [float], ?column: string, ?upperBoundColumn: string, ?countColumn: string, ?normalize: bool", func(c *value.Call) (value.Value, error) {
		var bins []float64
		for _, b := range c.Arg("bins").Array() {
			bins = append(bins, b.Float())
		}
		return flow.New(c, &series.Histogram{
			Column:           c.Str("column", "_value"),
			UpperBoundColumn: c.Str("upperBoundColumn", "le"),
			CountColumn:      c.Str("countColumn", "_value"),
			Bins:             bins,
			Normalize:        c.Bool("normalize", false),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("histogramQuantile", "<-tables: stream, quantile: float, ?countColumn: string, ?upperBoundColumn: string, ?valueColumn: string, ?minValue: float, ?onNonmonotonic: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &series.HistogramQuantile{
			Quantile:         c.Float("quantile", 0),
			CountColumn:      c.Str("countColumn", "_value"),
			UpperBoundColumn: c.Str("upperBoundColumn", "le"),
			ValueColumn:      c.Str("valueColumn", "_value"),
			MinValue:         c.Float("minValue", 0),
			OnNonmonotonic:   c.Str("onNonmonotonic", "error"),
		}, flow.Input(c, "tables")), nil
	})
	p.Func("linearBins", "start: float, width: float, count: int, ?infinity: bool", func(c *value.Call) (value.Value, error) {
		width := c.Float("width", 0)
		return bins(c, func(b float64) float64 { return b + width })
	})
	p.Func("logarithmicBins", "start: float, factor: float, count: int, ?infinity: bool", func(c *value.Call) (value.Value, error) {
		factor := c.Float("factor", 0)
		return bins(c, func(b float64) float64 { return b * factor })
	})
}

// bins returns count bounds, each made of the one before it, and infinity.
func bins(c *value.Call, next func(float64) float64) (value.Value, error) {
	count := c.Int("count", 0)
	if count < 0 || count > maxBins {
		return value.Value{}, c.Errorf("count is %d: it must be between 0 and %d", count, maxBins)
	}
	list := make([]value.Value, 0, count+1)
	for b := c.Float("start", 0); int64(len(list)) < count; b = next(b) {
		list = append(list, value.OfFloat(b))
	}
	if c.Bool("infinity", true) {
		list = append(list, value.OfFloat(math.Inf(1)))
	}
	return value.OfArray(list), nil
}
