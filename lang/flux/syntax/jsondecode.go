package syntax

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// ParseJSON reads a file from the JSON that MarshalJSON and influxdata/flux
// write: a File, or a Package of which the files count as one. Whose type is
// absent is a File too: the Python client leaves it out.
func ParseJSON(text []byte) (*File, error) {
	d := &treeDecoder{}
	var o obj
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&o); err != nil {
		return nil, fmt.Errorf("read tree of a script: %w", err)
	}
	f := &File{}
	files := []obj{o}
	if o["type"] == "Package" {
		files = d.objects(o["files"])
	}
	for _, one := range files {
		if one["type"] != nil && one["type"] != "File" {
			d.fail(one, "a File")
		}
		d.file(one, f)
	}
	if d.err != nil {
		return nil, fmt.Errorf("read tree of a script: %w", d.err)
	}
	return f, nil
}

// treeDecoder keeps the first error, and goes on with empty nodes.
type treeDecoder struct {
	err   error
	depth int
}

func (d *treeDecoder) fail(o obj, want string) {
	if d.err == nil {
		d.err = fmt.Errorf("found a node of type %v instead of %s", o["type"], want)
	}
}

func (d *treeDecoder) object(v any) obj {
	if o, ok := v.(obj); ok {
		return o
	}
	o, _ := v.(map[string]any)
	return o
}

func (d *treeDecoder) objects(v any) []obj {
	list, _ := v.([]any)
	var all []obj
	for _, one := range list {
		all = append(all, d.object(one))
	}
	return all
}

func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return string(v)
	}
	return ""
}

func (d *treeDecoder) span(o obj) Span {
	l := d.object(o["location"])
	pos := func(v any) Pos {
		p := d.object(v)
		line, _ := strconv.Atoi(str(p["line"]))
		column, _ := strconv.Atoi(str(p["column"]))
		return Pos{line, column}
	}
	return Span{pos(l["start"]), pos(l["end"])}
}

func (d *treeDecoder) file(o obj, f *File) {
	f.Span = d.span(o)
	if p := d.object(o["package"]); p != nil {
		f.Package = str(d.object(p["name"])["name"])
	}
	for _, i := range d.objects(o["imports"]) {
		im := &Import{Span: d.span(i), Path: str(d.object(i["path"])["value"])}
		if as := d.object(i["as"]); as != nil {
			im.As = d.identifier(as)
		}
		f.Imports = append(f.Imports, im)
	}
	f.Body = append(f.Body, d.statements(o["body"])...)
}

func (d *treeDecoder) statements(v any) []Statement {
	var all []Statement
	for _, s := range d.objects(v) {
		all = append(all, d.statement(s))
	}
	return all
}

func (d *treeDecoder) statement(o obj) Statement {
	at := d.span(o)
	switch o["type"] {
	case "ExpressionStatement":
		return &ExpressionStatement{at, d.expression(o["expression"])}
	case "VariableAssignment":
		return &VariableAssignment{at, d.identifier(o["id"]), d.expression(o["init"])}
	case "MemberAssignment":
		m, ok := d.expression(o["member"]).(*MemberExpression)
		if !ok {
			d.fail(o, "an assignment to a member")
			m = &MemberExpression{Object: &Identifier{}}
		}
		return &MemberAssignment{at, m, d.expression(o["init"])}
	case "OptionStatement":
		a := d.object(o["assignment"])
		if a["type"] != "VariableAssignment" && a["type"] != "MemberAssignment" {
			d.fail(a, "an assignment")
			return &BadStatement{Span: at}
		}
		return &OptionStatement{at, d.statement(a)}
	case "ReturnStatement":
		return &ReturnStatement{at, d.expression(o["argument"])}
	}
	d.fail(o, "a statement")
	return &BadStatement{Span: at}
}

func (d *treeDecoder) identifier(v any) *Identifier {
	o := d.object(v)
	return &Identifier{d.span(o), str(o["name"])}
}

func (d *treeDecoder) expressions(v any) []Expression {
	var all []Expression
	list, _ := v.([]any)
	for _, e := range list {
		all = append(all, d.expression(e))
	}
	return all
}

