// Package anncsv writes and reads annotated CSV, in which InfluxDB 2 exchanges
// tables: rows of comma-separated values, with rows before them that say of each
// column its type, whether it is in the group key, and what an empty cell means.
// The format is that of InfluxDB's documentation ("Annotated CSV") and of its
// encoder.
//
// An Encoder and a Decoder belong to one goroutine.
package anncsv

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/value"
)

// The annotations.
const (
	datatype = "datatype"
	group    = "group"
	defaults = "default"
)

// Dialect says how tables are written.
type Dialect struct {
	Header        bool // a row with the names of the columns
	Delimiter     byte
	CommentPrefix string // of annotations
	annotations   []string
}

// DefaultDialect returns the dialect of a request that asks for none: commas,
// names of columns, no annotations.
func DefaultDialect() Dialect { return Dialect{Header: true, Delimiter: ',', CommentPrefix: "#"} }

// Annotate adds an annotation: datatype, group or default. It reports false for
// another.
func (d *Dialect) Annotate(name string) bool {
	if name != datatype && name != group && name != defaults {
		return false
	}
	if !d.has(name) {
		d.annotations = append(slices.Clip(d.annotations), name)
	}
	return true
}

func (d *Dialect) has(annotation string) bool { return slices.Contains(d.annotations, annotation) }

// typeName returns what the annotation datatype calls values of a kind.
func typeName(k value.Kind) string {
	switch k {
	case value.Bool:
		return "boolean"
	case value.Int:
		return "long"
	case value.Uint:
		return "unsignedLong"
	case value.Float:
		return "double"
	case value.String:
		return "string"
	case value.Time:
		return "dateTime:RFC3339"
	}
	panic("BUG: no column holds values of kind " + k.String())
}

// kindOf returns the kind of values that the annotation datatype calls name.
func kindOf(name string) (value.Kind, bool) {
	switch name {
	case "boolean":
		return value.Bool, true
	case "long":
		return value.Int, true
	case "unsignedLong":
		return value.Uint, true
	case "double":
		return value.Float, true
	case "string", "tag":
		return value.String, true
	case "dateTime", "dateTime:RFC3339", "dateTime:RFC3339Nano":
		return value.Time, true
	}
	return value.Absent, false
}
