package pushdown

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/aggregate"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/plan"
)

// names asks indexes for the names that functions of package schema list:
//
//	keep(columns: [tag]) |> group() |> distinct(column: tag)
//	keys() |> keep(columns: ["_value"]) |> distinct()
//
// Names may belong to rows of the same partition outside of the range, and that a
// tag is missing somewhere is not listed as a null: as in InfluxDB.
func names(n *flow.Node) *flow.Node {
	d, ok := n.Op.(*aggregate.Distinct)
	if !ok || len(n.In) != 1 {
		return nil
	}
	at := n.In[0]
	grouped := false
	if g, ok := at.Op.(*transform.Group); ok && !g.Except && len(g.Columns) == 0 {
		at, grouped = at.In[0], true
	}
	s, ok := at.Op.(*transform.Select)
	if !ok || s.Drop || s.Fn != nil || len(s.Columns) != 1 || s.Columns[0] != d.Column {
		return nil
	}
	of := storage.Names{What: plan.TagValues, Tag: d.Column}
	switch d.Column {
	case storage.Time, storage.Start, storage.Stop:
		return nil
	case storage.Value:
		at = at.In[0]
		if l, ok := at.Op.(*transform.Labels); !ok || !l.Keys || l.Column != storage.Value {
			return nil
		}
		of, grouped = storage.Names{What: plan.TagKeys, Columns: true}, true
	case storage.Field:
		of = storage.Names{What: plan.Fields}
	case storage.Measurement:
		of = storage.Names{What: plan.Measurements}
	}
	p, ok := below(at)
	if !ok || !grouped || p.Aggregate != nil || p.Names != nil || p.Shown != nil || p.Rows != (storage.Rows{}) {
		return nil
	}
	q := *p
	q.Names, q.Otherwise = &of, nil
	if !q.Lists() {
		return nil
	}
	return &flow.Node{Op: &q, At: n.At}
}

// oneRow reads one row of each table where what follows looks at nothing but the
// group key: the keys themselves, or the different values of a tag.
func oneRow(n *flow.Node) *flow.Node {
	ok := len(n.In) == 1
	switch op := n.Op.(type) {
	case *transform.Labels:
	case *aggregate.Distinct:
		ok = ok && inKey(op.Column)
	case *aggregate.Unique:
		ok = ok && inKey(op.Column)
	default:
		return nil
	}
	if !ok {
		return nil
	}
	g, ok := grouping(n.In[0])
	if !ok || g.hidden {
		return nil
	}
	first := *g.plan
	first.Aggregate, first.Otherwise = &storage.Aggregate{Call: plan.Call{Func: plan.First}}, nil
	if !first.Certain() {
		first.Otherwise = fixed(&flow.Node{Op: g.plan})
	}
	return &flow.Node{Op: n.Op, In: []*flow.Node{over(n.In[0], &first)}, At: n.At}
}

// inKey reports whether the tables of a Plan have the column, if they have it, in
// their group key.
func inKey(column string) bool {
	return !slices.Contains([]string{storage.Value, storage.Time}, column)
}

// over returns the graph of a grouping over another Plan.
func over(n *flow.Node, p *storage.Plan) *flow.Node {
	if _, ok := n.Op.(*storage.Plan); ok {
		return &flow.Node{Op: p, At: n.At}
	}
	return &flow.Node{Op: n.Op, In: []*flow.Node{over(n.In[0], p)}, At: n.At}
}
