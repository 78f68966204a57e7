package experimental

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// aggregates adds functions that do what those of the same name in the prelude
// do, always with the columns that are usual.
func aggregates(p *lib.Package) {
	for _, f := range [...][2]string{
		{"count", ""},
		{"sum", ""},
		{"mean", ""},
		{"spread", ""},
		{"skew", ""},
		{"mode", ""},
		{"stddev", ", ?mode: string"},
		{"quantile", ", q: float, ?compression: float, ?method: string"},
		{"integral", ", ?unit: duration, ?interpolate: string"},
		{"first", ""},
		{"last", ""},
		{"min", ""},
		{"max", ""},
		{"unique", ""},
		{"distinct", ""},
		{"window", ", ?every: duration, ?period: duration, ?offset: duration, ?location: record, ?createEmpty: bool"},
	} {
		name := f[0]
		p.Func(name, "<-tables: stream"+f[1], func(c *value.Call) (value.Value, error) { return prelude(c, name) })
	}
}

// prelude calls a function of the prelude with the arguments that a call has.
func prelude(c *value.Call, name string) (value.Value, error) {
	f, ok := flow.RunOf(c).Option("", name)
	if !ok || f.Kind() != value.Function {
		return value.Value{}, fmt.Errorf("BUG: the prelude has no function %s", name)
	}
	args := map[string]value.Value{}
	for i, p := range c.Func.Params {
		if !c.Args[i].IsAbsent() {
			args[p.Name] = c.Args[i]
		}
	}
	return c.InvokeNamed(f.Func(), args)
}
