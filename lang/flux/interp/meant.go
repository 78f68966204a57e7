package interp

import (
	"maps"
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/spelling"
)

// near returns "; did you mean x?" with the name that is most like one that is
// not there, or nothing. Among hundreds of names, short ones are all alike: there
// is an edit for each four letters.
func near(name string, names []string) string {
	if len(name) < 4 {
		return ""
	}
	slices.Sort(names)
	if found := spelling.Within(len(name)/4, name, names); found != "" {
		return "; did you mean " + found + "?"
	}
	return ""
}

// meant says what to do about a variable that is not defined.
func (c *compiler) meant(name string) string {
	switch strings.ToLower(name) {
	case "v":
		return "; dashboards define it: send it as extern, or begin the script with option v = {...}"
	case "params":
		return "; values for it go beside the script, as params"
	case "avg", "average":
		return "; did you mean mean?"
	case "select", "show":
		return "; scripts are in Flux, and begin with from(bucket: ...) or the like"
	}
	if path := c.in.packaged(name); path != "" {
		return "; the script has to begin with import \"" + path + "\""
	}
	var names []string
	for s := c.scope; s != nil; s = s.up {
		names = append(names, s.names...)
	}
	for m := c.module; m != nil; m = m.prelude {
		names = append(names, m.names()...)
	}
	return near(name, slices.AppendSeq(names, maps.Keys(c.imports)))
}

// packaged returns the path of a package that scripts call by a name: the
// shortest, where there are several.
func (in *Interp) packaged(name string) (path string) {
	for p, pkg := range in.packages {
		if p == "" || pkg.Name() != name || pkg.Refused != "" || strings.HasPrefix(p, "internal/") {
			continue
		}
		if path == "" || len(p) < len(path) || len(p) == len(path) && p < path {
			path = p
		}
	}
	return path
}

// paths returns the packages that scripts may import.
func (in *Interp) paths() []string {
	var all []string
	for p, pkg := range in.packages {
		if p != "" && pkg.Refused == "" && !strings.HasPrefix(p, "internal/") {
			all = append(all, p)
		}
	}
	return all
}

// names returns what a module defines and others may use.
func (m *module) names() []string {
	var all []string
	for name, c := range m.cells {
		if c.defined && !strings.HasPrefix(name, "_") {
			all = append(all, name)
		}
	}
	return slices.AppendSeq(all, maps.Keys(m.native))
}

// called gives a function that a script or package defines the name by which it
// is called, for errors.
func (m *module) called(name string, v value.Value) {
	if v.Kind() != value.Function || v.IsNull() {
		return
	}
	f := v.Func()
	if f.Source == nil || f.Known != "" {
		return
	}
	if f.Known = name; m.name != "" {
		f.Known = m.name + "." + name
	}
}
