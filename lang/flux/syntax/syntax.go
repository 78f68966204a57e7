// Package syntax reads Flux: a scanner, a parser that goes on after errors,
// and the tree that they make, with the place of each node. The grammar is
// that of docs/SPEC.md of influxdata/flux, with what the language has gained
// since. The tree is also read and written as the JSON that InfluxDB clients
// exchange (json.go).
//
// Package flux calls it; nothing here knows what a script means. All functions
// are pure and safe for concurrent use; a tree belongs to whoever parsed it.
package syntax

import (
	"cmp"
	"fmt"
	"slices"
)

// Pos is a place in a script: line and column, both from 1, the column in
// bytes. The zero Pos is no place.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// Span is from the first byte of a node to behind its last.
type Span struct {
	Start, End Pos
}

func (s Span) String() string { return s.Start.String() + "-" + s.End.String() }

// Location returns s itself; nodes have it by embedding.
func (s Span) Location() Span { return s }

// Error is what is wrong at a place of a script.
type Error struct {
	Span
	Message string
}

func (e *Error) Error() string { return "error @" + e.Span.String() + ": " + e.Message }

// Errors is everything that is wrong with a script, in order of place. There is
// one for a line: what follows from the first says nothing new.
type Errors []*Error

// maxErrors is more than anybody mends at a time.
const maxErrors = 20

// add adds an error, unless there is one of its line.
func (e *Errors) add(span Span, message string) {
	if len(*e) >= maxErrors || slices.ContainsFunc(*e, func(have *Error) bool { return have.Start.Line == span.Start.Line }) {
		return
	}
	*e = append(*e, &Error{span, message})
}

// sort puts errors in order of place.
func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b *Error) int { return cmp.Compare(a.Start.Line, b.Start.Line) })
}

func (e Errors) Error() string {
	text := ""
	for i, one := range e {
		if i > 0 {
			text += "\n"
		}
		text += one.Error()
	}
	return text
}
