package pushdown

import (
	"github.com/varvedb/varve/lang/flux/aggregate"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
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
	if !ok || !g.allows(call) {
		return nil
	}
	q := *g.plan
	q.Aggregate = &storage.Aggregate{Call: call}
	g.place(&q, false)
	return g.replace(n, &q)
}

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
