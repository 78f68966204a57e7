package universe

import (
	"sort"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/join"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// joins adds the older of the two joins; the other one is package join.
func joins(p *lib.Package) {
	p.Func("join", "<-tables: record, ?on: [string], ?method: string", func(c *value.Call) (value.Value, error) {
		if m := c.Str("method", "inner"); m != "inner" {
			return value.Value{}, c.Errorf("%s is not a valid join type: package join has left, right and full", m)
		}
		on := c.Strings("on")
		if len(on) == 0 {
			return value.Value{}, c.Errorf("at least one column in 'on' column list is required")
		}
		r := c.Arg("tables").Record()
		if r.Len() != 2 {
			return value.Value{}, c.Errorf("tables must have two streams, not %d", r.Len())
		}
		names := []string{r.Label(0), r.Label(1)}
		sort.Strings(names)
		in := make([]*flow.Node, 2)
		for i, name := range names {
			v, _ := r.Get(name)
			if v.Kind() != value.Stream {
				return value.Value{}, c.Errorf("expected %q to be a stream of tables, instead got %s", name, v.Describe())
			}
			in[i] = flow.Of(v)
		}
		return flow.New(c, &join.Columns{Names: [2]string(names), On: on}, in...), nil
	})
}
