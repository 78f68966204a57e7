package interp

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/value"
)

// defaultName is that of a result without a yield.
const defaultName = "_result"

// Result is a stream that a script wants to know.
type Result struct {
	Name string
	Node *flow.Node
}

// notice adds the yields in the graph of a stream that are not results yet, in
// the order in which data flows.
func (in *Interp) notice(v value.Value) {
	if v.Kind() != value.Stream || v.IsNull() {
		return
	}
	in.walk(flow.Of(v))
}

// walk goes to each node once, whatever statement it is part of.
func (in *Interp) walk(n *flow.Node) {
	if in.seen[n] {
		return
	}
	in.seen[n] = true
	for _, from := range n.In {
		in.walk(from)
	}
	named, ok := n.Op.(flow.Named)
	if !ok {
		return
	}
	in.results = append(in.results, Result{named.Result(), n})
}

// expression takes the value of an expression statement.
func (in *Interp) expression(v value.Value) {
	if v.Kind() != value.Stream || v.IsNull() {
		return
	}
	in.notice(v)
	n := flow.Of(v)
	if _, named := n.Op.(flow.Named); !named {
		in.results = append(in.results, Result{defaultName, n})
	}
}

func checkNames(results []Result) error {
	have := map[string]bool{}
	for _, r := range results {
		if have[r.Name] {
			return &flow.Error{At: r.Node.At, Err: fmt.Errorf("there are two results called %q: give each a name of its own with yield(name: ...)", r.Name)}
		}
		have[r.Name] = true
	}
	return nil
}
