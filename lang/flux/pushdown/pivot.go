package pushdown

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
)

// pivoted takes rows as the store has them, with a column for each field, which
// is what pivot makes of them by time and field.
func pivoted(n *flow.Node) *flow.Node {
	v, ok := n.Op.(*transform.Pivot)
	if !ok || v.Value != storage.Value || len(v.ColumnKey) != 1 || v.ColumnKey[0] != storage.Field {
		return nil
	}
	if !slices.Contains(v.RowKey, storage.Time) {
		return nil
	}
	for _, c := range v.RowKey {
		// Other columns of the group key make no difference. A tag might not be
		// there, which is an error.
		switch c {
		case storage.Time, storage.Start, storage.Stop, storage.Measurement:
		default:
			return nil
		}
	}
	p, ok := below(n)
	if !ok || p.Aggregate != nil || p.Names != nil || p.Rows != (storage.Rows{}) {
		return nil
	}
	for _, c := range []string{storage.Time, storage.Field, storage.Value, storage.Start, storage.Stop, storage.Measurement} {
		if p.Shown != nil && !p.Shown.Has(c) && (c == storage.Time || c == storage.Field || c == storage.Value || slices.Contains(v.RowKey, c)) {
			return nil
		}
	}
	q := *p
	q.Rows.Wide = true
	return replace(n, &q)
}