func (d *treeDecoder) expression(v any) Expression {
	o := d.object(v)
	at := d.span(o)
	if d.depth++; d.depth > maxDepth {
		d.fail(o, "something less deeply nested")
		d.depth--
		return &BadExpression{Span: at}
	}
	defer func() { d.depth-- }()
	switch o["type"] {
	case "Identifier":
		return d.identifier(o)
	case "IntegerLiteral":
		n, err := strconv.ParseInt(str(o["value"]), 10, 64)
		d.note(err)
		return &IntegerLiteral{at, n}
	case "UnsignedIntegerLiteral":
		n, err := strconv.ParseUint(str(o["value"]), 10, 64)
		d.note(err)
		return &UnsignedLiteral{at, n}
	case "FloatLiteral":
		f, err := strconv.ParseFloat(str(o["value"]), 64)
		d.note(err)
		return &FloatLiteral{at, f}
	case "StringLiteral":
		return &StringLiteral{at, str(o["value"])}
	case "StringExpression":
		e := &StringExpression{Span: at}
		for _, p := range d.objects(o["parts"]) {
			if p["type"] == "TextPart" {
				e.Parts = append(e.Parts, &StringLiteral{d.span(p), str(p["value"])})
			} else {
				e.Parts = append(e.Parts, d.expression(p["expression"]))
			}
		}
		return e
	case "BooleanLiteral":
		b, _ := o["value"].(bool)
		return &BooleanLiteral{at, b}
	case "RegexpLiteral":
		if len(str(o["value"])) > MaxPattern {
			d.fail(o, "a shorter regular expression")
			return &BadExpression{Span: at}
		}
		_, err := regexp.Compile(str(o["value"]))
		d.note(err)
		return &RegexpLiteral{at, str(o["value"])}
	case "DurationLiteral":
		e := &DurationLiteral{Span: at}
		for _, t := range d.objects(o["values"]) {
			n, err := strconv.ParseInt(str(t["magnitude"]), 10, 64)
			d.note(err)
			e.Terms = append(e.Terms, Magnitude{n, unitName(str(t["unit"]))})
		}
		return e
	case "DateTimeLiteral":
		t, err := time.Parse(time.RFC3339Nano, str(o["value"]))
		d.note(err)
		return &DateTimeLiteral{at, t}
	case "PipeLiteral":
		return &PipeLiteral{at}
	case "LabelLiteral":
		return &LabelLiteral{at, str(o["value"])}
	case "ArrayExpression":
		return &ArrayExpression{at, d.expressions(o["elements"])}
	case "DictExpression":
		e := &DictExpression{Span: at}
		for _, i := range d.objects(o["elements"]) {
			e.Elements = append(e.Elements, DictItem{d.expression(i["key"]), d.expression(i["val"])})
		}
		return e
	case "ObjectExpression":
		e := &ObjectExpression{Span: at, Properties: d.properties(o["properties"])}
		if with := d.object(o["with"]); with != nil {
			e.With = d.identifier(with)
		}
		return e
	case "FunctionExpression":
		return d.function(o, at)
	case "CallExpression":
		return d.call(o, at)
	case "PipeExpression":
		call := d.object(o["call"])
		return &PipeExpression{at, d.expression(o["argument"]), d.call(call, d.span(call))}
	case "MemberExpression":
		name, quoted := d.key(o["property"])
		return &MemberExpression{at, d.expression(o["object"]), name, quoted}
	case "IndexExpression":
		return &IndexExpression{at, d.expression(o["array"]), d.expression(o["index"])}
	case "UnaryExpression":
		return &UnaryExpression{at, str(o["operator"]), d.expression(o["argument"])}
	case "BinaryExpression":
		return &BinaryExpression{at, str(o["operator"]), d.expression(o["left"]), d.expression(o["right"])}
	case "LogicalExpression":
		return &LogicalExpression{at, str(o["operator"]), d.expression(o["left"]), d.expression(o["right"])}
	case "ConditionalExpression":
		return &ConditionalExpression{at, d.expression(o["test"]), d.expression(o["consequent"]), d.expression(o["alternate"])}
	case "ParenExpression":
		return &ParenExpression{at, d.expression(o["expression"])}
	}
	d.fail(o, "an expression")
	return &BadExpression{Span: at}
}

func (d *treeDecoder) note(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *treeDecoder) key(v any) (name string, quoted bool) {
	o := d.object(v)
	if o["type"] == "StringLiteral" {
		return str(o["value"]), true
	}
	return str(o["name"]), false
}

func (d *treeDecoder) properties(v any) []*Property {
	var all []*Property
	for _, o := range d.objects(v) {
		p := &Property{Span: d.span(o)}
		p.Name, p.Quoted = d.key(o["key"])
		if o["value"] != nil {
			p.Value = d.expression(o["value"])
		}
		all = append(all, p)
	}
	return all
}

func (d *treeDecoder) call(o obj, at Span) *CallExpression {
	c := &CallExpression{Span: at, Callee: d.expression(o["callee"])}
	for _, a := range d.objects(o["arguments"]) {
		c.Arguments = append(c.Arguments, d.properties(a["properties"])...)
	}
	return c
}

func (d *treeDecoder) function(o obj, at Span) Expression {
	f := &FunctionExpression{Span: at}
	for _, p := range d.objects(o["params"]) {
		param := &Param{Span: d.span(p)}
		param.Name, _ = d.key(p["key"])
		if p["value"] != nil {
			param.Default = d.expression(p["value"])
		}
		f.Params = append(f.Params, param)
	}
	body := d.object(o["body"])
	if body["type"] == "Block" {
		f.Block = &Block{d.span(body), d.statements(body["body"])}
	} else {
		f.Body = d.expression(body)
	}
	return f
}
