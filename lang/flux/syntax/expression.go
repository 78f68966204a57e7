package syntax

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (p *parser) expression() Expression {
	start := p.peek()
	if !p.enter() {
		return &BadExpression{start.Span, start.text}
	}
	defer p.leave()
	if p.got("if") {
		c := &ConditionalExpression{Test: p.expression()}
		p.want("then", "conditional")
		c.Consequent = p.expression()
		p.want("else", "conditional")
		c.Alternate = p.expression()
		c.Span = p.from(start.Start)
		return c
	}
	return p.logical("or", func() Expression { return p.logical("and", p.unaryLogical) })
}

// logical reads operands of the operator, from the left.
func (p *parser) logical(operator string, operand func() Expression) Expression {
	left := operand()
	for n := 0; p.got(operator) && p.link(&n); {
		right := operand()
		left = &LogicalExpression{Span{left.Location().Start, p.last}, operator, left, right}
	}
	return left
}

func (p *parser) unaryLogical() Expression {
	t := p.peek()
	if t.is(keyword, "not") || t.is(keyword, "exists") {
		p.next()
		if !p.enter() {
			return &BadExpression{t.Span, t.text}
		}
		defer p.leave()
		e := p.unaryLogical()
		return &UnaryExpression{p.from(t.Start), t.text, e}
	}
	return p.binary(0)
}

// MaxPattern is how many bytes a regular expression may have: an alternative for
// each of some thousand hosts, and not what takes seconds to compile.
const MaxPattern = 256 << 10

// precedence of binary operators, the weakest first.
var precedence = [][]string{
	{"==", "!=", "<", "<=", ">", ">=", "=~", "!~"},
	{"+", "-"},
	{"*", "/", "%"},
	{"^"},
}

func (p *parser) binary(level int) Expression {
	if level == len(precedence) {
		return p.pipe()
	}
	left := p.binary(level + 1)
	for n := 0; ; {
		t := p.peek()
		if t.kind != symbol || !slices.Contains(precedence[level], t.text) {
			return left
		}
		p.next()
		if !p.link(&n) {
			return left
		}
		right := p.binary(level + 1)
		left = &BinaryExpression{Span{left.Location().Start, p.last}, t.text, left, right}
	}
}

func (p *parser) pipe() Expression {
	left := p.unary()
	for n := 0; p.got("|>") && p.link(&n); {
		right := p.unary()
		call, ok := right.(*CallExpression)
		if !ok {
			p.fail(right.Location(), "pipe destination must be a function call")
			call = &CallExpression{Span: right.Location(), Callee: right}
		}
		left = &PipeExpression{Span{left.Location().Start, p.last}, left, call}
	}
	return left
}

func (p *parser) unary() Expression {
	t := p.peek()
	if t.is(symbol, "-") || t.is(symbol, "+") {
		p.next()
		if !p.enter() {
			return &BadExpression{t.Span, t.text}
		}
		defer p.leave()
		e := p.unary()
		return &UnaryExpression{p.from(t.Start), t.text, e}
	}
	return p.postfix()
}

func (p *parser) postfix() Expression {
	e := p.primary()
	for n := -1; p.link(&n); {
		start := e.Location().Start
		switch {
		case p.got("."):
			t := p.peek()
			switch {
			case t.kind == ident || t.kind == keyword:
				p.next()
				e = &MemberExpression{Span: p.from(start), Object: e, Property: t.text}
			case t.kind == text && plain(t):
				p.next()
				e = &MemberExpression{Span: p.from(start), Object: e, Property: literal(t), Quoted: true}
			default:
				p.fail(t.Span, "invalid expression: expected a name behind the dot, got "+t.describe())
				return e
			}
		case p.got("["):
			t := p.peek()
			if t.kind == text && plain(t) && p.peekAt(1).is(symbol, "]") {
				p.next()
				p.next()
				e = &MemberExpression{Span: p.from(start), Object: e, Property: literal(t), Quoted: true}
				continue
			}
			index := p.expression()
			p.want("]", "index")
			e = &IndexExpression{p.from(start), e, index}
		case p.sees("("):
			e = p.call(e)
		default:
			return e
		}
	}
	return e
}

func (p *parser) call(callee Expression) Expression {
	open := p.next()
	c := &CallExpression{Callee: callee}
	c.Arguments = p.properties(")", "call")
	p.close(")", "call", open)
	c.Span = p.from(callee.Location().Start)
	return c
}

// properties reads name: value, ... up to end, which stays.
func (p *parser) properties(end, what string) []*Property {
	var all []*Property
	for !p.sees(end) && p.peek().kind != eof {
		t := p.peek()
		prop := &Property{}
		switch {
		case t.kind == ident || t.kind == keyword:
			prop.Name = t.text
		case t.kind == text && plain(t):
			prop.Name, prop.Quoted = literal(t), true
		default:
			p.fail(t.Span, "invalid "+what+": expected a name, got "+t.describe())
			return all
		}
		p.next()
		if p.got(":") {
			prop.Value = p.expression()
		} else if prop.Quoted {
			p.fail(t.Span, "invalid "+what+`: expected ":" behind "`+prop.Name+`"`)
		}
		prop.Span = p.from(t.Start)
		all = append(all, prop)
		if !p.got(",") {
			break
		}
	}
	return all
}

