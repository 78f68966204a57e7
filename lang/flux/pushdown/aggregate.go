package pushdown

import (
	"github.com/varvedb/varve/lang/flux/aggregate"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/tdigest"
)

// condensed computes an aggregate or a selector at the source, for each table or
// for tables that were put together before.
func condensed(n *flow.Node) *flow.Node {
	call, ok := callOf(n.Op)
	if !ok || len(n.In) != 1 {
		return nil
	}
	g, ok := grouping(n.In[0])
	if !ok {
		return nil
	}
	q := *g.plan
	q.Aggregate = &storage.Aggregate{Call: call}
	if !g.apart && (g.mixed() || !g.allows(call)) {
		return g.twice(n, &q)
	}
	if !g.allows(call) {
		return nil
	}
	g.place(&q, false)
	return g.replace(n, &q)
}

// mixed reports whether values of several fields or measurements may have been put
// together, which the store does not do.
func (g *grouped) mixed() bool {
	measurement, field := g.plan.Single()
	return !measurement && !g.key.Has(storage.Measurement) || !field && !g.key.Has(storage.Field)
}

// twice computes a function of each table at the source, and then one of the
// results that were put together, where the two come to the same.
func (g *grouped) twice(n *flow.Node, p *storage.Plan) *flow.Node {
	if g.hidden {
		return nil
	}
	again := n.Op
	switch p.Aggregate.Call.Func {
	case plan.Count:
		// Values of several kinds cannot be put together, which their counts would
		// not show.
		if !g.visible.Except {
			return nil // keep() would take them away
		}
		p.Aggregate.Beside = counted
		again = &aggregate.Sum{One: aggregate.One{Column: counted}}
	case plan.First, plan.Last:
		// Behind group() by time, as everywhere.
		by := aggregate.By{Column: storage.Time}
		switch {
		case !g.anyhow || !g.visible.Has(storage.Time):
		case p.Aggregate.Call.Func == plan.First:
			again = &aggregate.Min{By: by}
		default:
			again = &aggregate.Max{By: by}
		}
	case plan.Sum, plan.Min, plan.Max:
	default:
		return nil
	}
	base := n.In[0]
	for len(base.In) > 0 {
		base = base.In[0]
	}
	p.Otherwise = nil
	if !p.Certain() {
		p.Otherwise = &flow.Node{Op: n.Op, In: []*flow.Node{fixed(base)}, At: n.At}
	}
	out := &flow.Node{Op: again, In: []*flow.Node{over(n.In[0], p)}, At: n.At}
	if p.Aggregate.Beside != "" {
		out = &flow.Node{Op: &transform.Rename{Columns: map[string]string{counted: storage.Value}}, In: []*flow.Node{out}, At: n.At}
	}
	return out
}

// counted is the label of counts on their way from one function to the other.
const counted = "_value counted"

// callOf returns the function of plans that an operator is.
func callOf(op flow.Op) (c plan.Call, ok bool) {
	column := ""
	switch op := op.(type) {
	case *aggregate.Count:
		c.Func, column = plan.Count, op.Column
	case *aggregate.Sum:
		c.Func, column = plan.Sum, op.Column
	case *aggregate.Mean:
		c.Func, column = plan.Mean, op.Column
	case *aggregate.Spread:
		c.Func, column = plan.Spread, op.Column
	case *aggregate.Min:
		c.Func, column = plan.Min, op.Column
	case *aggregate.Max:
		c.Func, column = plan.Max, op.Column
	case *aggregate.First:
		c.Func, column = plan.First, op.Column
	case *aggregate.Last:
		c.Func, column = plan.Last, op.Column
	case *aggregate.Stddev:
		c.Func, column, c.Method = plan.Stddev, op.Column, plan.Sample
		if op.Mode == aggregate.OfPopulation {
			c.Method = plan.Population
		}
	case *aggregate.Quantile:
		c = plan.Call{Func: plan.Quantile, Method: plan.ExactMean, Quantile: op.Q}
		column = op.Column
		if op.Method == aggregate.EstimateTDigest {
			c.Method = plan.TDigest
			if op.Compression != tdigest.Compression {
				return c, false
			}
		}
	}
	return c, column == storage.Value
}

// allows reports whether a function of the rows that were put together depends on
// nothing that is left open.
func (g *grouped) allows(c plan.Call) bool {
	switch {
	case g.apart:
		return true
	case c.Func.Selector():
		// Where group() leaves the order open, the store has one: that of time.
		// Tables that drop() made one have theirs.
		return g.anyhow
	case c.Func == plan.Quantile:
		return c.Method != plan.TDigest // estimates depend on the order
	}
	return true
}

// replace returns what stands for n, a function of the rows that were put together:
// a Plan and, if it returns rows with all their columns, the choice of those
// that are to be seen.
func (g *grouped) replace(n *flow.Node, p *storage.Plan) *flow.Node {
	p.Otherwise = nil
	if !p.Certain() {
		p.Otherwise = &flow.Node{Op: n.Op, In: []*flow.Node{g.fixed(n.In[0])}, At: n.At}
	}
	out := &flow.Node{Op: p, At: n.At}
	if p.Aggregate.Call.Func.Selector() {
		return g.shown(out)
	}
	return out
}

// fixed returns the graph below a function, with the Plan at its bottom fixed.
func (g *grouped) fixed(n *flow.Node) *flow.Node {
	if _, ok := n.Op.(*storage.Plan); ok {
		return fixed(n)
	}
	return &flow.Node{Op: n.Op, In: []*flow.Node{g.fixed(n.In[0])}, At: n.At}
}
