// Package flux runs scripts in Flux: it is what an API calls. The parts of the
// language are in the folders below; docs/DESIGN.md has their order.
//
//	s, err := flux.Parse(text)
//	e, err := s.Run(ctx, flux.Options{Memory: question, Host: host, Now: now})
//	defer e.Close()
//	for e.Next() {
//		name, tables := e.Result()
//		...
//	}
//	err = e.Err()
//
// Everything here is safe for concurrent use, except that an Execution belongs
// to one goroutine.
package flux

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/interp"
	"github.com/varvedb/varve/lang/flux/stdlib"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Script is a script that was read. It may be run more than once.
type Script struct {
	files []*syntax.File // what came before the script first
}

// Parse reads a script, and before it files (as JSON trees) that declare what
// it refers to, such as options. The error is of type syntax.Errors if the text
// of the script is wrong.
func Parse(text string, before ...*syntax.File) (*Script, error) {
	f, err := syntax.Parse(text)
	if err != nil {
		return nil, err
	}
	return &Script{append(before[:len(before):len(before)], f)}, nil
}

// Check says what is wrong with a script as far as that shows without running it:
// its grammar, names that are not defined, packages that are not there. Options
// that a host would hand in, like v, are taken to be there if they are in known.
func Check(text string, known ...string) []*syntax.Error {
	f, err := syntax.Parse(text)
	if err != nil {
		var all syntax.Errors
		errors.As(err, &all)
		return all
	}
	names := map[string]value.Value{}
	for _, n := range known {
		names[n] = value.NullOf(value.Null)
	}
	run := flow.NewRun(context.Background(), noMemory{}, time.Time{})
	err = interp.New(run, stdlib.Packages()).Check(names, f)
	if err == nil {
		return nil
	}
	wrong := &syntax.Error{Message: err.Error()}
	if placed := (*flow.Error)(nil); errors.As(err, &placed) {
		wrong.Span, wrong.Message = placed.At, placed.Err.Error()
	}
	return []*syntax.Error{wrong}
}

// noMemory is for scripts that are only looked at.
type noMemory struct{}

func (noMemory) Reserve(int64) error { return nil }
func (noMemory) Release(int64)       {}

// Options says what a script runs with.
type Options struct {
	// Memory is what is kept is reserved from: a query.Question.
	Memory flow.Memory
	// Host is what the script reaches outside itself; package storage says
	// what it has to be for from() and buckets() to work.
	Host flow.Host
	// Now is what now() returns.
	Now time.Time
	// Params are what the script sees as params.name, as JSON has them.
	Params map[string]any
	// Rewrite turns graphs into cheaper ones; nil runs them as they are.
	Rewrite func(*flow.Node) *flow.Node
}

// Execution is a script that runs.
type Execution struct {
	run     *flow.Run
	results []interp.Result
	at      int
	reader  table.Reader
	err     error
}

// Run executes the statements of a script. Its results are computed as they are
// read. Whatever it does ends with ctx.
func (s *Script) Run(ctx context.Context, o Options) (*Execution, error) {
	run := flow.NewRun(ctx, o.Memory, o.Now)
	run.Host, run.Rewrite = o.Host, o.Rewrite
	globals, err := globals(o.Params)
	if err != nil {
		return nil, err
	}
	results, err := interp.New(run, stdlib.Packages()).Exec(globals, s.files...)
	if err != nil {
		run.Close()
		return nil, err
	}
	return &Execution{run: run, results: results, at: -1}, nil
}

// globals turns parameters into what scripts see.
func globals(params map[string]any) (map[string]value.Value, error) {
	if params == nil {
		return nil, nil
	}
	v, err := ofJSON(params)
	if err != nil {
		return nil, fmt.Errorf("params: %w", err)
	}
	return map[string]value.Value{"params": v}, nil
}

// Results returns how many results the script has.
func (e *Execution) Results() int { return len(e.results) }

// Next moves to the next result, and reports whether there is one.
func (e *Execution) Next() bool {
	e.closeReader()
	if e.err != nil || e.at+1 >= len(e.results) {
		return false
	}
	e.at++
	e.reader, e.err = e.run.Open(e.results[e.at].Node)
	return e.err == nil
}

// Result returns the name of the present result and its tables.
func (e *Execution) Result() (name string, tables table.Reader) {
	return e.results[e.at].Name, e.reader
}

// Explain returns the graphs of all results, as they are run.
func (e *Execution) Explain() string {
	text := ""
	for i, r := range e.results {
		if i > 0 {
			text += "\n\n"
		}
		n := r.Node
		if e.run.Rewrite != nil {
			n = e.run.Rewrite(n)
		}
		text += r.Name + ":\n" + n.String()
	}
	return text
}

// Err returns why there is no next result, nil if that was the last one.
func (e *Execution) Err() error { return e.err }

func (e *Execution) closeReader() {
	if e.reader != nil {
		e.reader.Close()
		e.reader = nil
	}
}

// Close ends the execution and gives its memory back.
func (e *Execution) Close() {
	e.closeReader()
	e.run.Close()
}
