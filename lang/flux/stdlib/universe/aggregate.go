package universe

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/aggregate"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/tdigest"
)

// aggregates adds what makes one row of a table.
func aggregates(p *lib.Package) {
	one := func(name string, op func(aggregate.One) flow.Op) {
		p.Func(name, "<-tables: stream, ?column: string", func(c *value.Call) (value.Value, error) {
			return flow.New(c, op(aggregate.One{Column: c.Str("column", "_value")}), flow.Input(c, "tables")), nil
		})
	}
	one("count", func(o aggregate.One) flow.Op { return &aggregate.Count{One: o} })
	one("sum", func(o aggregate.One) flow.Op { return &aggregate.Sum{One: o} })
	one("mean", func(o aggregate.One) flow.Op { return &aggregate.Mean{One: o} })
	one("spread", func(o aggregate.One) flow.Op { return &aggregate.Spread{One: o} })
	one("skew", func(o aggregate.One) flow.Op { return &aggregate.Skew{One: o} })
	p.Func("stddev", "<-tables: stream, ?column: string, ?mode: string", stddev)
	p.Func("quantile", "<-tables: stream, ?column: string, q: float, ?compression: float, ?method: string", quantile)
	p.Func("median", "<-tables: stream, ?column: string, ?compression: float, ?method: string", quantile)
	p.Func("mode", "<-tables: stream, ?column: string", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &aggregate.Mode{By: aggregate.By{Column: c.Str("column", "_value")}}, flow.Input(c, "tables")), nil
	})
	p.Func("covariance", "<-tables: stream, columns: [string], ?pearsonr: bool, ?valueDst: string", covariance)
	correlate := func(name, params string, pearson func(c *value.Call) bool) {
		p.Func(name, params, func(c *value.Call) (value.Value, error) {
			sides := value.OfRecord(value.NewRecord([]string{"x", "y"}, []value.Value{c.Arg("x"), c.Arg("y")}))
			joined, err := prelude(c, p, "join", map[string]value.Value{"tables": sides, "on": c.Arg("on")})
			if err != nil {
				return joined, err
			}
			op := &aggregate.Covariance{X: "_value_x", Y: "_value_y", Pearson: pearson(c), ValueDst: "_value"}
			return flow.New(c, op, flow.Of(joined)), nil
		})
	}
	correlate("cov", "x: stream, y: stream, on: [string], ?pearsonr: bool", func(c *value.Call) bool { return c.Bool("pearsonr", false) })
	correlate("pearsonr", "x: stream, y: stream, on: [string]", func(*value.Call) bool { return true })
	p.Func("integral", "<-tables: stream, ?unit: duration, ?column: string, ?timeColumn: string, ?interpolate: string", integral)
	p.Func("timeWeightedAvg", "<-tables: stream, unit: duration", func(c *value.Call) (value.Value, error) {
		op := &aggregate.Integral{
			One:  aggregate.One{Column: "_value"},
			Unit: c.Span("unit", value.Span{}), TimeColumn: "_time", Linear: true, Average: true,
		}
		return checked(c, op, op.Check())
	})
	p.Func("reduce", "<-tables: stream, fn: function, identity: record", func(c *value.Call) (value.Value, error) {
		op := &aggregate.Reduce{Fn: c.Arg("fn").Func(), Identity: c.Arg("identity").Record().Fixed()}
		return flow.New(c, op, flow.Input(c, "tables")), nil
	})
}

// checked returns the stream of an operator over the argument tables, unless
// its arguments are wrong.
func checked(c *value.Call, op flow.Op, err error) (value.Value, error) {
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	return flow.New(c, op, flow.Input(c, "tables")), nil
}

// prelude calls a function of the prelude.
func prelude(c *value.Call, p *lib.Package, name string, args map[string]value.Value) (value.Value, error) {
	f, ok := p.Values[name]
	if !ok {
		return value.Value{}, fmt.Errorf("BUG: the prelude has no function %s", name)
	}
	return c.InvokeNamed(f.Func(), args)
}

func stddev(c *value.Call) (value.Value, error) {
	op := &aggregate.Stddev{One: aggregate.One{Column: c.Str("column", "_value")}, Mode: c.Str("mode", aggregate.OfSample)}
	return checked(c, op, op.Check())
}

// maxCompression is more than quantiles can be told apart by: a sketch takes some
// tens of bytes for each.
const maxCompression = 1 << 16

// quantile is median too, which has no parameter q.
func quantile(c *value.Call) (value.Value, error) {
	q, median := 0.5, true
	if c.Func.Param("q") >= 0 {
		q, median = c.Float("q", 0.5), false
	}
	label, method := c.Str("column", "_value"), c.Str("method", aggregate.EstimateTDigest)
	if err := aggregate.CheckQuantile(q, method); err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	compression := c.Float("compression", 0)
	switch {
	case method != aggregate.EstimateTDigest && compression > 0:
		return value.Value{}, c.Errorf("compression parameter is only valid for method %s", aggregate.EstimateTDigest)
	case !(compression >= 0 && compression <= maxCompression):
		return value.Value{}, c.Errorf("compression must be between 0 and %d: it is %g", maxCompression, compression)
	case compression == 0:
		compression = tdigest.Compression
	}
	if method == aggregate.ExactSelector {
		return checked(c, &aggregate.QuantileRow{Column: label, Q: q, Median: median}, nil)
	}
	return checked(c, &aggregate.Quantile{
		One: aggregate.One{Column: label}, Q: q, Method: method, Compression: compression, Median: median,
	}, nil)
}

func integral(c *value.Call) (value.Value, error) {
	op := &aggregate.Integral{
		One: aggregate.One{Column: c.Str("column", "_value")}, Unit: c.Span("unit", value.Span{Nanos: 1e9}), TimeColumn: c.Str("timeColumn", "_time"),
	}
	switch how := c.Str("interpolate", ""); how {
	case "":
	case "linear":
		op.Linear = true
	default:
		return value.Value{}, c.Errorf("unknown interpolation method %q: use %q or %q", how, "linear", "")
	}
	return checked(c, op, op.Check())
}

func covariance(c *value.Call) (value.Value, error) {
	columns := c.Strings("columns")
	if len(columns) != 2 {
		return value.Value{}, c.Errorf("must provide exactly two columns")
	}
	return checked(c, &aggregate.Covariance{
		X: columns[0], Y: columns[1], Pearson: c.Bool("pearsonr", false), ValueDst: c.Str("valueDst", "_value"),
	}, nil)
}
