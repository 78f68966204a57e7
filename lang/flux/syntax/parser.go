package syntax

import (
	"fmt"
	"strings"
)

// Parse reads a script. It returns what it could read with an error of type
// Errors that says what it could not.
func Parse(src string) (*File, error) {
	tokens, errs := scan(src)
	p := &parser{tokens: tokens, errs: errs}
	f := p.file()
	if len(p.errs) > 0 {
		p.errs.sort()
		return f, p.errs
	}
	return f, nil
}

// parser goes down the grammar with one token of look-ahead. Two places need
// more: whether a parenthesis begins a function, and what follows a name.
type parser struct {
	tokens []token
	at     int
	last   Pos // end of the token before
	errs   Errors
	depth  int
}

func (p *parser) peek() token { return p.tokens[min(p.at, len(p.tokens)-1)] }

func (p *parser) peekAt(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.peek()
	p.last = t.End
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

// got takes the next token if it is the symbol or keyword.
func (p *parser) got(text string) bool {
	if t := p.peek(); (t.kind == symbol || t.kind == keyword) && t.text == text {
		p.next()
		return true
	}
	return false
}

func (p *parser) sees(text string) bool {
	t := p.peek()
	return (t.kind == symbol || t.kind == keyword) && t.text == text
}

// want takes the symbol or keyword, or reports that it is missing in what.
func (p *parser) want(text, what string) bool {
	if p.got(text) {
		return true
	}
	t := p.peek()
	p.fail(t.Span, fmt.Sprintf("invalid %s: expected %q, got %s%s", what, text, t.describe(), p.hint(t)))
	return false
}

func (p *parser) fail(span Span, message string) { p.errs.add(span, message) }

func (p *parser) from(start Pos) Span { return Span{start, p.last} }

// enter bounds the depth of nesting; leave must follow if it returns true.
func (p *parser) enter() bool {
	p.depth++
	if p.depth <= maxDepth {
		return true
	}
	p.fail(p.peek().Span, "expressions are nested too deep")
	p.at = len(p.tokens) - 1
	p.depth--
	return false
}

func (p *parser) leave() { p.depth-- }

// maxChain is how many operators, calls and members may follow each other in one
// expression: its tree leans to the left and is as deep as that.
const maxChain = 1000

// link counts the links of a chain and reports whether there may be one more. If
// not, nothing more is read.
func (p *parser) link(n *int) bool {
	if *n++; *n <= maxChain {
		return true
	}
	p.fail(p.peek().Span, fmt.Sprintf("an expression has more than %d operators in a row: name a part of it with a variable", maxChain))
	p.at = len(p.tokens) - 1
	return false
}

func (p *parser) file() *File {
	f := &File{Span: Span{Start: p.peek().Start}}
	p.attributes()
	if p.got("package") {
		if t := p.peek(); t.kind == ident {
			f.Package = p.next().text
		} else {
			p.fail(t.Span, "invalid package clause: expected a name, got "+t.describe())
		}
	}
	p.attributes()
	for p.sees("import") {
		f.Imports = append(f.Imports, p.imported())
		p.attributes()
	}
	f.Body = p.statements("")
	f.Span = p.from(f.Start)
	return f
}

// attributes passes @name and @name("value"), which mean nothing here.
func (p *parser) attributes() {
	for p.sees("@") {
		p.next()
		if p.peek().kind == ident {
			p.next()
		}
		if p.got("(") {
			for !p.sees(")") && p.peek().kind != eof {
				p.next()
			}
			p.want(")", "attribute")
		}
	}
}

func (p *parser) imported() *Import {
	start := p.next().Start
	i := &Import{}
	if t := p.peek(); t.kind == ident {
		i.As = p.identifier()
	}
	t := p.peek()
	if t.kind == text && plain(t) {
		p.next()
		i.Path = literal(t)
	} else {
		p.fail(t.Span, `invalid import: expected the path of a package in quotes, got `+t.describe())
		p.recover(start)
	}
	i.Span = p.from(start)
	return i
}

// statements reads up to end, which stays.
func (p *parser) statements(end string) []Statement {
	var all []Statement
	for {
		for p.got(";") {
		}
		p.attributes()
		if t := p.peek(); t.kind == eof || end != "" && p.sees(end) {
			return all
		}
		at := p.at
		all = append(all, p.statement())
		if p.at == at { // nothing could be read
			t := p.next()
			p.fail(t.Span, "invalid statement: "+t.describe())
			all[len(all)-1] = &BadStatement{t.Span, t.text}
		}
	}
}

// recover passes the rest of a line after an error.
func (p *parser) recover(start Pos) {
	for t := p.peek(); t.kind != eof && t.Start.Line == start.Line; t = p.peek() {
		p.next()
	}
}

func (p *parser) statement() Statement {
	t := p.peek()
	switch {
	case t.is(keyword, "option") && p.peekAt(1).kind == ident:
		p.next()
		var a Statement = p.assignment()
		return &OptionStatement{p.from(t.Start), a}
	case t.is(keyword, "builtin"):
		p.next()
		s := &BuiltinStatement{ID: p.identifier()}
		if p.got(":") { // the type, which the host knows
			p.recover(t.Start)
		}
		s.Span = p.from(t.Start)
		return s
	case t.is(keyword, "testcase"):
		p.next()
		s := &TestCaseStatement{ID: p.identifier()}
		if p.got("extends") {
			p.next()
		}
		s.Block = p.block()
		s.Span = p.from(t.Start)
		return s
	case t.is(keyword, "return"):
		p.next()
		e := p.expression()
		return &ReturnStatement{p.from(t.Start), e}
	case t.kind == ident && p.peekAt(1).is(symbol, "="):
		return p.assignment()
	}
	e := p.expression()
	return &ExpressionStatement{p.from(t.Start), e}
}

// assignment reads name = expression or package.name = expression.
func (p *parser) assignment() Statement {
	start := p.peek().Start
	id := p.identifier()
	if p.got(".") {
		property := p.identifier()
		m := &MemberExpression{Span: p.from(start), Object: id, Property: property.Name}
		p.want("=", "option")
		init := p.expression()
		return &MemberAssignment{p.from(start), m, init}
	}
	p.want("=", "assignment")
	init := p.expression()
	return &VariableAssignment{p.from(start), id, init}
}

func (p *parser) identifier() *Identifier {
	t := p.peek()
	if t.kind != ident {
		p.fail(t.Span, "expected a name, got "+t.describe())
		return &Identifier{Span: Span{t.Start, t.Start}}
	}
	p.next()
	return &Identifier{t.Span, t.text}
}

func (p *parser) block() *Block {
	open := p.peek()
	b := &Block{}
	if p.want("{", "block") && p.enter() {
		b.Body = p.statements("}")
		p.close("}", "block", open)
		p.leave()
	}
	b.Span = p.from(open.Start)
	return b
}

// plain reports whether a string has no expressions in it.
func plain(t token) bool {
	for _, part := range t.parts {
		if part.tokens != nil {
			return false
		}
	}
	return true
}

// literal is the text of a plain string.
func literal(t token) string {
	var b strings.Builder
	for _, part := range t.parts {
		b.WriteString(part.text)
	}
	return b.String()
}
