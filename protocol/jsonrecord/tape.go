package jsonrecord

import (
	"fmt"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

const (
	// maxDepth is far deeper than readings are and far from the end of the stack.
	maxDepth = 64
	// maxNodes bounds the memory that a message makes of itself.
	maxNodes = 1 << 20
	// maxQuoted bounds what an error quotes of a message.
	maxQuoted = 40
)

// kind is what a node of a tape is.
type kind byte

const (
	object kind = iota + 1
	array
	text
	number
	yes
	no
	null
)

func (k kind) String() string {
	switch k {
	case object:
		return "an object"
	case array:
		return "an array"
	case text:
		return "a text"
	case number:
		return "a number"
	case yes, no:
		return "true or false"
	}
	return "null"
}

// node is a value of the document. The values in an object or array follow
// their container; next is where the first node behind a value is.
type node struct {
	kind     kind
	escaped  bool // the text has escapes
	named    bool // it is the member of an object
	odd      bool // the key has escapes
	key      int32
	keyEnd   int32
	from, to int32 // of the value, a text without its quotes
	next     int32
}

// tape is a document taken apart: its values in the order of the text.
type tape struct {
	b     []byte
	i     int
	nodes []node
}

// syntaxError is where a document is not JSON.
type syntaxError struct {
	offset int
	what   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.offset, e.what) }

func (t *tape) fail(format string, args ...any) error {
	return &syntaxError{t.i, fmt.Sprintf(format, args...)}
}

// found describes what stands at the present byte.
func (t *tape) found() string {
	if t.i >= len(t.b) {
		return "the end"
	}
	return quote(t.b[t.i:])
}

// quote returns the beginning of b for people.
func quote(b []byte) string {
	if len(b) > maxQuoted {
		return strconv.Quote(string(b[:maxQuoted])) + "…"
	}
	return strconv.Quote(string(b))
}

// read takes b apart.
func (t *tape) read(b []byte) error {
	t.b, t.i, t.nodes = b, 0, t.nodes[:0]
	if len(b) > 1<<30 {
		return t.fail("the document has %d bytes, which is more than 1 GiB", len(b))
	}
	t.space()
	if err := t.value(0); err != nil {
		return err
	}
	if t.space(); t.i < len(t.b) {
		return t.fail("want the end behind the document, found %s", t.found())
	}
	return nil
}

func (t *tape) space() {
	for t.i < len(t.b) {
		switch t.b[t.i] {
		case ' ', '\n', '\t', '\r':
			t.i++
		default:
			return
		}
	}
}

func (t *tape) peek() byte {
	if t.i < len(t.b) {
		return t.b[t.i]
	}
	return 0
}

// value reads the value at the present byte as a node without a key.
func (t *tape) value(depth int) error {
	if len(t.nodes) >= maxNodes {
		return t.fail("the document has more than %d values", maxNodes)
	}
	at := len(t.nodes)
	t.nodes = append(t.nodes, node{})
	return t.fill(at, depth)
}

// fill reads the value at the present byte into node at.
func (t *tape) fill(at, depth int) (err error) {
	n := node{from: int32(t.i)}
	switch c := t.peek(); {
	case c == '{':
		n.kind = object
		err = t.members(depth + 1)
	case c == '[':
		n.kind = array
		err = t.elements(depth + 1)
	case c == '"':
		n.kind = text
		n.from++
		n.escaped, err = t.skipText()
		n.to = int32(t.i) - 1
	case c == '-' || c-'0' <= 9:
		n.kind = number
		err = t.skipNumber()
	case c == 't':
		n.kind, err = yes, t.word("true")
	case c == 'f':
		n.kind, err = no, t.word("false")
	case c == 'n':
		n.kind, err = null, t.word("null")
	default:
		return t.fail("want a value, found %s", t.found())
	}
	if err != nil {
		return err
	}
	if n.kind != text {
		n.to = int32(t.i)
	}
	n.next = int32(len(t.nodes))
	have := &t.nodes[at]
	n.named, n.odd, n.key, n.keyEnd = have.named, have.odd, have.key, have.keyEnd
	*have = n
	return nil
}

