// Package stdlib lists the packages that scripts can import.
package stdlib

import (
	"sync"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/stdlib/analysis"
	"github.com/varvedb/varve/lang/flux/stdlib/array"
	"github.com/varvedb/varve/lang/flux/stdlib/csv"
	"github.com/varvedb/varve/lang/flux/stdlib/date"
	"github.com/varvedb/varve/lang/flux/stdlib/dynamic"
	"github.com/varvedb/varve/lang/flux/stdlib/experimental"
	"github.com/varvedb/varve/lang/flux/stdlib/geo"
	"github.com/varvedb/varve/lang/flux/stdlib/hash"
	"github.com/varvedb/varve/lang/flux/stdlib/influxdb"
	"github.com/varvedb/varve/lang/flux/stdlib/join"
	"github.com/varvedb/varve/lang/flux/stdlib/kinds"
	"github.com/varvedb/varve/lang/flux/stdlib/math"
	"github.com/varvedb/varve/lang/flux/stdlib/monitor"
	"github.com/varvedb/varve/lang/flux/stdlib/notify"
	"github.com/varvedb/varve/lang/flux/stdlib/polyline"
	"github.com/varvedb/varve/lang/flux/stdlib/promql"
	"github.com/varvedb/varve/lang/flux/stdlib/regexp"
	"github.com/varvedb/varve/lang/flux/stdlib/sample"
	"github.com/varvedb/varve/lang/flux/stdlib/strings"
	"github.com/varvedb/varve/lang/flux/stdlib/system"
	"github.com/varvedb/varve/lang/flux/stdlib/testing"
	"github.com/varvedb/varve/lang/flux/stdlib/universe"
)

// Packages returns the standard library: the prelude under the empty path, and
// the rest by the path under which scripts import it. It is made at the first
// call and shared from then on.
var Packages = sync.OnceValue(func() map[string]*lib.Package {
	all := map[string]*lib.Package{}
	for _, list := range [][]*lib.Package{
		{universe.Package()},
		analysis.Packages(),
		array.Packages(),
		csv.Packages(),
		influxdb.Packages(),
		date.Packages(),
		dynamic.Packages(),
		experimental.Packages(),
		join.Packages(),
		geo.Packages(),
		hash.Packages(),
		kinds.Packages(),
		math.Packages(),
		monitor.Packages(),
		notify.Packages(),
		polyline.Packages(),
		promql.Packages(),
		regexp.Packages(),
		sample.Packages(),
		strings.Packages(),
		system.Packages(),
		testing.Packages(),
	} {
		for _, p := range list {
			all[p.Path] = p
		}
	}
	return all
})
