package pushdown

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
)

// projected reads tables without the columns that keep() and drop() take away, where
// no two tables become one by it.
func projected(n *flow.Node) *flow.Node {
	s, ok := n.Op.(*transform.Select)
	if !ok || s.Fn != nil {
		return nil
	}
	p, ok := below(n)
	if !ok || p.Names != nil || p.Aggregate != nil && p.Aggregate.Shape == storage.PerWindow {
		return nil
	}
	kept := setOf(s.Drop, s.Columns)
	if !apart(p, kept) {
		return nil
	}
	q := *p
	if q.Shown = kept; p.Shown != nil {
		q.Shown = both(p.Shown, kept)
	}
	return replace(n, &q)
}

// apart reports whether the keys of tables stay different when they keep only
// those columns.
func apart(p *storage.Plan, kept *set) bool {
	key := setOf(true, []string{storage.Time, storage.Value})
	if p.Aggregate != nil && p.Aggregate.Group != nil {
		key = p.Aggregate.Group
	}
	// The same in all tables.
	same := []string{storage.Start, storage.Stop}
	measurement, field := p.Single()
	if measurement {
		same = append(same, storage.Measurement)
	}
	if field || p.Aggregate == nil && p.Rows.Wide {
		same = append(same, storage.Field)
	}
	lost := both(key, &set{Except: !kept.Except, Columns: kept.Columns})
	return !lost.Except && !slices.ContainsFunc(lost.Columns, func(c string) bool { return !slices.Contains(same, c) })
}
