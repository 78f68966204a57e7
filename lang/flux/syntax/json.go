package syntax

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// The JSON of a tree is that of influxdata/flux: each node an object with a
// "type" and its parts. Clients send such trees as "extern", and read them from
// /api/v2/query/ast.

// obj is a node on its way to or from JSON.
type obj map[string]any

// MarshalJSON writes the file as influxdata/flux does.
func (f *File) MarshalJSON() ([]byte, error) {
	o := node("File", f.Span)
	o["metadata"] = "parser-type=go"
	o["package"] = nil
	if f.Package != "" {
		o["package"] = obj{"type": "PackageClause", "name": obj{"type": "Identifier", "name": f.Package}}
	}
	imports := []obj{}
	for _, i := range f.Imports {
		d := node("ImportDeclaration", i.Span)
		d["as"] = nil
		if i.As != nil {
			d["as"] = encodeExpression(i.As)
		}
		d["path"] = obj{"type": "StringLiteral", "value": i.Path}
		imports = append(imports, d)
	}
	o["imports"] = imports
	o["body"] = encodeStatements(f.Body)
	return json.Marshal(o)
}

func node(kind string, s Span) obj {
	return obj{"type": kind, "location": obj{"start": s.Start, "end": s.End}}
}

func encodeStatements(all []Statement) []obj {
	out := []obj{}
	for _, s := range all {
		out = append(out, encodeStatement(s))
	}
	return out
}

func encodeStatement(s Statement) obj {
	at := s.Location()
	switch s := s.(type) {
	case *ExpressionStatement:
		o := node("ExpressionStatement", at)
		o["expression"] = encodeExpression(s.Expression)
		return o
	case *VariableAssignment:
		o := node("VariableAssignment", at)
		o["id"], o["init"] = encodeExpression(s.ID), encodeExpression(s.Init)
		return o
	case *MemberAssignment:
		o := node("MemberAssignment", at)
		o["member"], o["init"] = encodeExpression(s.Member), encodeExpression(s.Init)
		return o
	case *OptionStatement:
		o := node("OptionStatement", at)
		o["assignment"] = encodeStatement(s.Assignment)
		return o
	case *ReturnStatement:
		o := node("ReturnStatement", at)
		o["argument"] = encodeExpression(s.Argument)
		return o
	case *BuiltinStatement:
		o := node("BuiltinStatement", at)
		o["id"] = encodeExpression(s.ID)
		return o
	case *TestCaseStatement:
		o := node("TestCaseStatement", at)
		o["id"], o["block"] = encodeExpression(s.ID), encodeBlock(s.Block)
		return o
	case *BadStatement:
		o := node("BadStatement", at)
		o["text"] = s.Text
		return o
	}
	panic(fmt.Sprintf("BUG: statement %T has no JSON", s))
}

func encodeBlock(b *Block) obj {
	o := node("Block", b.Span)
	o["body"] = encodeStatements(b.Body)
	return o
}

func encodeExpressions(all []Expression) []obj {
	out := []obj{}
	for _, e := range all {
		out = append(out, encodeExpression(e))
	}
	return out
}

