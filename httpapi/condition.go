package httpapi

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/varvedb/varve/predicate"
)

// condition is what a delete's predicate says. Measurement and field are
// taken out, because they are no tags.
type condition struct {
	Measurement string
	Field       string
	Where       *predicate.Expr
}

// parseCondition reads a delete predicate: comparisons of a tag with a value
// by =, !=, =~ and !~, joined by AND, OR and parentheses. _measurement and
// _field can be compared by = only, and only where every other comparison
// holds as well (joined by AND).
//
//	_measurement = "cpu" AND _field = "usage_user" AND host = "a"
func parseCondition(text string) (*condition, error) {
	p := &conditionParser{rest: text, text: text}
	c := &condition{}
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.kind == tokenEnd {
		return c, nil
	}
	e, err := p.or(c, 0, true)
	if err != nil {
		return nil, err
	}
	if p.kind != tokenEnd {
		return nil, p.errorf("expected AND, OR or the end, found %q", p.value)
	}
	if e != anything {
		c.Where = e
	}
	return c, nil
}

// maxConditionDepth bounds nested parentheses, which are calls in the parser.
const maxConditionDepth = 100

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // unquoted: a key, a value, AND, OR
	tokenString           // quoted
	tokenRegexp           // between slashes
	tokenSymbol           // an operator or a parenthesis
)

type conditionParser struct {
	text string
	rest string // behind the current token
	at   int    // offset of the current token in text

	kind  tokenKind
	value string
}

// anything stands for comparisons that went into condition.
var anything = &predicate.Expr{Op: predicate.And}

func (p *conditionParser) or(c *condition, depth int, top bool) (*predicate.Expr, error) {
	var args []*predicate.Expr
	before := *c
	for {
		e, err := p.and(c, depth, top)
		if err != nil {
			return nil, err
		}
		args = append(args, e)
		if !p.keyword("OR") {
			break
		}
		// What was taken out so far would now hold only by alternative.
		if *c != before {
			return nil, p.errorf("_measurement and _field cannot be alternatives of OR: delete them one by one")
		}
		top = false
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	if len(args) == 1 {
		return args[0], nil
	}
	return predicate.Any(args...), nil
}

func (p *conditionParser) and(c *condition, depth int, top bool) (*predicate.Expr, error) {
	var args []*predicate.Expr
	for {
		e, err := p.comparison(c, depth, top)
		if err != nil {
			return nil, err
		}
		if e != anything {
			args = append(args, e)
		}
		if !p.keyword("AND") {
			break
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	if len(args) == 0 {
		return anything, nil
	}
	return predicate.All(args...), nil
}

func (p *conditionParser) keyword(word string) bool {
	return p.kind == tokenWord && strings.EqualFold(p.value, word)
}

func (p *conditionParser) comparison(c *condition, depth int, top bool) (*predicate.Expr, error) {
	if p.kind == tokenSymbol && p.value == "(" {
		if depth >= maxConditionDepth {
			return nil, p.errorf("parentheses are nested deeper than %d", maxConditionDepth)
		}
		if err := p.next(); err != nil {
			return nil, err
		}
		e, err := p.or(c, depth+1, top)
		if err != nil {
			return nil, err
		}
		if p.kind != tokenSymbol || p.value != ")" {
			return nil, p.errorf("expected )")
		}
		return e, p.next()
	}
	if p.kind != tokenWord && p.kind != tokenString || p.value == "" {
		return nil, p.errorf("expected a tag key")
	}
	key, keyAt := p.value, p.at
	if err := p.next(); err != nil {
		return nil, err
	}
	op := p.value
	if p.kind != tokenSymbol || op == "(" || op == ")" {
		return nil, p.errorf("expected =, !=, =~ or !~ behind %q", key)
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	pattern := op == "=~" || op == "!~"
	switch {
	case pattern && p.kind != tokenRegexp:
		return nil, p.errorf("expected a regular expression between slashes behind %q %s", key, op)
	case !pattern && p.kind != tokenString && p.kind != tokenWord:
		return nil, p.errorf("expected a value behind %q %s", key, op)
	}
	value, valueAt := p.value, p.at
	if err := p.next(); err != nil {
		return nil, err
	}
	if key == "_measurement" || key == "_field" {
		p.at = keyAt
		return anything, p.special(c, key, op, value, top)
	}
	var e *predicate.Expr
	if pattern {
		if _, err := regexp.Compile(value); err != nil {
			p.at = valueAt
			return nil, p.errorf("%v", err)
		}
		e = predicate.Match(key, value)
	} else {
		e = predicate.Eq(key, value)
	}
	if op[0] == '!' {
		e = predicate.Negate(e)
	}
	return e, nil
}

// special puts a comparison of _measurement or _field into c.
func (p *conditionParser) special(c *condition, key, op, value string, top bool) error {
	if op != "=" {
		return p.errorf("%s can be compared by = only", key)
	}
	if !top {
		return p.errorf("%s cannot be an alternative of OR: delete them one by one", key)
	}
	if value == "" {
		return p.errorf("%s is empty", key)
	}
	slot := &c.Measurement
	if key == "_field" {
		slot = &c.Field
	}
	if *slot != "" && *slot != value {
		return p.errorf("%s cannot be %q and %q at once", key, *slot, value)
	}
	*slot = value
	return nil
}

// next reads the next token.
func (p *conditionParser) next() error {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	p.at = len(p.text) - len(p.rest)
	if p.rest == "" {
		p.kind, p.value = tokenEnd, ""
		return nil
	}
	switch c := p.rest[0]; c {
	case '(', ')':
		p.take(tokenSymbol, 1)
		return nil
	case '=':
		if strings.HasPrefix(p.rest, "=~") {
			p.take(tokenSymbol, 2)
		} else {
			p.take(tokenSymbol, 1)
		}
		return nil
	case '!':
		if strings.HasPrefix(p.rest, "!=") || strings.HasPrefix(p.rest, "!~") {
			p.take(tokenSymbol, 2)
			return nil
		}
		return p.errorf("expected != or !~")
	case '"', '\'', '/':
		return p.quoted(c)
	}
	n := strings.IndexFunc(p.rest, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && r != ':' && !unicode.IsLetter(r) && !unicode.IsDigit(r) || r == utf8.RuneError
	})
	if n == 0 {
		return p.errorf("unexpected %q; quote values that are not plain words", p.rest[:1])
	}
	if n < 0 {
		n = len(p.rest)
	}
	p.take(tokenWord, n)
	return nil
}

func (p *conditionParser) take(kind tokenKind, n int) {
	p.kind, p.value, p.rest = kind, p.rest[:n], p.rest[n:]
}

// quoted reads a string or a regular expression. A backslash escapes the
// quote and, in strings, itself and a line break (\n).
func (p *conditionParser) quoted(quote byte) error {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.kind = tokenString
			if quote == '/' {
				p.kind = tokenRegexp
			}
			p.value, p.rest = b.String(), p.rest[i+1:]
			return nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			switch esc := p.rest[i]; {
			case esc == quote:
				b.WriteByte(esc)
			case quote == '/':
				b.WriteByte('\\')
				b.WriteByte(esc)
			case esc == 'n':
				b.WriteByte('\n')
			case esc == '\\':
				b.WriteByte(esc)
			default:
				return p.errorf("unknown escape \\%c in a quoted value", esc)
			}
		default:
			b.WriteByte(c)
		}
	}
	return p.errorf("a %c is not closed", quote)
}

func (p *conditionParser) errorf(format string, args ...any) error {
	return fmt.Errorf("at position %d: %s", p.at+1, fmt.Sprintf(format, args...))
}
