package syntax

import "time"

// kind is the kind of a token.
type kind uint8

const (
	eof kind = iota
	ident
	integer
	float
	text     // string literal
	duration // 1h30m
	instant  // 2020-01-01T00:00:00Z
	regex
	symbol  // operators and brackets
	keyword // and, or, if, ...
	bad     // what is no token; an error was reported
)

// token is a piece of a script.
type token struct {
	Span
	kind kind
	text string // as written; of symbols and keywords, which
	// What literals mean.
	parts []part // of text
	time  time.Time
	terms []Magnitude
}

// part is a piece of a string literal: text, or an expression in ${}.
type part struct {
	Span
	text   string
	tokens []token // nil for text
}

func (t token) is(k kind, text string) bool { return t.kind == k && t.text == text }

// describe names a token in an error.
func (t token) describe() string {
	switch t.kind {
	case eof:
		return "the end of the script"
	case text:
		return "a string"
	case ident:
		return "identifier " + t.text
	}
	return `"` + t.text + `"`
}

// isKeyword reports whether a name is a word of the language.
func isKeyword(s string) bool {
	switch s {
	case "and", "or", "not", "empty", "in", "import", "package", "return", "option", "builtin",
		"test", "testcase", "if", "then", "else", "exists", "with", "extends":
		return true
	}
	return false
}
