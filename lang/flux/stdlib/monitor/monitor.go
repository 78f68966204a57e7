// Package monitor is the packages of the standard library that watch series:
// influxdata/influxdb/monitor, influxdata/influxdb/tasks, and what brings
// TICKscripts over, contrib/bonitoo-io/tickscript.
package monitor

import (
	_ "embed"
	"fmt"
	"math"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

//go:embed monitor.flux
var monitorSource string

//go:embed tickscript.flux
var tickscriptSource string

// never is the time of a success that there was not: the first there is.
const never = math.MinInt64

// Packages returns the packages.
func Packages() []*lib.Package {
	m := lib.New("influxdata/influxdb/monitor")
	m.Func("stateChanges", "<-tables: stream, ?fromLevel: string, ?toLevel: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &StateChanges{From: c.Str("fromLevel", anyLevel), To: c.Str("toLevel", anyLevel)}, flow.Input(c, "tables")), nil
	})
	m.Func("stateChangesOnly", "<-tables: stream", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &StateChanges{From: anyLevel, To: anyLevel}, flow.Input(c, "tables")), nil
	})
	t := lib.New("influxdata/influxdb/tasks")
	t.Option("lastSuccessTime", value.OfTime(never))
	t.Func("lastSuccessWithTime", "orTime: time|duration, lastSuccessTime: time", func(c *value.Call) (value.Value, error) {
		return lastSuccess(c, c.Arg("lastSuccessTime"))
	})
	t.Func("lastSuccess", "orTime: time|duration", func(c *value.Call) (value.Value, error) {
		v, _ := flow.RunOf(c).Option("influxdata/influxdb/tasks", "lastSuccessTime")
		if v.Kind() != value.Time {
			return value.Value{}, c.Errorf("option lastSuccessTime must be a time, not %s", v.Describe())
		}
		return lastSuccess(c, v)
	})
	k := lib.New("contrib/bonitoo-io/tickscript")
	k.Func("_count", "<-tables: stream, measurement: string, threshold: int|float, now: time", func(c *value.Call) (value.Value, error) {
		threshold := c.Arg("threshold")
		most := float64(threshold.Int())
		if threshold.Kind() == value.Float {
			most = threshold.Float()
		}
		return flow.New(c, &Silence{Measurement: c.Str("measurement", ""), Threshold: most, Now: c.Arg("now").Time()}, flow.Input(c, "tables")), nil
	})
	return []*lib.Package{m.Flux(monitorSource), t, k.Flux(tickscriptSource)}
}

// lastSuccess returns when a task last succeeded, or orTime if it never did.
func lastSuccess(c *value.Call, success value.Value) (value.Value, error) {
	if success.Time() != never {
		return success, nil
	}
	t, err := flow.ArgTime(c, "orTime")
	if err != nil {
		return value.Value{}, fmt.Errorf("orTime: %w", err)
	}
	return value.OfTime(t.UnixNano()), nil
}

// shortly renders a time for explained plans.
func shortly(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
