package syntax

import "fmt"

// hint says what was probably meant where t stands and does not belong: what
// other languages have there. It is empty or begins with a semicolon.
func (p *parser) hint(t token) string {
	before := token{}
	if p.at > 0 && p.at < len(p.tokens) {
		before = p.tokens[p.at-1]
	}
	touches := before.End == t.Start && (t.kind == ident || t.kind == keyword)
	switch {
	case touches && before.kind == duration:
		return "; the units of durations are ns, us, ms, s, m, h, d, w, mo and y"
	case touches && before.kind == instant:
		return "; a time is written like 2020-01-02T03:04:05Z, a day like 2020-01-02"
	case t.is(keyword, "import"):
		return "; imports stand before everything else"
	case t.is(symbol, "="):
		return "; what compares is =="
	case t.is(symbol, "=>"):
		return "; the parameters of a function stand in parentheses, such as (r) => r._value > 1.0"
	case t.is(symbol, "|") && p.peekAt(1).is(symbol, "|"):
		return `; write "or"`
	}
	return ""
}

// hintOf is hint for what begins no token.
func hintOf(text string) string {
	switch text[0] {
	case '\'', '`':
		return `; a string stands between "double quotes"`
	case '&':
		return `; write "and"`
	case '!':
		return `; write "not"`
	}
	return ""
}

// close takes the bracket that closes the one at open, or reports that it is
// missing in what.
func (p *parser) close(bracket, what string, open token) {
	if t := p.peek(); t.kind == eof && !p.sees(bracket) {
		p.fail(t.Span, fmt.Sprintf("invalid %s: expected %q for the %q at %s, got %s", what, bracket, open.text, open.Start, t.describe()))
		return
	}
	p.want(bracket, what)
}
