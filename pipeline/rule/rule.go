// Package rule has the expressions of pipelines: what a reading must be, what it
// is given, and when a step applies. The language is that of expr-lang/expr; its
// variables are the tags and fields of the record by their names, and those that
// Names lists. An expression is compiled once, when the declaration is read.
//
// A variable that the record does not have is nil: value ?? 0 gives another
// instead, and value != nil asks. Numbers are floats unless the field is an
// integer.
//
// A Rule is safe for concurrent use; each goroutine has its own Scratch.
package rule

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

// Names are the variables that a record is known to have.
type Names struct {
	// Fields has those that the decoder makes and steps add, with their types; 0
	// is a type that is not known.
	Fields map[string]column.Type
	Tags   []string
	// Open says that records may have others too.
	Open bool
	// Time is what the decoder calls the time, besides time; "" if nothing.
	Time string
}

// Clone returns names to which more can be added.
func (n Names) Clone() Names {
	fields := make(map[string]column.Type, len(n.Fields))
	for k, v := range n.Fields {
		fields[k] = v
	}
	n.Fields, n.Tags = fields, slices.Clone(n.Tags)
	return n
}

// Or returns the names of records some of which have those of n, and some those
// of o.
func (n Names) Or(o Names) Names {
	all := n.Clone()
	for name, t := range o.Fields {
		if have, ok := all.Fields[name]; ok && have != t {
			t = 0
		}
		all.Fields[name] = t
	}
	for _, tag := range o.Tags {
		if !slices.Contains(all.Tags, tag) {
			all.Tags = append(all.Tags, tag)
		}
	}
	all.Open = n.Open || o.Open
	return all
}

// Variables that every record has.
const (
	timeName        = "time"        // of the reading; nil if it has none
	measurementName = "measurement" // its name
	topicName       = "topic"       // of its message
	clientName      = "client"      // who sent it
	nowName         = "now"         // when it arrived
	tagsName        = "tags"        // all tags, for names that are not words: tags["my tag"]
	fieldsName      = "fields"      // all fields
)

// Rule is an expression.
type Rule struct {
	text    string
	program *vm.Program
	names   []string // variables that it reads
}

// Text returns the expression.
func (r *Rule) Text() string { return r.text }

// Kind is what an expression has to give.
type Kind int

// The kinds.
const (
	Condition Kind = iota // true or false
	Expression
)

// Error is what is wrong with an expression, with the place in its text.
type Error struct {
	Line, Column int // from 1
	Problem      string
}

func (e *Error) Error() string { return e.Problem }

// Compile compiles an expression. Its error is an *Error.
func Compile(text string, kind Kind, names Names) (*Rule, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &Error{1, 1, "the expression is empty"}
	}
	var seen identifiers
	options := []expr.Option{expr.Env(environment(names)), expr.Patch(&seen), expr.DisableBuiltin("now")}
	if kind == Condition {
		options = append(options, expr.AsBool())
	}
	program, err := expr.Compile(text, options...)
	if err != nil {
		return nil, explain(text, err, names)
	}
	if slices.Contains(seen.names, "$env") {
		return nil, &Error{1, 1, "$env is not for rules: name the variable, or use fields and tags"}
	}
	// Which names a record has shows only when it comes: a text that is absent is no
	// text, and differs from all. The faster comparisons want both to be there.
	for i, op := range program.Bytecode {
		if op == vm.OpEqualString || op == vm.OpEqualInt {
			program.Bytecode[i] = vm.OpEqual
		}
	}
	slices.Sort(seen.names)
	return &Rule{text: text, program: program, names: slices.Compact(seen.names)}, nil
}

// explain makes of an error of the library one with a place and without the
// picture.
func explain(text string, err error, names Names) error {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return &Error{1, 1, plain(err.Error())}
	}
	e := &Error{Line: max(fe.Line, 1), Column: fe.Column + 1, Problem: plain(fe.Message)}
	if name, ok := strings.CutPrefix(fe.Message, "unknown name "); ok {
		known := []string{timeName, measurementName, topicName, clientName, nowName}
		known = append(known, names.Tags...)
		for f := range names.Fields {
			known = append(known, f)
		}
		slices.Sort(known)
		e.Problem = fmt.Sprintf("unknown name %s; there are %s", name, strings.Join(slices.Compact(known), ", "))
	}
	return e
}

// identifiers gathers the names that an expression reads.
type identifiers struct{ names []string }

// Visit implements ast.Visitor.
func (i *identifiers) Visit(n *ast.Node) {
	switch node := (*n).(type) {
	case *ast.IdentifierNode:
		i.names = append(i.names, node.Value)
	case *ast.BinaryNode:
		plainList(node)
	}
}

// plainList keeps the library from looking up in a set of texts what may be no
// text: nil would be found as "", and a number would be an error. Only a name that
// is known as a text is looked up there, in a list without "".
func plainList(in *ast.BinaryNode) {
	list, ok := in.Right.(*ast.ArrayNode)
	if in.Operator != "in" || !ok || len(list.Nodes) == 0 {
		return
	}
	t := in.Left.Type()
	set := t != nil && t.Kind() == reflect.String
	texts := make([]any, len(list.Nodes))
	for k, n := range list.Nodes {
		text, ok := n.(*ast.StringNode)
		if !ok {
			return
		}
		texts[k] = text.Value
		set = set && text.Value != ""
	}
	if !set {
		ast.Patch(&in.Right, &ast.ConstantNode{Value: texts})
	}
}

