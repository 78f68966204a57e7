// Package universe is the prelude: what every script sees without an import.
// Its files make functions of the operators of packages transform, aggregate and
// series, a file for each family.
package universe

import "github.com/varvedb/varve/lang/flux/lib"

// Package returns the prelude.
func Package() *lib.Package {
	p := lib.New("")
	fromStorage(p)
	conversions(p)
	values(p)
	rows(p)
	shape(p)
	columns(p)
	dynamicQuery(p)
	joins(p)
	aggregates(p)
	selectors(p)
	windows(p)
	seriesFunctions(p)
	return p
}
