// Package interp runs the expressions of a script: it turns the tree of package
// syntax into functions of Go, resolves names, and calls them. Streams of tables
// are values like others; nothing is read from one unless a function of the
// library asks for it.
//
// # Steps
//
//  1. Exec compiles a file, statement by statement (compile.go). Names are
//     resolved now, so that one that is not defined is an error before anything
//     runs: those of a function and of the blocks around it to places in frames,
//     others to cells of the file, of its imports, of the prelude (scope.go).
//  2. It executes the statements in order. A function that the script wrote is
//     a closure of its tree and the frames around it (closure.go).
//  3. The result of an expression statement that is a stream, and each yield, is
//     a result of the script (results.go).
//
// # Limits
//
// Flux has no loops and no recursion by name, but a function can be given to
// itself. Calls nest at most maxDepth deep, each look at the run's end now and
// then, and long strings and arrays are reserved from the run's memory.
//
// An Interp belongs to one goroutine.
package interp

import (
	"errors"
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// Interp runs one script.
type Interp struct {
	run      *flow.Run
	packages map[string]*lib.Package
	modules  map[string]*module // packages in use, by path
	loading  map[string]bool
	results  []Result
	seen     map[*flow.Node]bool // nodes whose results are among these
	calls    int
}

// New returns an interpreter of scripts that may import packages, of which the
// one with the empty path is the prelude. Options of the run are answered from
// now on by what the script says.
func New(run *flow.Run, packages map[string]*lib.Package) *Interp {
	in := &Interp{run: run, packages: packages, modules: map[string]*module{}, loading: map[string]bool{}, seen: map[*flow.Node]bool{}}
	run.Option = in.Option
	return in
}

// Option returns the present value of an option of a package, if the script or
// the package has one. It does not load a package for it.
func (in *Interp) Option(pkg, name string) (value.Value, bool) {
	if m := in.modules[pkg]; m != nil {
		if c := m.cell(name); c != nil {
			return c.value, true
		}
		return value.Value{}, false
	}
	if p := in.packages[pkg]; p != nil {
		v, ok := p.Values[name]
		return v, ok
	}
	return value.Value{}, false
}

// Exec runs the files of a script one after another, in one scope, and returns
// its results. Globals are variables that it sees besides the prelude.
func (in *Interp) Exec(globals map[string]value.Value, files ...*syntax.File) ([]Result, error) {
	main, err := in.main(globals)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := in.file(main, f, false); err != nil {
			return nil, err
		}
	}
	if len(in.results) > 1 {
		if err := checkNames(in.results); err != nil {
			return nil, err
		}
	}
	return in.results, nil
}

// Check says what is wrong with a script as far as that shows before it runs: a
// name that is not defined, a package that is not there. Globals are as for Exec.
// The error is a *flow.Error.
func (in *Interp) Check(globals map[string]value.Value, f *syntax.File) error {
	main, err := in.main(globals)
	if err == nil {
		_, err = in.compile(main, f, false)
	}
	return err
}

// main returns the module of a script.
func (in *Interp) main(globals map[string]value.Value) (*module, error) {
	prelude, err := in.load("")
	if err != nil {
		return nil, err
	}
	m := newModule(prelude)
	for name, v := range globals {
		m.cells[name] = &cell{value: v, defined: true}
	}
	return m, nil
}

// file compiles a file whole and then runs it.
func (in *Interp) file(m *module, f *syntax.File, library bool) error {
	steps, err := in.compile(m, f, library)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (in *Interp) compile(m *module, f *syntax.File, library bool) ([]func() error, error) {
	c := &compiler{in: in, module: m, imports: map[string]*module{}, library: library}
	for _, i := range f.Imports {
		of, err := in.load(i.Path)
		if err != nil {
			return nil, c.at(i.Span, err)
		}
		name := of.name
		if i.As != nil {
			name = i.As.Name
		}
		c.imports[name] = of
	}
	steps := make([]func() error, 0, len(f.Body))
	for _, s := range f.Body {
		step, err := c.statement(s)
		if err != nil {
			return nil, err
		}
		if step != nil {
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// load returns the module of a package, and makes it if it is not in use yet.
func (in *Interp) load(path string) (*module, error) {
	if m := in.modules[path]; m != nil {
		return m, nil
	}
	p := in.packages[path]
	if p == nil {
		return nil, fmt.Errorf("there is no package %q to import%s", path, near(path, in.paths()))
	}
	if p.Refused != "" {
		return nil, fmt.Errorf("package %q cannot be imported: %s", path, p.Refused)
	}
	if in.loading[path] {
		return nil, fmt.Errorf("BUG: package %q imports itself", path)
	}
	in.loading[path] = true
	defer delete(in.loading, path)
	var prelude *module
	if path != "" {
		var err error
		if prelude, err = in.load(""); err != nil {
			return nil, err
		}
	}
	m := newModule(prelude)
	m.name, m.native = p.Name(), p.Values
	if path == "" {
		// The prelude's own text may ask for options of the prelude.
		in.modules[path] = m
	}
	f, err := p.File()
	if err != nil {
		return nil, fmt.Errorf("BUG: package %q: %w", path, err)
	}
	if f != nil {
		results := in.results
		if err := in.file(m, f, true); err != nil {
			return nil, fmt.Errorf("package %q: %w", path, err)
		}
		in.results = results
	}
	in.modules[path] = m
	return m, nil
}

// at gives an error the place of a part of the script, unless it has one.
func at(s syntax.Span, err error) error {
	if s == (syntax.Span{}) {
		return err
	}
	if known := (*flow.Error)(nil); errors.As(err, &known) {
		return err
	}
	if known := (*syntax.Error)(nil); errors.As(err, &known) {
		return err
	}
	return &flow.Error{At: s, Err: err}
}
