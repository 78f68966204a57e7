package pushdown

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/plan"
)

// limit reads no more rows of each table than are wanted.
func limit(n *flow.Node) *flow.Node {
	l, ok := n.Op.(*transform.Limit)
	if !ok {
		return nil
	}
	p, ok := pageable(n, l.N, l.Offset)
	if !ok {
		return nil
	}
	q := *p
	q.Rows.Page = plan.Page{Offset: l.Offset, Limit: l.N}
	return replace(n, &q)
}

// tail reads the rows of each table from its end.
func tail(n *flow.Node) *flow.Node {
	l, ok := n.Op.(*transform.Tail)
	if !ok {
		return nil
	}
	p, ok := pageable(n, l.N, l.Offset)
	if !ok || p.Rows.Desc || p.Rows.Wide {
		return nil
	}
	q := *p
	q.Rows.Desc, q.Rows.Upturn, q.Rows.Page = true, true, plan.Page{Offset: l.Offset, Limit: l.N}
	return replace(n, &q)
}

// pageable returns the Plan below, if it is of all rows.
func pageable(n *flow.Node, limit, offset int64) (*storage.Plan, bool) {
	p, ok := below(n)
	if !ok || p.Aggregate != nil || p.Names != nil || !p.Rows.Page.All() {
		return nil, false
	}
	return p, limit > 0 && offset >= 0 && offset+limit > 0
}
