// Package promql is what translations of other query languages call, and what
// computes with data of Prometheus: internal/promql, internal/influxql and
// experimental/prometheus of the standard library.
package promql

import (
	_ "embed"
	"math"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/series"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

//go:embed prometheus.flux
var prometheusSource string

// Packages returns the packages.
func Packages() []*lib.Package {
	p := lib.New("internal/promql")
	samples(p)
	clocks(p)
	p.Func("timestamp", "<-tables: stream", func(c *value.Call) (value.Value, error) {
		return flow.New(c, Timestamp{}, flow.Input(c, "tables")), nil
	})
	p.Func("labelReplace", "<-tables: stream, source: string, destination: string, regex: string, replacement: string", labelReplace)
	p.Func("promHistogramQuantile", "<-tables: stream, ?quantile: float, ?countColumn: string, ?upperBoundColumn: string, ?valueColumn: string", histogramQuantile)
	p.Func("emptyTable", "", func(c *value.Call) (value.Value, error) { return flow.New(c, Empty{}), nil })
	p.Flux("import \"experimental\"\n\njoin = (left, right, fn) => experimental.join(left: left, right: right, fn: fn)")
	ql := lib.New("internal/influxql").
		Value("epoch", value.OfTime(0)).
		Value("minTime", value.OfTime(math.MinInt64+2)).
		Value("maxTime", value.OfTime(math.MaxInt64-1))
	prometheus := lib.New("experimental/prometheus")
	prometheus.Func("scrape", "url: string", func(c *value.Call) (value.Value, error) {
		return value.Value{}, c.Errorf("addresses are not read by scripts: let Telegraf scrape %q and write it to a bucket", c.Str("url", ""))
	})
	return []*lib.Package{p, ql, prometheus.Flux(prometheusSource)}
}

// samples adds the functions that make one value of the samples of a table.
func samples(p *lib.Package) {
	add := func(name, params string, of func(c *value.Call) Reduce) {
		p.Func(name, params, func(c *value.Call) (value.Value, error) {
			r := of(c)
			r.Function = name
			return flow.New(c, &r, flow.Input(c, "tables")), nil
		})
	}
	add("changes", "<-tables: stream", func(*value.Call) Reduce { return Reduce{of: changes} })
	add("resets", "<-tables: stream", func(*value.Call) Reduce { return Reduce{of: resets} })
	add("extrapolatedRate", "<-tables: stream, ?isCounter: bool, ?isRate: bool", func(c *value.Call) Reduce {
		counter, rate := c.Bool("isCounter", false), c.Bool("isRate", false)
		return Reduce{Range: true, of: func(s *sampled) (float64, bool) { return s.extrapolated(counter, rate) }}
	})
	add("instantRate", "<-tables: stream, ?isRate: bool", func(c *value.Call) Reduce {
		rate := c.Bool("isRate", false)
		return Reduce{of: func(s *sampled) (float64, bool) { return s.instant(rate) }}
	})
	add("linearRegression", "<-tables: stream, ?predict: bool, ?fromNow: float", func(c *value.Call) Reduce {
		predict, ahead := c.Bool("predict", false), c.Float("fromNow", 0)
		return Reduce{Range: predict, of: func(s *sampled) (float64, bool) { return s.regression(predict, ahead) }}
	})
	add("holtWinters", "<-tables: stream, ?smoothingFactor: float, ?trendFactor: float", func(c *value.Call) Reduce {
		smoothing, trend := c.Float("smoothingFactor", 0), c.Float("trendFactor", 0)
		return Reduce{of: func(s *sampled) (float64, bool) { return s.smoothed(smoothing, trend) }}
	})
	add("quantile", "<-tables: stream, q: float", func(c *value.Call) Reduce {
		q := c.Float("q", 0)
		return Reduce{of: func(s *sampled) (float64, bool) { return s.quantile(q) }}
	})
}

// clocks adds the functions that read a clock off seconds since 1970.
func clocks(p *lib.Package) {
	for name, read := range map[string]func(t time.Time) int{
		"promqlDayOfMonth":  time.Time.Day,
		"promqlDayOfWeek":   func(t time.Time) int { return int(t.Weekday()) },
		"promqlDaysInMonth": func(t time.Time) int { return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() },
		"promqlHour":        time.Time.Hour,
		"promqlMinute":      time.Time.Minute,
		"promqlMonth":       func(t time.Time) int { return int(t.Month()) },
		"promqlYear":        time.Time.Year,
	} {
		p.Func(name, "timestamp: float", func(c *value.Call) (value.Value, error) {
			if !c.Has("timestamp") {
				return value.NullOf(value.Float), nil
			}
			return value.OfFloat(float64(read(time.Unix(int64(c.Float("timestamp", 0)), 0).UTC()))), nil
		})
	}
}

// histogramQuantile is histogram_quantile of PromQL: counts that fall are
// rounding errors of rates, and are raised.
func histogramQuantile(c *value.Call) (value.Value, error) {
	h := &series.HistogramQuantile{
		Quantile:         c.Float("quantile", 0),
		CountColumn:      c.Str("countColumn", "_value"),
		UpperBoundColumn: c.Str("upperBoundColumn", "le"),
		ValueColumn:      c.Str("valueColumn", "_value"),
		OnNonmonotonic:   "force",
	}
	return flow.New(c, h, flow.Input(c, "tables")), nil
}

// Timestamp puts the time of each row, in seconds since 1970, in the place of
// its value.
type Timestamp struct{}

// Name implements flow.Op.
func (Timestamp) Name() string { return "promql.timestamp" }

// Details implements flow.Op.
func (Timestamp) Details() string { return "" }

// Open implements flow.Op.
func (Timestamp) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		at, err := t.Need("_time", value.Time)
		if err != nil {
			return nil, err
		}
		c := table.NewColumn("_value", value.Float)
		for i := range t.Rows {
			if at.Null(i) {
				c.Vec.AppendNulls(1)
			} else {
				c.Vec.AppendFloat(float64(at.Int(i)) / 1e9)
			}
		}
		return t.With(c), nil
	}), nil
}

// Empty is a table without rows that has the columns of a sample.
type Empty struct{}

// Name implements flow.Op.
func (Empty) Name() string { return "promql.emptyTable" }

// Details implements flow.Op.
func (Empty) Details() string { return "" }

// Open implements flow.Op.
func (Empty) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	t := &table.Table{Key: table.NewKey(nil, nil)}
	for _, label := range []string{"_start", "_stop", "_time"} {
		t.Cols = append(t.Cols, table.NewColumn(label, value.Time))
	}
	t.Cols = append(t.Cols, table.NewColumn("_value", value.Float))
	return table.NewList(t), nil
}
