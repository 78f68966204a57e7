package jsontape

import (
	"fmt"
	"strconv"
)

// maxQuoted bounds what an error quotes of a message.
const maxQuoted = 40

// Quote returns the beginning of s in quotes, for errors.
func Quote[S []byte | string](s S) string {
	if len(s) > maxQuoted {
		return strconv.Quote(string(s[:maxQuoted])) + "…"
	}
	return strconv.Quote(string(s))
}

func (t *Tape) fail(format string, args ...any) error {
	return &Error{t.i, fmt.Errorf(format, args...)}
}

// found describes what stands at the present byte.
func (t *Tape) found() string {
	if t.i >= len(t.b) {
		return "the end"
	}
	return Quote(t.b[t.i:])
}

// spaces has the bits of what JSON takes for space.
const spaces = 1<<' ' | 1<<'\n' | 1<<'\t' | 1<<'\r'

func (t *Tape) space() {
	for t.i < len(t.b) && t.b[t.i] <= ' ' && uint64(spaces)>>t.b[t.i]&1 != 0 {
		t.i++
	}
}

func (t *Tape) peek() byte {
	if t.i < len(t.b) {
		return t.b[t.i]
	}
	return 0
}

// value reads the value at the present byte as the next node, which is n as far as
// its key goes.
func (t *Tape) value(n node, depth int) (err error) {
	at := len(t.nodes)
	if at >= maxValues {
		return t.fail("the document has more than %d values", maxValues)
	}
	if at < cap(t.nodes) {
		t.nodes = t.nodes[:at+1] // it is written once, when all is known
	} else {
		t.nodes = append(t.nodes, node{})
	}
	n.from = int32(t.i)
	switch c := t.peek(); {
	case c == '{':
		n.kind, err = Object, t.container('}', depth+1)
	case c == '[':
		n.kind, err = Array, t.container(']', depth+1)
	case c == '"':
		n.kind = Text
		n.escaped, err = t.text()
	case c == '-' || c-'0' <= 9:
		n.kind, err = Number, t.number()
	case c == 't':
		n.kind, err = True, t.word("true")
	case c == 'f':
		n.kind, err = False, t.word("false")
	case c == 'n':
		n.kind, err = Null, t.word("null")
	default:
		return t.fail("want a value, found %s", t.found())
	}
	if err != nil {
		return err
	}
	n.to = int32(t.i)
	if n.kind == Text {
		n.from++
		n.to--
	}
	n.next = int32(len(t.nodes))
	t.nodes[at] = n
	return nil
}

// container reads the object or array at the present byte, which end ends.
func (t *Tape) container(end byte, depth int) error {
	if depth > MaxDepth {
		return t.fail("values are nested more than %d deep", MaxDepth)
	}
	t.i++
	if t.space(); t.peek() == end {
		t.i++
		return nil
	}
	for {
		t.space()
		var n node
		if end == '}' {
			if err := t.key(&n); err != nil {
				return err
			}
		}
		if err := t.value(n, depth); err != nil {
			return err
		}
		t.space()
		switch t.peek() {
		case ',':
			t.i++
		case end:
			t.i++
			return nil
		default:
			return t.fail("want a comma or %c behind a value, found %s", end, t.found())
		}
	}
}

// key reads the key at the present byte and goes to its value.
func (t *Tape) key(n *node) (err error) {
	if t.peek() != '"' {
		return t.fail("want a key in quotes, found %s", t.found())
	}
	n.key = int32(t.i + 1)
	if n.keyEscaped, err = t.text(); err != nil {
		return err
	}
	n.keyEnd = int32(t.i - 1)
	if t.space(); t.peek() != ':' {
		return t.fail("want a colon behind a key, found %s", t.found())
	}
	t.i++
	t.space()
	return nil
}

func (t *Tape) word(w string) error {
	if end := t.i + len(w); end > len(t.b) || string(t.b[t.i:end]) != w {
		return t.fail("want %s, found %s", w, t.found())
	}
	t.i += len(w)
	return nil
}

// text goes behind the text at the present byte, a quote.
func (t *Tape) text() (escaped bool, err error) {
	b := t.b
	for i := t.i + 1; i < len(b); i++ {
		switch c := b[i]; {
		case c > '\\': // most letters, told by one look
		case c == '"':
			t.i = i + 1
			return escaped, nil
		case c == '\\':
			escaped = true
			_, n := Escape(b[i:])
			if n == 0 {
				t.i = i
				return false, t.badEscape()
			}
			i += n - 1
		case c < ' ':
			t.i = i
			return false, t.fail("a text holds a control character; JSON writes it as \\u%04x", c)
		}
	}
	return false, t.fail("a text has no closing quote")
}

func (t *Tape) badEscape() error {
	switch b := t.b[t.i:]; {
	case len(b) < 2:
		return t.fail("an escape has no end")
	case b[1] == 'u':
		return t.fail("want four hexadecimal digits behind \\u, found %s", t.found())
	default:
		return t.fail("JSON has no escape %s", Quote(b[:2]))
	}
}

// number goes behind the number at the present byte.
func (t *Tape) number() error {
	end := numberEnd(t.b, t.i)
	if end < 0 {
		return t.fail("%s is not a number in JSON", t.found())
	}
	t.i = end
	return nil
}

// IsNumber reports whether b, as a whole, is a number as JSON has them.
func IsNumber(b []byte) bool { return len(b) > 0 && numberEnd(b, 0) == len(b) }

// numberEnd returns the end of the number at b[i], -1 if there is none.
func numberEnd(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	from := i
	if i = digits(b, i); i == from || i > from+1 && b[from] == '0' {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		from = i + 1
		if i = digits(b, from); i == from {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from = i
		if i = digits(b, from); i == from {
			return -1
		}
	}
	return i
}

// digits returns the end of the digits at b[i].
func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}
