package pushdown

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
)

// filter gives the store the part of a filter that it can decide. If that is not
// all of it, the filter stays above, and looks at fewer rows.
func filter(n *flow.Node) *flow.Node {
	f, ok := n.Op.(*transform.Filter)
	if !ok || f.KeepEmpty {
		return nil
	}
	p, ok := below(n)
	if !ok || p.Names != nil {
		return nil
	}
	c, ok := ask(f.Fn)
	if !ok || !passes(p, &c) {
		return nil
	}
	q := *p
	q.Filter = storage.All(p.Filter, c.Condition)
	q.Since, q.Until = max(p.Since, c.since), min(p.Until, c.until)
	if c.whole {
		return replace(n, &q)
	}
	if q.Filter.String() == storage.All(p.Filter).String() && q.Since == p.Since && q.Until == p.Until {
		return nil // it was given to the store before
	}
	q.Otherwise = nil
	if !q.Certain() {
		q.Otherwise = fixed(n.In[0])
	}
	return &flow.Node{Op: n.Op, In: []*flow.Node{{Op: &q, At: n.In[0].At}}, At: n.At}
}

// passes reports whether a condition on what a Plan returns can be one on the
// rows that it reads: if these are returned as they are, or if it chooses among
// whole tables.
func passes(p *storage.Plan, c *asked) bool {
	for _, column := range c.columns {
		if p.Shown != nil && !p.Shown.Has(column) {
			return false
		}
	}
	if p.Aggregate == nil && !p.Rows.Wide && p.Rows.Page.All() {
		return true
	}
	if p.Aggregate != nil && p.Aggregate.Group != nil {
		return false
	}
	for _, column := range c.columns {
		switch column {
		case storage.Measurement:
		case storage.Value, storage.Time, storage.Start, storage.Stop:
			return false
		default:
			// Of wide rows it may be a field.
			if p.Aggregate == nil && p.Rows.Wide {
				return false
			}
		}
	}
	return true
}
