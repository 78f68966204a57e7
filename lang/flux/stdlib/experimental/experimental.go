// Package experimental is experimental of the standard library, a file for each
// family of functions.
package experimental

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the packages.
func Packages() []*lib.Package {
	p := lib.New("experimental")
	durations(p)
	compare(p)
	shape(p)
	seriesFunctions(p)
	aggregates(p)
	return []*lib.Package{p, tables()}
}

// durations adds functions that add durations to times.
func durations(p *lib.Package) {
	p.Func("addDuration", "d: duration, to: time|duration, ?location: record", func(c *value.Call) (value.Value, error) {
		return flow.ArgTimePlus(c, "to", c.Span("d", value.Span{}))
	})
	p.Func("subDuration", "d: duration, from: time|duration, ?location: record", func(c *value.Call) (value.Value, error) {
		return flow.ArgTimePlus(c, "from", c.Span("d", value.Span{}).Negate())
	})
	p.Func("alignTime", "<-tables: stream, ?alignTo: time", func(c *value.Call) (value.Value, error) {
		op := &transform.AlignTime{}
		if c.Has("alignTo") {
			op.To = c.Arg("alignTo").Time()
		}
		return flow.New(c, op, flow.Input(c, "tables")), nil
	})
}
