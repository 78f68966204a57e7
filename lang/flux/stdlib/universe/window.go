package universe

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/aggregate"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// windows adds what cuts time into windows, and what goes by the clock.
func windows(p *lib.Package) {
	p.Func("window", "<-tables: stream, ?every: duration, ?period: duration, ?offset: duration, ?location: record, "+
		"?timeColumn: string, ?startColumn: string, ?stopColumn: string, ?createEmpty: bool", window)
	p.Func("aggregateWindow", "<-tables: stream, every: duration, ?period: duration, fn: function, ?offset: duration, "+
		"?location: record, ?column: string, ?timeSrc: string, ?timeDst: string, ?createEmpty: bool", aggregateWindow)
	p.Func("timedMovingAverage", "<-tables: stream, every: duration, period: duration, ?column: string", timedMovingAverage)
	p.Func("hourSelection", "<-tables: stream, start: int, stop: int, ?location: record, ?timeColumn: string", hourSelection)
	p.Func("truncateTimeColumn", "<-tables: stream, unit: duration, ?timeColumn: string", truncateTimeColumn)
}

// windowOf returns the window that the arguments of a call mean, over the stream
// that is its argument tables.
func windowOf(c *value.Call) (*transform.Window, error) {
	w := &transform.Window{
		Every: c.Span("every", value.Span{}), Period: c.Span("period", value.Span{}),
		TimeColumn: "_time", StartColumn: "_start", StopColumn: "_stop",
	}
	if w.Every.IsZero() {
		w.Every = w.Period
	}
	if w.Period.IsZero() {
		w.Period = w.Every
	}
	if w.Every.IsZero() {
		return nil, fmt.Errorf(`window function requires at least one of "every" or "period" to be set and non-zero`)
	}
	zone, offset, err := locationOf(c)
	if err != nil {
		return nil, err
	}
	w.Zone = zone
	w.Offset = offset.Negate()
	if c.Func.Param("offset") >= 0 {
		w.Offset = w.Offset.Plus(c.Span("offset", value.Span{}))
	}
	if c.Func.Param("createEmpty") >= 0 {
		// aggregateWindow has every window unless it is told otherwise.
		w.CreateEmpty = c.Bool("createEmpty", c.Func.Param("fn") >= 0)
	}
	w.Bounds, w.Bounded = flow.BoundsOf(flow.Input(c, "tables"))
	_, err = w.Grid()
	return w, err
}

// locationOf returns the zone, empty for UTC, and the offset of the argument
// location of a call or, if there is none, of the option.
func locationOf(c *value.Call) (zone string, offset value.Span, err error) {
	v, ok := flow.RunOf(c).Option("", "location")
	if c.Func.Param("location") >= 0 && c.Has("location") {
		v, ok = c.Arg("location"), true
	}
	if !ok {
		return "", offset, nil
	}
	if v.Kind() != value.Record || v.IsNull() {
		return "", offset, fmt.Errorf("a location is a record of zone and offset, not %s", v.Describe())
	}
	if o, ok := v.Record().Get("offset"); ok && o.Kind() == value.Duration {
		offset = o.Duration()
	}
	if z, ok := v.Record().Get("zone"); ok && z.Kind() == value.String {
		zone = z.Str()
	}
	if _, err := time.LoadLocation(zone); err != nil {
		return "", offset, fmt.Errorf("unknown time zone %q", zone)
	}
	if zone == "UTC" {
		zone = ""
	}
	return zone, offset, nil
}

func window(c *value.Call) (value.Value, error) {
	w, err := windowOf(c)
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	w.TimeColumn = c.Str("timeColumn", w.TimeColumn)
	w.StartColumn, w.StopColumn = c.Str("startColumn", w.StartColumn), c.Str("stopColumn", w.StopColumn)
	return flow.New(c, w, flow.Input(c, "tables")), nil
}

// aggregateWindow makes one operator of the windows and the function, if there
// is one that does both, or a graph.
func aggregateWindow(c *value.Call) (value.Value, error) {
	w, err := windowOf(c)
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	in := flow.Input(c, "tables")
	windowed := &flow.Node{Op: w, In: []*flow.Node{in}, At: c.At}
	fn := c.Arg("fn").Func()
	tables := "tables"
	for _, p := range fn.Params {
		if p.Pipe {
			tables = p.Name
		}
	}
	v, err := c.InvokeNamed(fn, map[string]value.Value{
		tables: value.OfStream(windowed), "column": value.OfString(c.Str("column", "_value")),
	})
	switch {
	case err != nil:
		return v, fmt.Errorf("fn of aggregateWindow: %w", err)
	case v.Kind() != value.Stream || v.IsNull():
		return v, c.Errorf("fn must return a stream of tables, not %s", v.Describe())
	}
	timeSrc, timeDst := c.Str("timeSrc", "_stop"), c.Str("timeDst", "_time")
	made := flow.Of(v)
	if len(made.In) == 1 && made.In[0] == windowed && aggregate.Fuses(made.Op, w, timeSrc, timeDst) {
		return flow.New(c, &aggregate.AggregateWindow{Window: w, Fn: made.Op, TimeSrc: timeSrc, TimeDst: timeDst}, in), nil
	}
	if w.CreateEmpty {
		v = flow.New(c, &transform.FillTables{}, flow.Of(v))
	}
	v = flow.New(c, &transform.Duplicate{Column: timeSrc, As: timeDst}, flow.Of(v))
	return flow.New(c, everything(w, timeDst), flow.Of(v)), nil
}

// everything returns the one window of all that windows w came from.
func everything(w *transform.Window, timeColumn string) *transform.Window {
	inf := value.Span{Nanos: transform.Endless}
	return &transform.Window{
		Every: inf, Period: inf, TimeColumn: timeColumn, StartColumn: w.StartColumn, StopColumn: w.StopColumn,
		Bounds: w.Bounds, Bounded: w.Bounded,
	}
}

func timedMovingAverage(c *value.Call) (value.Value, error) {
	w, err := windowOf(c)
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	mean := &aggregate.Mean{One: aggregate.One{Column: c.Str("column", "_value")}}
	op := &aggregate.AggregateWindow{Window: w, Fn: mean, TimeSrc: w.StopColumn, TimeDst: "_time"}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}

func hourSelection(c *value.Call) (value.Value, error) {
	zone, offset, err := locationOf(c)
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	op := &transform.HourSelection{
		First: c.Int("start", 0), Last: c.Int("stop", 0), TimeColumn: c.Str("timeColumn", "_time"), Zone: zone, Offset: offset,
	}
	return checked(c, op, op.Check())
}

func truncateTimeColumn(c *value.Call) (value.Value, error) {
	zone, offset, err := locationOf(c)
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	op := &transform.TruncateTime{
		Unit: c.Span("unit", value.Span{}), TimeColumn: c.Str("timeColumn", "_time"), Zone: zone, Offset: offset.Negate(),
	}
	return checked(c, op, op.Check())
}