func encodeExpression(e Expression) obj {
	at := e.Location()
	value := func(kind string, v any) obj {
		o := node(kind, at)
		o["value"] = v
		return o
	}
	switch e := e.(type) {
	case *Identifier:
		o := node("Identifier", at)
		o["name"] = e.Name
		return o
	case *IntegerLiteral:
		return value("IntegerLiteral", strconv.FormatInt(e.Value, 10))
	case *UnsignedLiteral:
		return value("UnsignedIntegerLiteral", strconv.FormatUint(e.Value, 10))
	case *FloatLiteral:
		return value("FloatLiteral", e.Value)
	case *StringLiteral:
		return value("StringLiteral", e.Value)
	case *StringExpression:
		o := node("StringExpression", at)
		parts := []obj{}
		for _, p := range e.Parts {
			d := node("InterpolatedPart", p.Location())
			if s, ok := p.(*StringLiteral); ok {
				d = node("TextPart", p.Location())
				d["value"] = s.Value
			} else {
				d["expression"] = encodeExpression(p)
			}
			parts = append(parts, d)
		}
		o["parts"] = parts
		return o
	case *BooleanLiteral:
		return value("BooleanLiteral", e.Value)
	case *RegexpLiteral:
		return value("RegexpLiteral", e.Value)
	case *DurationLiteral:
		o := node("DurationLiteral", at)
		o["values"] = e.Terms
		return o
	case *DateTimeLiteral:
		return value("DateTimeLiteral", e.Value.Format(time.RFC3339Nano))
	case *PipeLiteral:
		return node("PipeLiteral", at)
	case *LabelLiteral:
		return value("LabelLiteral", e.Value)
	case *ArrayExpression:
		o := node("ArrayExpression", at)
		o["elements"] = encodeExpressions(e.Elements)
		return o
	case *DictExpression:
		o := node("DictExpression", at)
		items := []obj{}
		for _, i := range e.Elements {
			items = append(items, obj{"type": "DictItem", "key": encodeExpression(i.Key), "val": encodeExpression(i.Value)})
		}
		o["elements"] = items
		return o
	case *ObjectExpression:
		o := node("ObjectExpression", at)
		if e.With != nil {
			o["with"] = encodeExpression(e.With)
		}
		o["properties"] = encodeProperties(e.Properties)
		return o
	case *FunctionExpression:
		o := node("FunctionExpression", at)
		params := []obj{}
		for _, p := range e.Params {
			d := node("Property", p.Span)
			d["key"] = obj{"type": "Identifier", "name": p.Name}
			d["value"] = nil
			if p.Default != nil {
				d["value"] = encodeExpression(p.Default)
			}
			params = append(params, d)
		}
		o["params"] = params
		if e.Block != nil {
			o["body"] = encodeBlock(e.Block)
		} else {
			o["body"] = encodeExpression(e.Body)
		}
		return o
	case *CallExpression:
		o := node("CallExpression", at)
		o["callee"] = encodeExpression(e.Callee)
		if len(e.Arguments) > 0 {
			o["arguments"] = []obj{{"type": "ObjectExpression", "properties": encodeProperties(e.Arguments)}}
		}
		return o
	case *PipeExpression:
		o := node("PipeExpression", at)
		o["argument"], o["call"] = encodeExpression(e.Argument), encodeExpression(e.Call)
		return o
	case *MemberExpression:
		o := node("MemberExpression", at)
		o["object"], o["property"] = encodeExpression(e.Object), key(e.Property, e.Quoted)
		return o
	case *IndexExpression:
		o := node("IndexExpression", at)
		o["array"], o["index"] = encodeExpression(e.Array), encodeExpression(e.Index)
		return o
	case *UnaryExpression:
		o := node("UnaryExpression", at)
		o["operator"], o["argument"] = e.Operator, encodeExpression(e.Argument)
		return o
	case *BinaryExpression:
		return encodeOperation("BinaryExpression", at, e.Operator, e.Left, e.Right)
	case *LogicalExpression:
		return encodeOperation("LogicalExpression", at, e.Operator, e.Left, e.Right)
	case *ConditionalExpression:
		o := node("ConditionalExpression", at)
		o["test"], o["consequent"], o["alternate"] = encodeExpression(e.Test), encodeExpression(e.Consequent), encodeExpression(e.Alternate)
		return o
	case *ParenExpression:
		o := node("ParenExpression", at)
		o["expression"] = encodeExpression(e.Expression)
		return o
	case *BadExpression:
		o := node("BadExpression", at)
		o["text"] = e.Text
		return o
	}
	panic(fmt.Sprintf("BUG: expression %T has no JSON", e))
}

func encodeOperation(kind string, at Span, operator string, left, right Expression) obj {
	o := node(kind, at)
	o["operator"], o["left"], o["right"] = operator, encodeExpression(left), encodeExpression(right)
	return o
}

func key(name string, quoted bool) obj {
	if quoted {
		return obj{"type": "StringLiteral", "value": name}
	}
	return obj{"type": "Identifier", "name": name}
}

func encodeProperties(all []*Property) []obj {
	out := []obj{}
	for _, p := range all {
		d := node("Property", p.Span)
		d["key"], d["value"] = key(p.Name, p.Quoted), nil
		if p.Value != nil {
			d["value"] = encodeExpression(p.Value)
		}
		out = append(out, d)
	}
	return out
}