// members reads the object at the present byte.
func (t *tape) members(depth int) error {
	if depth > maxDepth {
		return t.fail("values are nested more than %d deep", maxDepth)
	}
	t.i++
	if t.space(); t.peek() == '}' {
		t.i++
		return nil
	}
	for {
		if t.space(); t.peek() != '"' {
			return t.fail("want a key in quotes, found %s", t.found())
		}
		if len(t.nodes) >= maxNodes {
			return t.fail("the document has more than %d values", maxNodes)
		}
		n := node{named: true, key: int32(t.i + 1)}
		var err error
		if n.odd, err = t.skipText(); err != nil {
			return err
		}
		n.keyEnd = int32(t.i - 1)
		if t.space(); t.peek() != ':' {
			return t.fail("want a colon behind a key, found %s", t.found())
		}
		t.i++
		t.space()
		at := len(t.nodes)
		t.nodes = append(t.nodes, n)
		if err := t.fill(at, depth); err != nil {
			return err
		}
		t.space()
		switch t.peek() {
		case ',':
			t.i++
		case '}':
			t.i++
			return nil
		default:
			return t.fail("want a comma or } behind a value, found %s", t.found())
		}
	}
}

// elements reads the array at the present byte.
func (t *tape) elements(depth int) error {
	if depth > maxDepth {
		return t.fail("values are nested more than %d deep", maxDepth)
	}
	t.i++
	if t.space(); t.peek() == ']' {
		t.i++
		return nil
	}
	for {
		t.space()
		if err := t.value(depth); err != nil {
			return err
		}
		t.space()
		switch t.peek() {
		case ',':
			t.i++
		case ']':
			t.i++
			return nil
		default:
			return t.fail("want a comma or ] behind a value, found %s", t.found())
		}
	}
}

func (t *tape) word(w string) error {
	if end := t.i + len(w); end > len(t.b) || string(t.b[t.i:end]) != w {
		return t.fail("want %s, found %s", w, t.found())
	}
	t.i += len(w)
	return nil
}

// skipText goes behind the text at the present byte, a quote.
func (t *tape) skipText() (escaped bool, err error) {
	b := t.b
	for i := t.i + 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			t.i = i + 1
			return escaped, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			t.i = i
			return false, t.fail("a text holds a control character; JSON writes it as \\u%04x", c)
		}
	}
	return false, t.fail("a text has no closing quote")
}

// skipNumber goes behind the number at the present byte.
func (t *tape) skipNumber() error {
	b, i := t.b, t.i
	if b[i] == '-' {
		i++
	}
	from := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == from || i > from+1 && b[from] == '0' {
		return t.fail("%s is not a number in JSON", t.found())
	}
	if i < len(b) && b[i] == '.' {
		i++
		from = i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return t.fail("%s is not a number in JSON", t.found())
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from = i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return t.fail("%s is not a number in JSON", t.found())
		}
	}
	t.i = i
	return nil
}

// str returns a text or key.
func (t *tape) str(from, to int32, escaped bool) (string, error) {
	b := t.b[from:to]
	if !escaped {
		return unsafe.String(unsafe.SliceData(b), len(b)), nil
	}
	s, err := unescape(b)
	if err != nil {
		return "", &syntaxError{int(from), err.Error()}
	}
	return s, nil
}

func (t *tape) text(n *node) (string, error) { return t.str(n.from, n.to, n.escaped) }

func (t *tape) key(n *node) (string, error) { return t.str(n.key, n.keyEnd, n.odd) }

// unescape returns what a text with escapes stands for.
func unescape(b []byte) (string, error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		if i == len(b) {
			return "", fmt.Errorf("an escape has no end")
		}
		switch c := b[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n := unicodeEscape(b[i-1:])
			if n == 0 {
				return "", fmt.Errorf("want four hexadecimal digits behind \\u, found %s", quote(b[i-1:]))
			}
			out = utf8.AppendRune(out, r)
			i += n - 2
		default:
			return "", fmt.Errorf("JSON has no escape \\%c", c)
		}
	}
	return string(out), nil
}
