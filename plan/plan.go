// Package plan declares what a query asks of the store, as plain data: which
// rows, and whether they are wanted as they are, condensed, or only named.
// Every language compiles to it, the scan executes it, and it travels to other
// nodes, so it holds no functions, refers to nothing outside itself and
// carries a version.
//
//	p := plan.New(bucket, start, stop)
//	p.Measurements = []string{"cpu"}
//	p.Tags = predicate.Eq("host", "h1")
//	p.Aggregate = &plan.Aggregate{
//		Calls:  []plan.Call{{Func: plan.Mean, Field: "usage_user"}},
//		Window: &plan.Window{Every: plan.Nanos(time.Hour)},
//		Group:  plan.BySeries(),
//	}
//
// Validate says what is wrong with a plan in words for the person who asked;
// String says what it does. A Plan may be shared by goroutines that do not
// change it.
package plan

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
)

// Version is the version of plans that this code makes. It executes that and
// every earlier one.
const Version = 1

// Plan is one question. The rows in question are those of Bucket and
// Measurements from Start until just before Stop whose series satisfies Tags
// and whose values satisfy Where. Exactly one of Rows, Aggregate and List says
// what is made of them.
type Plan struct {
	Version      int             `json:"version"`
	Bucket       uint64          `json:"bucket"`
	Measurements []string        `json:"measurements,omitempty"` // empty: all
	Start        int64           `json:"start"`                  // nanoseconds since 1970
	Stop         int64           `json:"stop"`                   // nanoseconds since 1970, itself left out
	Tags         *predicate.Expr `json:"tags,omitempty"`         // nil: every series
	Where        *Condition      `json:"where,omitempty"`        // nil: every row

	Rows      *Rows      `json:"rows,omitempty"`
	Aggregate *Aggregate `json:"aggregate,omitempty"`
	List      *List      `json:"list,omitempty"`

	// Desc turns the order of time within each group; groups ascend by
	// measurement and key either way.
	Desc bool `json:"desc,omitempty"`
	// Each pages through the rows or windows of each group, Groups through the
	// groups, Total through all rows in the order in which they come; they
	// apply in this order. A group is a series, what Aggregate.Group makes, or
	// (of a List and of merged Rows) a measurement.
	Each   Page `json:"each,omitzero"`
	Groups Page `json:"groups,omitzero"`
	Total  Page `json:"total,omitzero"`
}

// New returns a plan over all rows of a bucket from start until before stop.
func New(bucket uint64, start, stop int64) *Plan {
	return &Plan{Version: Version, Bucket: bucket, Start: start, Stop: stop}
}

// Bounds returns the times of the first and last nanosecond in question. first
// is greater than last if there is none.
func (p *Plan) Bounds() (first, last int64) {
	if p.Stop <= column.MinTime {
		return 1, 0
	}
	return max(p.Start, column.MinTime), min(p.Stop-1, column.MaxTime)
}

// Rows wants the rows themselves, with one column for each field. Rows in
// which none of Fields has a value are left out.
type Rows struct {
	Fields []string `json:"fields,omitempty"` // empty: all, ascending by name
	// Merged puts the rows of all series of a measurement into one order of
	// time (at one time, by series key) instead of series by series.
	Merged bool `json:"merged,omitempty"`
}

// Aggregate wants values condensed by group and window of time. A group is in
// the result if one of the calls found a value in it.
type Aggregate struct {
	Calls  []Call  `json:"calls"`
	Window *Window `json:"window,omitempty"` // nil: one window, from Start to Stop
	Group  Group   `json:"group,omitzero"`
}

// Group says which series of a measurement are condensed together.
type Group struct {
	Series bool     `json:"series,omitempty"` // each series on its own
	Tags   []string `json:"tags,omitempty"`   // those with equal values of these tags; empty: all
}

// BySeries keeps each series on its own.
func BySeries() Group { return Group{Series: true} }

// ByTags puts series together that have the same values of some tags.
func ByTags(tags ...string) Group { return Group{Tags: tags} }

// List wants names.
type List struct {
	What ListKind `json:"what"`
	Tag  string   `json:"tag,omitempty"` // the tag key, for TagValues
	// From is the least value that is wanted, of TagValues. With it and a limit
	// of each group, a page of very many values takes no more work and memory
	// than a page of few.
	From string `json:"from,omitempty"`
}

// ListKind says which names a List wants.
type ListKind string

const (
	Measurements ListKind = "measurements"
	TagKeys      ListKind = "tag_keys"
	TagValues    ListKind = "tag_values"
	Fields       ListKind = "fields" // with their types
)

// Page chooses a stretch of a sequence. The zero Page is all of it.
type Page struct {
	Offset int64 `json:"offset,omitempty"`
	Limit  int64 `json:"limit,omitempty"` // 0: no limit
}

// All reports whether p chooses everything.
func (p Page) All() bool { return p == Page{} }

// End returns the first place behind the page, or -1 if it has no end.
func (p Page) End() int64 {
	if p.Limit == 0 {
		return -1
	}
	return p.Offset + p.Limit
}

// Cut returns the part of n consecutive places, the first of which is at, that
// is within the page: from lo to hi-1 of them.
func (p Page) Cut(at int64, n int) (lo, hi int) {
	lo64 := min(max(p.Offset-at, 0), int64(n))
	hi64 := int64(n)
	if end := p.End(); end >= 0 {
		hi64 = min(max(end-at, lo64), int64(n))
	}
	return int(lo64), int(hi64)
}
