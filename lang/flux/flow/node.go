// Package flow runs streams of tables: a script builds a graph of operators,
// and nothing happens until somebody reads from one of them. It owns the graph,
// what a run of a script has in common (Run), and the frames into which most
// operators fit (each.go, pertable.go): a function of a piece, of a whole table,
// of all tables, or something that remembers as it goes through a table.
//
// A graph is built by one goroutine and not changed any more; a Run and the
// readers that it opens belong to one goroutine.
package flow

import (
	"strings"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Op is what an operator does. Planners tell operators by their types.
type Op interface {
	// Name returns the name of the function that made it, as "group".
	Name() string
	// Details says what else there is to know, for explained plans: the
	// arguments as a script would write them.
	Details() string
	// Open begins to run the operator over the streams that it takes, which it
	// closes when it is closed.
	Open(run *Run, in []table.Reader) (table.Reader, error)
}

// Node is an operator of a graph and what it takes. It is immutable.
type Node struct {
	Op Op
	In []*Node
	At syntax.Span
}

// Named is an operator that makes its stream a result of the script, under a
// name.
type Named interface{ Result() string }

// nodeBytes is about what a node takes, with its operator.
const nodeBytes = 512

// New returns the stream that an operator makes of streams, as a value. A script
// that makes more nodes than memory allows ends with an error, a little later.
func New(c *value.Call, op Op, in ...*Node) value.Value {
	if run := RunOf(c); run.failed == nil {
		run.failed = run.Keep(nodeBytes)
	}
	return value.OfStream(&Node{Op: op, In: in, At: c.At})
}

// Of returns the node that a stream stands for.
func Of(v value.Value) *Node { return v.Stream().(*Node) }

// Input returns the node of the argument of a call that is a stream.
func Input(c *value.Call, name string) *Node { return Of(c.Arg(name)) }

// String explains the graph below n, an operator a line, the last one first.
func (n *Node) String() string {
	var b strings.Builder
	n.explain(&b, 0)
	return b.String()
}

func (n *Node) explain(b *strings.Builder, depth int) {
	if depth > 0 {
		b.WriteByte('\n')
	}
	text := n.Op.Name()
	if d := n.Op.Details(); d != "" {
		text += " " + d
	}
	pad := strings.Repeat("  ", depth)
	b.WriteString(pad + strings.ReplaceAll(text, "\n", "\n"+pad+"  "))
	for _, in := range n.In {
		in.explain(b, depth+1)
	}
}
