package pushdown

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
)

// sorted leaves out what puts rows into the order of time, in which they are
// read, and reads them backwards if they are wanted the other way round.
func sorted(n *flow.Node) *flow.Node {
	s, ok := n.Op.(*transform.Sort)
	if !ok || len(s.Columns) != 1 || s.Columns[0] != storage.Time {
		return nil
	}
	p, ok := below(n)
	if !ok || p.Aggregate != nil || p.Names != nil || !p.Rows.Page.All() || p.Shown != nil && !p.Shown.Has(storage.Time) {
		return nil
	}
	q := *p
	q.Rows.Desc = s.Desc
	return replace(n, &q)
}
