// Package vector computes functions of rows for whole columns at once. A
// function of a script is compiled if its body consists of arithmetic,
// comparisons, and, or, not, exists, conditionals, literals, captured scalars,
// and calls of functions that only depend on their arguments.
//
// What it computes is what calling the function row by row computes: the same
// values, kinds and nulls. Where that is not certain, because a row might end
// with an error or the kinds of values differ from row to row, a program says
// that it cannot tell, and the caller goes through the rows. A program belongs to
// one goroutine.
package vector

import (
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Source is a function of a script with what it captured, as value.Func.Source
// has it.
type Source interface {
	Function() *syntax.FunctionExpression
	// Lookup returns the value of a name that the function does not define.
	Lookup(name string) (value.Value, bool)
}

// Program is a compiled function of a row.
type Program struct {
	body   node
	locals []node // variables of the function, in order
}

// Compile returns fn, whose parameter param is a row, as a program, or nil if it
// is not of the kind that can be compiled.
func Compile(fn *value.Func, param string) *Program {
	c, e := newCompiler(fn, param)
	if c == nil {
		return nil
	}
	body, ok := c.expression(e)
	if !ok {
		return nil
	}
	return &Program{body, c.locals}
}

// Test returns the rows of t for which the program says yes, appended to rows.
// If all do it returns true and rows as they are. The last result reports
// whether the program can tell.
func (p *Program) Test(env value.Env, t *table.Table, rows []int) (yes []int, all, ok bool) {
	x, ok := newExec(env, t, p.locals)
	if !ok {
		return rows, false, false
	}
	o, ok := p.body.eval(x)
	switch {
	case !ok:
		return rows, false, false
	case o.null():
		return rows, false, true
	case o.kind() != value.Bool:
		return rows, false, false
	case o.col == nil:
		return rows, o.val.Bool(), true
	}
	for i, w := range o.col.Vec.Words { // of a null: zero
		if w != 0 {
			rows = append(rows, i)
		}
	}
	return rows, false, true
}

// Record is a compiled function of a row that returns a record.
type Record struct {
	with   bool // it has the columns of the row
	labels []string
	values []node
	locals []node
}

// CompileRecord returns fn, whose parameter param is a row, as a program, or nil
// if it is not of the kind that can be compiled.
func CompileRecord(fn *value.Func, param string) *Record {
	c, e := newCompiler(fn, param)
	if c == nil {
		return nil
	}
	object, with, ok := c.object(e)
	if !ok {
		return nil
	}
	r := &Record{with: with}
	for _, p := range object.Properties {
		v, ok := c.property(p)
		if !ok {
			return nil
		}
		r.labels, r.values = append(r.labels, p.Name), append(r.values, v)
	}
	r.locals = c.locals
	return r
}

// Extends returns the labels that fn sets if it returns its parameter param with
// some columns set, as (r) => ({r with a: 1}) does. It need not be one that can be
// compiled.
func Extends(fn *value.Func, param string) (labels []string, ok bool) {
	src, ok := fn.Source.(Source)
	if !ok {
		return nil, false
	}
	body, locals := bodyOf(src.Function())
	for _, l := range locals {
		if l.ID.Name == param {
			return nil, false
		}
	}
	object, ok := unwrap(body).(*syntax.ObjectExpression)
	if !ok || object.With == nil || object.With.Name != param {
		return nil, false
	}
	for _, p := range object.Properties {
		labels = append(labels, p.Name)
	}
	return labels, true
}

// Apply returns the rows that the program makes of those of t, under no key, and
// whether it can tell.
func (r *Record) Apply(env value.Env, t *table.Table) (*table.Table, bool) {
	x, ok := newExec(env, t, r.locals)
	if !ok {
		return nil, false
	}
	out := &table.Table{Key: table.NewKey(nil, nil), Rows: t.Rows}
	if r.with {
		out.Cols = append(out.Cols, t.Cols...)
	}
	for i, v := range r.values {
		o, ok := v.eval(x)
		if !ok || o.kind() != value.Null && !o.kind().Columnar() {
			return nil, false
		}
		at := out.Find(r.labels[i])
		switch {
		case o.kind() == value.Null:
			if at >= 0 { // a column of which not even the kind is known
				out.Cols = append(out.Cols[:at], out.Cols[at+1:]...)
			}
			continue
		case at < 0:
			at = len(out.Cols)
			out.Cols = append(out.Cols, table.Column{})
		}
		out.Cols[at] = o.column(r.labels[i])
	}
	return out, true
}
