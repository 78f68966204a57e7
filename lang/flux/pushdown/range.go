package pushdown

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
)

// bound makes a Plan of the range of a bucket.
func bound(n *flow.Node) *flow.Node {
	r, ok := n.Op.(*transform.Range)
	if !ok || len(n.In) != 1 {
		return nil
	}
	from, ok := n.In[0].Op.(*storage.From)
	if !ok {
		return nil
	}
	return &flow.Node{Op: storage.Read(from.Bucket, r.Start, r.Stop), At: n.At}
}
