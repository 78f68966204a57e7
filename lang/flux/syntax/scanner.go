package syntax

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds how deep expressions and strings may be nested, so that a
// script cannot use up the stack.
const maxDepth = 200

// scanner cuts a script into tokens.
type scanner struct {
	src    string
	at     int // byte
	line   int
	start  int // byte where the line begins
	tokens []token
	errs   Errors
	depth  int
	count  int // of tokens
	// Before this byte no regular expression ends: one that began here did not.
	noRegex int
}

// maxTokens bounds the tree of a script, which takes some hundred bytes for each
// token while it is made. Data in a string is one token.
const maxTokens = 500_000

// scan returns the tokens of a script; the last one is eof.
func scan(src string) ([]token, Errors) {
	s := &scanner{src: src, line: 1}
	// A token has some four bytes of a script; those of a script with data in its
	// texts have more.
	s.tokens = make([]token, 0, min(len(src)/4+8, 4096))
	for {
		t := s.next()
		s.tokens = append(s.tokens, t)
		if t.kind == eof {
			return s.tokens, s.errs
		}
	}
}

func (s *scanner) pos() Pos { return Pos{s.line, s.at - s.start + 1} }

func (s *scanner) fail(span Span, message string) { s.errs.add(span, message) }

// skip passes white space and comments.
func (s *scanner) skip() {
	for s.at < len(s.src) {
		switch c := s.src[s.at]; {
		case c == '\n':
			s.at++
			s.newline()
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			s.at++
		case strings.HasPrefix(s.src[s.at:], "//"):
			end := strings.IndexByte(s.src[s.at:], '\n')
			if end < 0 {
				end = len(s.src) - s.at
			}
			s.at += end
		case strings.HasPrefix(s.src[s.at:], "\ufeff"):
			s.at += len("\ufeff")
		default:
			return
		}
	}
}

func (s *scanner) newline() {
	s.line++
	s.start = s.at
}

