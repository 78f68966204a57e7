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
	"fmt"
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

	deep int // see depth; 0: not known
}

// Named is an operator that makes its stream a result of the script, under a
// name.
type Named interface{ Result() string }

// nodeBytes is about what a node takes, with its operator.
const nodeBytes = 512

// maxDeep is how many operators may stand one behind another. Scripts have some
// tens; readers call each other through all of them, and a stack that is
// exhausted ends the process.
const maxDeep = 2000

// New returns the stream that an operator makes of streams, as a value. A script
// that makes more nodes than memory allows, or puts too many of them one behind
// another, ends with an error when the call returns: Run.Failed.
func New(c *value.Call, op Op, in ...*Node) value.Value {
	n := &Node{Op: op, In: in, At: c.At}
	n.deep = n.depth()
	if run := RunOf(c); run.failed == nil {
		if run.failed = run.Keep(nodeBytes); run.failed == nil && n.deep > maxDeep {
			run.failed = &Error{At: c.At, Err: fmt.Errorf("more than %d operators stand one behind another", maxDeep)}
		}
	}
	return value.OfStream(n)
}

// depth returns how many operators stand behind n, itself included.
func (n *Node) depth() int {
	if n.deep > 0 {
		return n.deep
	}
	deep := 0
	for _, in := range n.In {
		deep = max(deep, in.depth())
	}
	return deep + 1
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

// maxExplained is about how many bytes an explanation has: what several nodes
// read stands there for each of them.
const maxExplained = 1 << 20

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
		if b.Len() > maxExplained {
			b.WriteString("\n" + pad + "  ...")
			return
		}
		in.explain(b, depth+1)
	}
}