func (p *parser) primary() Expression {
	t := p.peek()
	switch t.kind {
	case ident:
		p.next()
		switch t.text {
		case "true", "false":
			return &BooleanLiteral{t.Span, t.text == "true"}
		}
		return &Identifier{t.Span, t.text}
	case integer:
		p.next()
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			if b, ok := new(big.Int).SetString(t.text, 10); ok && b.IsUint64() && p.negated() && b.Uint64() == 1<<63 {
				return &IntegerLiteral{t.Span, -1 << 63} // the operand of a minus, which leaves it as it is
			}
			p.fail(t.Span, "integer "+t.text+" is out of range")
		}
		return &IntegerLiteral{t.Span, n}
	case float:
		p.next()
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			p.fail(t.Span, "float "+t.text+" is out of range")
		}
		return &FloatLiteral{t.Span, f}
	case text:
		return p.str()
	case duration:
		p.next()
		return &DurationLiteral{t.Span, t.terms}
	case instant:
		p.next()
		return &DateTimeLiteral{t.Span, t.time}
	case regex:
		p.next()
		pattern := strings.ReplaceAll(t.text[1:len(t.text)-1], `\/`, "/")
		if len(pattern) > MaxPattern {
			p.fail(t.Span, fmt.Sprintf("invalid regular expression: it is longer than %d KiB", MaxPattern>>10))
		} else if _, err := regexp.Compile(pattern); err != nil {
			p.fail(t.Span, "invalid regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		return &RegexpLiteral{t.Span, pattern}
	case bad:
		p.next()
		return &BadExpression{t.Span, t.text}
	case symbol:
		switch t.text {
		case "(":
			if p.beginsFunction() {
				return p.function()
			}
			p.next()
			e := p.expression()
			p.close(")", "expression", t)
			return &ParenExpression{p.from(t.Start), e}
		case "[":
			return p.list()
		case "{":
			return p.object()
		case "<-":
			p.next()
			return &PipeLiteral{t.Span}
		case ".":
			p.next()
			id := p.identifier()
			return &LabelLiteral{p.from(t.Start), id.Name}
		}
	}
	p.fail(t.Span, "invalid expression: expected a value, got "+t.describe()+p.hint(t))
	return &BadExpression{Span{t.Start, t.Start}, t.text}
}

// negated reports whether the last token but one is a minus.
func (p *parser) negated() bool { return p.at >= 2 && p.tokens[p.at-2].is(symbol, "-") }

func (p *parser) str() Expression {
	t := p.next()
	if plain(t) {
		return &StringLiteral{t.Span, literal(t)}
	}
	e := &StringExpression{Span: t.Span}
	for _, part := range t.parts {
		if part.tokens == nil {
			e.Parts = append(e.Parts, &StringLiteral{part.Span, part.text})
			continue
		}
		inner := &parser{tokens: part.tokens, errs: p.errs, depth: p.depth}
		e.Parts = append(e.Parts, inner.expression())
		if rest := inner.peek(); rest.kind != eof {
			inner.fail(rest.Span, `invalid string: expected "}" behind the expression, got `+rest.describe())
		}
		p.errs = inner.errs
	}
	return e
}

// beginsFunction looks for => behind the parenthesis that closes the one that
// comes next.
func (p *parser) beginsFunction() bool {
	depth := 0
	for i := 0; ; i++ {
		t := p.peekAt(i)
		switch {
		case t.kind == eof:
			return false
		case t.kind != symbol:
		case t.text == "(" || t.text == "[" || t.text == "{":
			depth++
		case t.text == ")" || t.text == "]" || t.text == "}":
			depth--
			if depth == 0 {
				return p.peekAt(i+1).is(symbol, "=>")
			}
		}
		if i == 1 && !(t.kind == ident || t.kind == keyword || t.is(symbol, ")")) {
			return false
		}
		if i == 2 && t.kind != symbol {
			return false
		}
	}
}

func (p *parser) function() Expression {
	start := p.next().Start
	f := &FunctionExpression{}
	for !p.sees(")") && p.peek().kind != eof {
		t := p.peek()
		if t.kind != ident && t.kind != keyword {
			p.fail(t.Span, "invalid parameter: expected a name, got "+t.describe())
			break
		}
		p.next()
		param := &Param{Name: t.text}
		if p.got("=") {
			param.Default = p.expression()
		}
		param.Span = p.from(t.Start)
		f.Params = append(f.Params, param)
		if !p.got(",") {
			break
		}
	}
	p.want(")", "parameters")
	p.want("=>", "function")
	if p.sees("{") { // a record as the body stands in parentheses
		f.Block = p.block()
	} else {
		f.Body = p.expression()
	}
	f.Span = p.from(start)
	return f
}

// list reads an array or a dictionary.
func (p *parser) list() Expression {
	open := p.next()
	if p.got(":") {
		p.want("]", "dictionary")
		return &DictExpression{Span: p.from(open.Start)}
	}
	if p.got("]") {
		return &ArrayExpression{Span: p.from(open.Start)}
	}
	first := p.expression()
	if !p.sees(":") {
		a := &ArrayExpression{Elements: []Expression{first}}
		for p.got(",") && !p.sees("]") {
			a.Elements = append(a.Elements, p.expression())
		}
		p.close("]", "array", open)
		a.Span = p.from(open.Start)
		return a
	}
	d := &DictExpression{}
	for key := first; ; key = p.expression() {
		p.want(":", "dictionary")
		d.Elements = append(d.Elements, DictItem{key, p.expression()})
		if !p.got(",") || p.sees("]") {
			break
		}
	}
	p.close("]", "dictionary", open)
	d.Span = p.from(open.Start)
	return d
}

func (p *parser) object() Expression {
	open := p.next()
	o := &ObjectExpression{}
	if p.peek().kind == ident && p.peekAt(1).is(keyword, "with") {
		o.With = p.identifier()
		p.next()
	}
	o.Properties = p.properties("}", "record")
	p.close("}", "record", open)
	o.Span = p.from(open.Start)
	return o
}
