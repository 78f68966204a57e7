// Package analysis is the packages of the standard library that draw
// conclusions from series: rates, interpolation, durations of events,
// regressions, anomalies, and the effectiveness of equipment.
package analysis

import (
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/series"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// rateSource is experimental/aggregate: the means over windows of the
// derivatives of counters, added up over the tables of a group.
const rateSource = `
import "array"

rate = (tables=<-, every, groupColumns=[], unit=1s) => {
    bounds = ["_start", "_stop"]

    return
        tables
            |> derivative(nonNegative: true, unit: unit)
            |> aggregateWindow(every: every, fn: mean)
            |> group(columns: array.concat(arr: array.concat(arr: groupColumns, v: bounds), v: ["_time"]))
            |> sum()
            |> group(columns: array.concat(arr: groupColumns, v: bounds))
}
`

// Packages returns the packages.
func Packages() []*lib.Package {
	tables := func(c *value.Call) *flow.Node { return flow.Input(c, "tables") }
	return []*lib.Package{
		lib.New("experimental/aggregate").Flux(rateSource),
		lib.New("interpolate").Func("linear", "<-tables: stream, every: duration", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &series.Interpolate{Every: c.Span("every", value.Span{})}, tables(c)), nil
		}),
		lib.New("contrib/tomhollingworth/events").Func("duration", "<-tables: stream, ?unit: duration, ?columnName: string, ?timeColumn: string, ?stopColumn: string, ?stop: time", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &series.EventDuration{
				Unit:       c.Span("unit", value.Span{Nanos: int64(time.Second)}),
				Column:     c.Str("columnName", "duration"),
				TimeColumn: c.Str("timeColumn", "_time"),
				StopColumn: c.Str("stopColumn", "_stop"),
				Stop:       c.Arg("stop"),
			}, tables(c)), nil
		}),
		lib.New("contrib/anaisdg/anomalydetection").Func("mad", "<-table: stream, ?threshold: float", func(c *value.Call) (value.Value, error) {
			byTime := flow.New(c, &transform.Group{Columns: []string{"_time"}}, flow.Input(c, "table"))
			return flow.New(c, &Deviation{Threshold: c.Float("threshold", 3)}, flow.Of(byTime)), nil
		}),
		lib.New("contrib/anaisdg/statsmodels").Func("linearRegression", "<-tables: stream", func(c *value.Call) (value.Value, error) {
			return flow.New(c, Regression{}, tables(c)), nil
		}),
		effectiveness(),
	}
}