// environment returns the variables with their types.
func environment(n Names) types.Map {
	env := types.Map{
		timeName: types.Any, measurementName: types.String, topicName: types.String, clientName: types.String,
		nowName: types.TypeOf(time.Time{}), tagsName: types.TypeOf(map[string]any{}), fieldsName: types.TypeOf(map[string]any{}),
	}
	for _, tag := range n.Tags {
		env[tag] = types.String
	}
	for name, t := range n.Fields {
		env[name] = typeOf(t)
		if slices.Contains(n.Tags, name) { // a tag of some records and a field of others
			env[name] = types.Any
		}
	}
	if n.Time != "" {
		if _, taken := env[n.Time]; !taken {
			env[n.Time] = types.Any
		}
	}
	if n.Open {
		env[types.Extra] = types.Any
	}
	return env
}

func typeOf(t column.Type) types.Type {
	switch t {
	case column.Float64:
		return types.Float64
	case column.Int64:
		return types.Int64
	case column.String:
		return types.String
	case column.Bool:
		return types.Bool
	}
	return types.Any
}

// TypeOf returns the type of the field that r gives, 0 if it cannot be told.
func (r *Rule) TypeOf() column.Type {
	node := r.program.Node()
	if node == nil || node.Type() == nil {
		return 0
	}
	switch node.Type().String() {
	case "float64", "float32":
		return column.Float64
	case "int", "int64", "int32":
		return column.Int64
	case "string":
		return column.String
	case "bool":
		return column.Bool
	}
	return 0
}

// Scratch is what evaluating takes; it belongs to one goroutine.
type Scratch struct {
	env map[string]any
	vm  vm.VM
	// What the present message says; set it before evaluating.
	Topic, Client string
	// Now is when the messages arrived.
	Now time.Time
	// TimeName is what the decoder calls the time.
	TimeName string
}

// NewScratch returns an empty one.
func NewScratch() *Scratch { return &Scratch{env: map[string]any{}} }

// load gives the variables of r their values.
func (r *Rule) load(s *Scratch, rec *record.Record) {
	for _, name := range r.names {
		s.env[name] = s.variable(name, rec)
	}
}

// variable returns the value of a name. Tags and fields come first, so that a
// field called topic is what its device says.
func (s *Scratch) variable(name string, rec *record.Record) any {
	for i := range rec.Fields {
		if rec.Fields[i].Name == name {
			return rec.Fields[i].Any()
		}
	}
	for i := range rec.Tags {
		if rec.Tags[i].Key == name {
			return rec.Tags[i].Value
		}
	}
	switch name {
	case measurementName:
		return rec.Measurement
	case topicName:
		return s.Topic
	case clientName:
		return s.Client
	case nowName:
		return s.Now
	case tagsName:
		all := make(map[string]any, len(rec.Tags))
		for i := range rec.Tags {
			all[rec.Tags[i].Key] = rec.Tags[i].Value
		}
		return all
	case fieldsName:
		all := make(map[string]any, len(rec.Fields))
		for i := range rec.Fields {
			all[rec.Fields[i].Name] = rec.Fields[i].Any()
		}
		return all
	}
	if (name == timeName || name == s.TimeName) && rec.Timed {
		return time.Unix(0, rec.Time).UTC()
	}
	return nil
}

// run evaluates r. What cannot be computed of this record, such as a sum with what
// it lacks, is an error that says so.
func (r *Rule) run(s *Scratch, rec *record.Record) (any, error) {
	r.load(s, rec)
	out, err := s.vm.Run(r.program, s.env)
	if err != nil {
		return nil, r.failure(s, err)
	}
	return out, nil
}

// Holds evaluates a condition.
func (r *Rule) Holds(s *Scratch, rec *record.Record) (bool, error) {
	out, err := r.run(s, rec)
	if err != nil {
		return false, err
	}
	yes, ok := out.(bool)
	if out == nil {
		return false, r.failure(s, nil)
	}
	if !ok {
		return false, fmt.Errorf("%s: want true or false, found %s", r.text, kindOf(out))
	}
	return yes, nil
}

// Value evaluates an expression. A number that it gives is finite: line protocol and
// JSON have no other.
func (r *Rule) Value(s *Scratch, rec *record.Record) (record.Value, error) {
	out, err := r.run(s, rec)
	if err != nil {
		return record.Value{}, err
	}
	v, err := record.Of(out)
	if err != nil {
		return v, fmt.Errorf("%s: a value may be a number, a text, true or false, not %s", r.text, kindOf(out))
	}
	if f, ok := v.Number(); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return v, fmt.Errorf("%s: the result is no finite number, as after a division by zero%s", r.text, r.where(s))
	}
	return v, nil
}
