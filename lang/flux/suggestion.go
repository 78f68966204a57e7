package flux

import (
	"cmp"
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/stdlib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Suggestion is a function that scripts can call.
type Suggestion struct {
	Name    string            // strings.split, from
	Package string            // what to import for it; empty: nothing
	Params  map[string]string // parameter to the kind of its argument
}

// Suggestions returns the functions of the prelude and of all packages that are
// not internal, by name.
func Suggestions() []Suggestion {
	var all []Suggestion
	for path, p := range stdlib.Packages() {
		if strings.HasPrefix(path, "internal/") || p.Refused != "" {
			continue
		}
		for name, v := range p.Values {
			if v.Kind() != value.Function || strings.HasPrefix(name, "_") || p.Refuses[name] {
				continue
			}
			s := Suggestion{Name: name, Package: path, Params: map[string]string{}}
			if path != "" {
				s.Name = p.Name() + "." + name
			}
			for _, param := range v.Func().Params {
				kind := strings.ReplaceAll(param.Kinds.String(), " or ", "|")
				if param.Kinds == value.AnyKind {
					kind = "any"
				}
				s.Params[param.Name] = kind
			}
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Suggestion) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Package, b.Package))
	})
	return all
}
