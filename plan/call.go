package plan

import "github.com/varvedb/varve/column"

// Func names what a Call computes. Nulls never count.
type Func string

const (
	Count    Func = "count"    // number of values, of any type
	Sum      Func = "sum"      // in the type of the field
	Mean     Func = "mean"     // in floats
	Min      Func = "min"      // NaN is never the least
	Max      Func = "max"      // nor the greatest
	First    Func = "first"    // of any type
	Last     Func = "last"     // of any type
	Spread   Func = "spread"   // greatest less least
	Stddev   Func = "stddev"   // see Sample and Population
	Increase Func = "increase" // what a counter grew by, see below
	Quantile Func = "quantile" // of the values that are not NaN, see the methods
)

// Increase adds up, series by series, by how much each value is above the one
// before it in the window; a value that is lower counts in full, because the
// counter must have begun again at zero. NaN is skipped.

// Method names one of several ways to compute a Func.
type Method string

const (
	// Of Stddev: dividing by n-1 (the default; null for a single value) or n.
	Sample     Method = "sample"
	Population Method = "population"
	// Of Quantile: interpolated linearly between the two nearest values (the
	// default), the value itself that stands at place ceil(q*n), or what a
	// t-digest (Dunning and Ertl 2019) estimates in memory that does not grow
	// with the number of values.
	ExactMean     Method = "exact_mean"
	ExactSelector Method = "exact_selector"
	TDigest       Method = "estimate_tdigest"
)

// Call is a function of the values of one field, or, without a field, of
// every field that it can be applied to.
type Call struct {
	Func     Func    `json:"func"`
	Field    string  `json:"field,omitempty"`
	Method   Method  `json:"method,omitempty"`
	Quantile float64 `json:"quantile,omitempty"` // 0 to 1
}

// Selector reports whether the function chooses one of the points, so that
// the result has a time (and a series) of its own. Of equal values Min and Max
// choose the earliest; at the same time, that of the lowest series key.
func (f Func) Selector() bool { return f == Min || f == Max || f == First || f == Last }

// Known reports whether this version has the function.
func (f Func) Known() bool {
	switch f {
	case Count, Sum, Mean, Min, Max, First, Last, Spread, Stddev, Increase, Quantile:
		return true
	}
	return false
}

// Takes reports whether the function can be applied to values of a type.
func (f Func) Takes(t column.Type) bool {
	return f == Count || f == First || f == Last || t.Numeric()
}

// Result returns the type of the result on values of type t.
func (c Call) Result(t column.Type) column.Type {
	switch c.Func {
	case Count:
		return column.Int64
	case Mean, Stddev:
		return column.Float64
	case Quantile:
		if c.Method == ExactSelector {
			return t
		}
		return column.Float64
	}
	return t
}
