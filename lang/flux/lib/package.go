// Package lib is the frame of Flux's standard library: what a package of it
// consists of, and the notation in which functions that are built in state
// their parameters. The packages themselves are in the folders below; stdlib
// lists them.
package lib

import (
	"fmt"
	"strings"
	"sync"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// Package is a package that scripts import, or the prelude. It is made once and
// then shared.
type Package struct {
	Path   string // as scripts import it; empty: the prelude
	Values map[string]value.Value
	// Options are names of values that scripts may replace by an option
	// statement. Functions ask for them by Run.Option.
	Options []string
	// Refused says why scripts may not import the package. Empty: they may.
	Refused string
	// Refuses has the names of functions that Refuse added.
	Refuses map[string]bool
	// Source is the rest of the package, in Flux. It sees Values by name. Names
	// that begin with an underscore belong to the package.
	Source string

	parse sync.Once
	file  *syntax.File
	err   error
}

// New returns a package with nothing in it.
func New(path string) *Package {
	return &Package{Path: path, Values: map[string]value.Value{}}
}

// Name returns the last word of the path, by which scripts refer to the package.
func (p *Package) Name() string { return p.Path[strings.LastIndexByte(p.Path, '/')+1:] }

// Func adds a function. Its parameters are written like
//
//	<-tables: stream, n: int, ?columns: [string], ?offset: int|uint, fn: function, v: any
//
// with <- for what is piped, ? for what may be left out, | between kinds, and [x]
// for an array of x, which comes before other kinds.
func (p *Package) Func(name, params string, do func(c *value.Call) (value.Value, error)) *Package {
	title := name
	if p.Path != "" {
		title = p.Name() + "." + name
	}
	return p.Value(name, value.OfFunction(&value.Func{Name: title, Params: Params(params), Do: do}))
}

// Refuse adds a function that ends in an error as soon as it would do what it is
// for: scripts that have it in a branch run, and no list offers it.
func (p *Package) Refuse(name, params string, do func(c *value.Call) (value.Value, error)) *Package {
	if p.Refuses == nil {
		p.Refuses = map[string]bool{}
	}
	p.Refuses[name] = true
	return p.Func(name, params, do)
}

// Scalar adds a function of scalars. If one of its arguments is null, so is the
// result, which otherwise do computes.
func (p *Package) Scalar(name, params string, result value.Kind, do func(c *value.Call) (value.Value, error)) *Package {
	return p.Func(name, params, func(c *value.Call) (value.Value, error) {
		for i := range c.Args {
			if c.Args[i].IsNull() {
				return value.NullOf(result), nil
			}
		}
		return do(c)
	})
}

// Value adds a constant.
func (p *Package) Value(name string, v value.Value) *Package {
	if _, twice := p.Values[name]; twice {
		panic("BUG: package " + p.Path + " has " + name + " twice")
	}
	p.Values[name] = v
	return p
}

// Option adds a value that scripts may replace.
func (p *Package) Option(name string, v value.Value) *Package {
	p.Options = append(p.Options, name)
	return p.Value(name, v)
}

// Flux adds text in Flux to the source of the package.
func (p *Package) Flux(source string) *Package {
	p.Source += source + "\n"
	return p
}

// Params reads parameters in the notation of Func.
func Params(text string) []value.Param {
	if text == "" {
		return nil
	}
	var all []value.Param
	for part := range strings.SplitSeq(text, ",") {
		name, kinds, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			panic(fmt.Sprintf("BUG: parameter %q has no kind", part))
		}
		var p value.Param
		if name, ok = strings.CutPrefix(name, "<-"); ok {
			p.Pipe = true
		}
		if name, ok = strings.CutPrefix(name, "?"); ok {
			p.Optional = true
		}
		p.Name = strings.TrimSpace(name)
		kinds = strings.TrimSpace(kinds)
		if of, isArray := strings.CutPrefix(kinds, "["); isArray {
			p.Kinds = value.Set(value.Array)
			if of, kinds, ok = strings.Cut(of, "]"); !ok {
				panic(fmt.Sprintf("BUG: parameter %q has an open bracket", part))
			}
			if of != "any" {
				p.Of = kindsOf(of)
			}
			kinds = strings.TrimPrefix(kinds, "|")
		}
		if kinds != "" {
			p.Kinds |= kindsOf(kinds)
		}
		all = append(all, p)
	}
	return all
}

// kindsOf reads kinds with | between them.
func kindsOf(names string) value.Kinds {
	var set value.Kinds
	for name := range strings.SplitSeq(names, "|") {
		set |= kindOf(name)
	}
	return set
}

func kindOf(name string) value.Kinds {
	if name == "any" {
		return value.AnyKind
	}
	for k := value.Null; k <= value.Dynamic; k++ {
		if k.String() == name {
			return value.Set(k)
		}
	}
	panic(fmt.Sprintf("BUG: %q is no kind of value", name))
}

// File returns the tree of the package's source, nil if it has none. It is
// parsed once.
func (p *Package) File() (*syntax.File, error) {
	if p.Source == "" {
		return nil, nil
	}
	p.parse.Do(func() { p.file, p.err = syntax.Parse(p.Source) })
	return p.file, p.err
}