// Times as RFC 3339 and dates, then durations, then numbers.
var (
	instantPattern  = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})?)?`)
	durationPattern = regexp.MustCompile(`^(\d+(y|mo|w|d|h|ms|us|µs|μs|ns|m|s))+`)
	termPattern     = regexp.MustCompile(`(\d+)(y|mo|w|d|h|ms|us|µs|μs|ns|m|s)`)
	floatPattern    = regexp.MustCompile(`^(\d+\.\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|\d+[eE][+-]?\d+)`)
	integerPattern  = regexp.MustCompile(`^\d+`)
)

// symbols by length, the longer first.
var symbols = []string{
	"==", "!=", "<=", ">=", "=~", "!~", "|>", "=>", "<-", "->",
	"+", "-", "*", "/", "%", "^", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", ":", "?", "|", "@", ";",
}

func (s *scanner) next() token {
	s.skip()
	t := token{Span: Span{Start: s.pos()}}
	if s.count++; s.count > maxTokens {
		s.fail(Span{t.Start, t.Start}, fmt.Sprintf("the script has more than %d names, numbers and signs", maxTokens))
		s.at = len(s.src)
	}
	if s.at >= len(s.src) {
		t.End = t.Start
		return t
	}
	rest := s.src[s.at:]
	c, size := utf8.DecodeRuneInString(rest)
	switch {
	case c == '"':
		return s.str()
	case c == '/' && s.regexMayStart():
		if r, ok := s.regex(); ok {
			return r
		}
	case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9' && !s.afterOperand():
		return s.number()
	case c == '_' || unicode.IsLetter(c):
		n := size
		for n < len(rest) {
			r, w := utf8.DecodeRuneInString(rest[n:])
			if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				break
			}
			n += w
		}
		t.kind = ident
		if isKeyword(rest[:n]) {
			t.kind = keyword
		}
		return s.take(t, n)
	}
	for _, sym := range symbols {
		if strings.HasPrefix(rest, sym) {
			t.kind = symbol
			return s.take(t, len(sym))
		}
	}
	t.kind = bad
	t = s.take(t, size)
	s.fail(t.Span, "unexpected character "+strconv.Quote(t.text)+hintOf(t.text))
	return t
}

// take completes t with the next n bytes, which hold no line break.
func (s *scanner) take(t token, n int) token {
	t.text = s.src[s.at : s.at+n]
	s.at += n
	t.End = s.pos()
	return t
}

// afterOperand reports whether the last token ends an operand.
func (s *scanner) afterOperand() bool {
	if len(s.tokens) == 0 {
		return false
	}
	switch t := s.tokens[len(s.tokens)-1]; t.kind {
	case symbol:
		return t.text == ")" || t.text == "]" || t.text == "}"
	case keyword, eof, bad:
		return false
	}
	return true
}

// regexMayStart reports whether a slash begins a regular expression; behind an
// operand it divides.
func (s *scanner) regexMayStart() bool { return !s.afterOperand() }

func (s *scanner) number() token {
	t := token{Span: Span{Start: s.pos()}}
	rest := s.src[s.at:]
	if m := instantPattern.FindString(rest); m != "" {
		t.kind = instant
		t = s.take(t, len(m))
		var err error
		if t.time, err = parseInstant(m); err != nil {
			t.kind = bad
			s.fail(t.Span, "invalid time "+m+": want a date such as 2020-01-02 or a time such as 2020-01-02T03:04:05Z")
		}
		return t
	}
	if m := durationPattern.FindString(rest); m != "" {
		t.kind = duration
		t = s.take(t, len(m))
		for _, term := range termPattern.FindAllStringSubmatch(m, -1) {
			n, err := strconv.ParseInt(term[1], 10, 64)
			if err != nil {
				t.kind = bad
				s.fail(t.Span, "duration "+m+" is out of range")
				break
			}
			t.terms = append(t.terms, Magnitude{n, unitName(term[2])})
		}
		return t
	}
	if m := floatPattern.FindString(rest); m != "" {
		t.kind = float
		return s.take(t, len(m))
	}
	t.kind = integer
	return s.take(t, len(integerPattern.FindString(rest)))
}

// unitName folds the spellings of microseconds.
func unitName(u string) string {
	if u == "µs" || u == "μs" {
		return "us"
	}
	return u
}

func parseInstant(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	_, err := time.Parse(time.RFC3339Nano, text)
	return time.Time{}, err
}

// regex scans a regular expression; it reports false if the line ends before
// the expression does.
func (s *scanner) regex() (token, bool) {
	t := token{Span: Span{Start: s.pos()}, kind: regex}
	if s.at < s.noRegex {
		return t, false
	}
	s.noRegex = len(s.src)
	for i := s.at + 1; i < len(s.src); i++ {
		switch s.src[i] {
		case '\n':
			s.noRegex = i
			return t, false
		case '\\':
			i++
		case '/':
			s.noRegex = 0
			return s.take(t, i+1-s.at), true
		}
	}
	return t, false
}

// str scans a string literal, with the tokens of expressions in it.
func (s *scanner) str() token {
	t := token{Span: Span{Start: s.pos()}, kind: text}
	from := s.at
	s.at++
	var b strings.Builder
	piece := s.pos()
	flush := func() {
		if b.Len() > 0 {
			t.parts = append(t.parts, part{Span: Span{piece, s.pos()}, text: b.String()})
			b.Reset()
		}
	}
	for s.at < len(s.src) {
		switch c := s.src[s.at]; {
		case c == '"':
			flush()
			s.at++
			t.End, t.text = s.pos(), s.src[from:s.at]
			return t
		case c == '\\':
			s.escape(&b)
		case strings.HasPrefix(s.src[s.at:], "${"):
			flush()
			t.parts = append(t.parts, s.interpolation())
			piece = s.pos()
		default:
			b.WriteByte(c)
			s.at++
			if c == '\n' {
				s.newline()
			}
		}
	}
	t.kind, t.End, t.text = bad, s.pos(), s.src[from:]
	s.fail(t.Span, `the string has no end: a " is missing`)
	return t
}

// interpolation scans the expression of ${...}.
func (s *scanner) interpolation() part {
	p := part{Span: Span{Start: s.pos()}}
	s.at += 2
	outer := s.tokens
	s.tokens = nil
	if s.depth++; s.depth > maxDepth {
		// Before the next token, which may be a string with another one in it.
		s.fail(Span{p.Start, s.pos()}, "strings are nested too deep")
		s.at = len(s.src)
	}
	for open := 0; ; {
		t := s.next()
		switch {
		case t.is(symbol, "{"):
			open++
		case t.is(symbol, "}"):
			open--
		}
		if open < 0 {
			t = token{Span: t.Span} // eof of the expression
		}
		s.tokens = append(s.tokens, t)
		if t.kind == eof {
			break
		}
	}
	s.depth--
	p.tokens, s.tokens = s.tokens, outer
	p.End = s.pos()
	return p
}

// escape reads what stands behind a backslash. An escape that is not known is
// an error.
func (s *scanner) escape(b *strings.Builder) {
	start := s.pos()
	s.at++
	if s.at >= len(s.src) {
		return
	}
	c := s.src[s.at]
	s.at++
	switch c {
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 't':
		b.WriteByte('\t')
	case '"', '\\':
		b.WriteByte(c)
	case '$':
		b.WriteByte('$')
	case 'x':
		if s.at+2 <= len(s.src) {
			if n, err := strconv.ParseUint(s.src[s.at:s.at+2], 16, 8); err == nil {
				b.WriteByte(byte(n))
				s.at += 2
				return
			}
		}
		s.fail(Span{start, s.pos()}, `\x in a string wants two hexadecimal digits`)
	default:
		if c == '\n' {
			s.newline()
		}
		s.fail(Span{start, s.pos()}, `unknown escape \`+string(rune(c))+` in a string: there are \n \r \t \\ \" \${ and \x00`)
	}
}
