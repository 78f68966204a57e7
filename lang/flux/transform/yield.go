package transform

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
)

// Yield makes a stream a result of the script. It passes everything on.
type Yield struct {
	As string
}

// Name implements flow.Op.
func (*Yield) Name() string { return "yield" }

// Details implements flow.Op.
func (y *Yield) Details() string { return fmt.Sprintf("name: %q", y.As) }

// Result implements flow.Named.
func (y *Yield) Result() string { return y.As }

// Open implements flow.Op.
func (*Yield) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) { return in[0], nil }

// Union puts streams together, one behind the other. Tables with equal keys
// become one.
type Union struct{}

// Name implements flow.Op.
func (*Union) Name() string { return "union" }

// Details implements flow.Op.
func (*Union) Details() string { return "" }

// Open implements flow.Op.
func (*Union) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return newRegroup(run, in, func(g *regroup, t *table.Table) error { return g.add(t) }), nil
}

// Tables is a stream of tables that are there already.
type Tables struct {
	List []*table.Table
}

// Name implements flow.Op.
func (*Tables) Name() string { return "tables" }

// Details implements flow.Op.
func (t *Tables) Details() string { return fmt.Sprintf("%d", len(t.List)) }

// Open implements flow.Op.
func (t *Tables) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	return table.NewList(t.List...), nil
}
