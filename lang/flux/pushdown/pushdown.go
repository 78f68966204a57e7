// Package pushdown rewrites graphs of operators so that the store does as much of
// the work as it can: what stands above from() and range() becomes part of one
// storage.Plan, as long as the store does the same. What is left runs as it is.
//
// # Steps
//
//  1. Rewrite goes through the graph from the bottom up, each node once.
//  2. A node is offered to the rules, one after another. The first that knows it
//     and what it reads returns what stands for it; that is offered again.
//
// # Invariants
//
//   - A rule changes no answer. Where the answer depends on types that are known
//     only when the plan runs, the new Plan carries the graph that it replaced
//     (storage.Plan.Otherwise). The tests run every rule against that graph.
//   - A node that two others read stays one node.
//
// What may differ from the graph that was replaced, because the documentation
// leaves it open: the order of tables behind group(), which of equally good rows a
// selector takes behind group() (here the earliest; first and last go by time),
// the order of rows behind pivot() (here that of time), the last bits of sums of
// floats, and errors in rows that another part of a filter leaves out. Comparing the value of a row with a constant of another type
// is an error for the function; here such rows do not match, as in InfluxDB.
//
// There is a file for each rule. Rewrite is safe for concurrent use.
package pushdown

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
)

// rule returns what stands for a node, or nil if it does not know it.
type rule func(n *flow.Node) *flow.Node

// rules returns all rules, in the order in which they are tried.
func rules() []rule {
	return []rule{bound, filter, sorted, limit, tail, pivoted, condensed, aggregateWindow, windowed, rejoined, names, oneRow, projected}
}

// Rewrite returns a graph that does what n does with less work.
func Rewrite(n *flow.Node) *flow.Node {
	r := &rewriter{done: map[*flow.Node]*flow.Node{}, rules: rules()}
	return r.node(n)
}

// Bound makes reads of ranges, without which nothing can be read, and pushes down
// nothing else.
func Bound(n *flow.Node) *flow.Node {
	r := &rewriter{done: map[*flow.Node]*flow.Node{}, rules: []rule{bound}}
	return r.node(n)
}

type rewriter struct {
	done  map[*flow.Node]*flow.Node
	rules []rule
}

func (r *rewriter) node(n *flow.Node) *flow.Node {
	if out := r.done[n]; out != nil {
		return out
	}
	in := make([]*flow.Node, len(n.In))
	changed := false
	for i := range in {
		in[i] = unnamed(r.node(n.In[i]))
		changed = changed || in[i] != n.In[i]
	}
	out := n
	if changed {
		out = &flow.Node{Op: n.Op, In: in, At: n.At}
	}
	out = r.apply(out)
	r.done[n] = out
	return out
}

// unnamed returns what a node that gives a stream a name passes on: who reads on
// from there does not need the name.
func unnamed(n *flow.Node) *flow.Node {
	for {
		if _, ok := n.Op.(flow.Named); !ok || len(n.In) != 1 {
			return n
		}
		n = n.In[0]
	}
}

// apply offers a node to the rules for as long as one knows it.
func (r *rewriter) apply(n *flow.Node) *flow.Node {
	for again := true; again; {
		again = false
		for _, apply := range r.rules {
			if next := apply(n); next != nil {
				n, again = next, true
				break
			}
		}
	}
	return n
}

// below returns the Plan that a node of one stream reads, if it does and the plan
// can be added to.
func below(n *flow.Node) (*storage.Plan, bool) {
	if len(n.In) != 1 {
		return nil, false
	}
	p, ok := n.In[0].Op.(*storage.Plan)
	return p, ok && !p.Fixed
}

// replace returns the node of a Plan that stands for n, which read the Plan of
// n.In[0].
func replace(n *flow.Node, p *storage.Plan) *flow.Node {
	p.Otherwise = nil
	if !p.Certain() {
		p.Otherwise = &flow.Node{Op: n.Op, In: []*flow.Node{fixed(n.In[0])}, At: n.At}
	}
	return &flow.Node{Op: p, At: n.At}
}

// fixed returns the node of a Plan with nothing more to be pushed into it: the
// graph that it stands for, if it has one.
func fixed(n *flow.Node) *flow.Node {
	p := *n.Op.(*storage.Plan)
	if p.Otherwise != nil {
		return p.Otherwise
	}
	p.Fixed = true
	return &flow.Node{Op: &p, At: n.At}
}
