package testing

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// debug is internal/debug: what scripts that test the language need.
func debug() *lib.Package {
	p := lib.New("internal/debug").Option("vectorize", value.OfBool(false))
	p.Func("null", "?type: string", func(c *value.Call) (value.Value, error) {
		name := c.Str("type", "")
		if name == "" {
			return value.NullOf(value.Null), nil
		}
		for k := value.Bool; k <= value.Bytes; k++ {
			if k.String() == name {
				return value.NullOf(k), nil
			}
		}
		return value.Value{}, c.Errorf("there is no type %q of nulls: use bool, int, uint, float, string, time, duration, regexp or bytes", name)
	})
	p.Func("getOption", "pkg: string, name: string", func(c *value.Call) (value.Value, error) {
		v, ok := flow.RunOf(c).Option(c.Str("pkg", ""), c.Str("name", ""))
		if !ok {
			return value.Value{}, c.Errorf("package %q has no option %q", c.Str("pkg", ""), c.Str("name", ""))
		}
		return v, nil
	})
	for _, name := range []string{"pass", "opaque", "slurp", "sink"} {
		p.Func(name, "<-tables: stream", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &Through{name}, flow.Input(c, "tables")), nil
		})
	}
	return p
}

// testutil is internal/testutil.
func testutil() *lib.Package {
	same := func(c *value.Call) (value.Value, error) { return c.Args[0], nil }
	return lib.New("internal/testutil").
		Func("fail", "", func(c *value.Call) (value.Value, error) { return value.Value{}, c.Errorf("it was called") }).
		Func("makeRecord", "o: any", same).
		Func("makeAny", "v: any", same).
		Func("yield", "<-v: any", same)
}

// Through passes a stream on, at once or (slurp) when all of it was read; a sink
// passes nothing on. Planners do not look through it.
type Through struct{ How string }

// Name implements flow.Op.
func (o *Through) Name() string { return "debug." + o.How }

// Details implements flow.Op.
func (*Through) Details() string { return "" }

// Open implements flow.Op.
func (o *Through) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	switch o.How {
	case "sink":
		return flow.EachPiece(in[0], func(*table.Table) (*table.Table, error) { return nil, nil }), nil
	case "slurp":
		return flow.AtOnce(run, in, func(account *flow.Account, emit func(*table.Table) error) error {
			for {
				t, err := in[0].Next()
				if t == nil || err != nil {
					return err
				}
				if err := account.Keep(t); err != nil {
					return err
				}
				if err := emit(t); err != nil {
					return err
				}
			}
		}), nil
	}
	return in[0], nil
}
