package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Memory is what a run reserves memory from: a query.Question.
type Memory interface {
	Reserve(bytes int64) error
	Release(bytes int64)
}

// Run is one execution of a script.
type Run struct {
	ctx    context.Context
	memory Memory
	// Now is when the script began, in nanoseconds since 1970. now() is a
	// function of the script, which may be something else.
	Now int64
	// Host is what the script reaches outside itself; see Host.
	Host Host
	// Option returns the present value of an option of a package ("" is the
	// prelude), if there is one.
	Option func(pkg, name string) (value.Value, bool)
	// Rewrite turns a graph into one that does the same with less work.
	Rewrite func(*Node) *Node

	failed error // ends the run
	kept   int64 // bytes, until Close
}

// Host is what scripts reach outside themselves. An operator or function that
// needs more asks for it with an interface of its own, which the host may
// implement or not.
type Host interface{}

// NewRun returns a run that ends with ctx.
func NewRun(ctx context.Context, memory Memory, now time.Time) *Run {
	return &Run{ctx: ctx, memory: memory, Now: now.UnixNano(),
		Option: func(string, string) (value.Value, bool) { return value.Value{}, false }}
}

// RunOf returns the run that a call belongs to.
func RunOf(c *value.Call) *Run { return c.Env.(*Run) }

// Context implements value.Env. It ends when the run does.
func (r *Run) Context() context.Context { return r.ctx }

// Ended returns why the run has to stop, or nil. Loops that take long ask it now
// and then.
func (r *Run) Ended() error {
	if r.failed != nil {
		return r.failed
	}
	if r.ctx.Err() == nil {
		return nil
	}
	return context.Cause(r.ctx)
}

// Failed returns why the script itself has to end, whether or not the run's
// context has: it made more of a graph than it may.
func (r *Run) Failed() error { return r.failed }

// Reserve takes memory for what is kept; the error names the limit.
func (r *Run) Reserve(bytes int64) error { return r.memory.Reserve(bytes) }

// Release gives reserved memory back.
func (r *Run) Release(bytes int64) { r.memory.Release(bytes) }

// Keep takes memory for what is there until the run is closed: values and graphs
// of the script.
func (r *Run) Keep(bytes int64) error {
	if err := r.memory.Reserve(bytes); err != nil {
		return err
	}
	r.kept += bytes
	return nil
}

// Close gives back what was taken by Keep. It may be called again.
func (r *Run) Close() {
	r.memory.Release(r.kept)
	r.kept = 0
}

// Error is an error with the place in the script that made it.
type Error struct {
	At   syntax.Span
	Name string // of the function or operator; may be empty
	Err  error
}

func (e *Error) Error() string {
	text := e.Err.Error()
	if e.Name != "" && !strings.HasPrefix(text, e.Name+": ") {
		text = e.Name + ": " + text
	}
	if e.At != (syntax.Span{}) {
		text = fmt.Sprintf("error @%s: %s", e.At, text)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Open begins to read a stream. The reader is to be closed.
func (r *Run) Open(n *Node) (table.Reader, error) {
	if r.Rewrite != nil {
		n = r.Rewrite(n)
	}
	return r.open(n)
}

// readerBytes is about what the reader of an operator takes before it read
// anything. A node that others read is opened for each of them, so that a small
// graph may have very many readers.
const readerBytes = 1024

func (r *Run) open(n *Node) (table.Reader, error) {
	if err := r.Ended(); err != nil {
		return nil, err
	}
	if err := r.Reserve(readerBytes); err != nil {
		return nil, err
	}
	out, err := r.reader(n)
	if err != nil {
		r.Release(readerBytes)
		return nil, err
	}
	return &guarded{run: r, node: n, Reader: out}, nil
}

// reader opens what n reads and n itself.
func (r *Run) reader(n *Node) (table.Reader, error) {
	in := make([]table.Reader, len(n.In))
	for i, from := range n.In {
		var err error
		if in[i], err = r.open(from); err != nil {
			closeAll(in[:i])
			return nil, err
		}
	}
	out, err := n.Op.Open(r, in)
	if err != nil {
		closeAll(in)
		return nil, place(n, err)
	}
	return out, nil
}

func closeAll(in []table.Reader) {
	for _, i := range in {
		i.Close()
	}
}

// place says where an error came from, unless that is known.
func place(n *Node, err error) error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return err
	}
	return &Error{n.At, n.Op.Name(), err}
}

// guarded is a reader that ends with the run and says where its errors came
// from.
type guarded struct {
	table.Reader
	run    *Run
	node   *Node
	closed bool
}

// Close implements table.Reader.
func (g *guarded) Close() {
	g.Reader.Close()
	if !g.closed {
		g.closed = true
		g.run.Release(readerBytes)
	}
}

// Next implements table.Reader.
func (g *guarded) Next() (*table.Table, error) {
	if err := g.run.Ended(); err != nil {
		return nil, err
	}
	t, err := g.Reader.Next()
	if err != nil {
		return nil, place(g.node, err)
	}
	return t, nil
}

// Each calls use with every piece of a stream.
func (r *Run) Each(n *Node, use func(*table.Table) error) error {
	in, err := r.Open(n)
	if err != nil {
		return err
	}
	defer in.Close()
	for {
		t, err := in.Next()
		if t == nil || err != nil {
			return err
		}
		if err := use(t); err != nil {
			return err
		}
	}
}
