package storage

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// Source is a function that a script wrote: an *interp.Closure.
type Source interface {
	// Function returns its tree.
	Function() *syntax.FunctionExpression
	// Lookup returns the value that a name which is neither a parameter nor a
	// variable of the function has within it.
	Lookup(name string) (value.Value, bool)
}

// references returns the columns that a function of a row names.
func references(fn *value.Func) []string {
	src, ok := fn.Source.(Source)
	if !ok || len(src.Function().Params) == 0 {
		return nil
	}
	f := src.Function()
	r := mentions{row: f.Params[0].Name}
	r.expression(f.Body)
	r.block(f.Block)
	return r.columns
}

// mentions collects the properties of one record that a tree names.
type mentions struct {
	row     string
	columns []string
}

func (m *mentions) block(b *syntax.Block) {
	if b == nil {
		return
	}
	for _, s := range b.Body {
		switch s := s.(type) {
		case *syntax.ExpressionStatement:
			m.expression(s.Expression)
		case *syntax.VariableAssignment:
			m.expression(s.Init)
		case *syntax.ReturnStatement:
			m.expression(s.Argument)
		}
	}
}

func (m *mentions) all(list []syntax.Expression) {
	for _, e := range list {
		m.expression(e)
	}
}

func (m *mentions) properties(list []*syntax.Property) {
	for _, p := range list {
		if p.Value != nil {
			m.expression(p.Value)
		}
	}
}

func (m *mentions) expression(e syntax.Expression) {
	switch e := e.(type) {
	case *syntax.MemberExpression:
		if id, ok := e.Object.(*syntax.Identifier); !ok || id.Name != m.row {
			m.expression(e.Object)
		} else if !slices.Contains(m.columns, e.Property) {
			m.columns = append(m.columns, e.Property)
		}
	case *syntax.StringExpression:
		m.all(e.Parts)
	case *syntax.ArrayExpression:
		m.all(e.Elements)
	case *syntax.DictExpression:
		for _, item := range e.Elements {
			m.expression(item.Key)
			m.expression(item.Value)
		}
	case *syntax.ObjectExpression:
		m.properties(e.Properties)
	case *syntax.FunctionExpression:
		m.expression(e.Body)
		m.block(e.Block)
	case *syntax.CallExpression:
		m.expression(e.Callee)
		m.properties(e.Arguments)
	case *syntax.PipeExpression:
		m.expression(e.Argument)
		m.expression(e.Call)
	case *syntax.IndexExpression:
		m.expression(e.Array)
		m.expression(e.Index)
	case *syntax.UnaryExpression:
		m.expression(e.Argument)
	case *syntax.BinaryExpression:
		m.all([]syntax.Expression{e.Left, e.Right})
	case *syntax.LogicalExpression:
		m.all([]syntax.Expression{e.Left, e.Right})
	case *syntax.ConditionalExpression:
		m.all([]syntax.Expression{e.Test, e.Consequent, e.Alternate})
	case *syntax.ParenExpression:
		m.expression(e.Expression)
	}
}
