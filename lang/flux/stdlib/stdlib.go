// Package stdlib lists the packages that scripts can import.
package stdlib

import (
	"sync"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/stdlib/universe"
)

// Packages returns the standard library: the prelude under the empty path, and
// the rest by the path under which scripts import it. It is made at the first
// call and shared from then on.
var Packages = sync.OnceValue(func() map[string]*lib.Package {
	all := map[string]*lib.Package{}
	for _, p := range []*lib.Package{
		universe.Package(),
	} {
		all[p.Path] = p
	}
	return all
})
