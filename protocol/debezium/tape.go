package debezium

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxDepth bounds how deep a message may be nested.
const maxDepth = 64

// node is a value of a message. Those inside of it follow it; of an object, key
// and value take turns.
type node struct {
	kind       byte // one of { [ " 0 t f n
	escaped    bool // a text with a backslash
	start, end int32
	next       int32 // the node behind it and all that it holds
}

// tape holds a message of JSON as a list of its values. It is used again.
type tape struct {
	text  []byte
	nodes []node
	at    int
	wrong string // what ended the reading
}

// read takes text in, which has to be UTF-8, and returns "" or what is wrong.
func (t *tape) read(text []byte) (wrong string) {
	t.text, t.nodes, t.at, t.wrong = text, t.nodes[:0], 0, ""
	if len(text) > 1<<30 {
		return "the message is larger than 1 GiB"
	}
	if !utf8.Valid(text) {
		return "the message is not UTF-8"
	}
	t.space()
	if !t.value(0) {
		return t.wrong + " at byte " + strconv.Itoa(t.at)
	}
	if t.space(); t.at < len(text) {
		return "something comes behind the end at byte " + strconv.Itoa(t.at)
	}
	return ""
}

func (t *tape) fail(what string) bool {
	if t.wrong == "" {
		t.wrong = what
	}
	return false
}

func (t *tape) space() {
	for t.at < len(t.text) {
		switch t.text[t.at] {
		case ' ', '\t', '\n', '\r':
			t.at++
		default:
			return
		}
	}
}

// peek returns the byte that comes, 0 at the end.
func (t *tape) peek() byte {
	if t.at < len(t.text) {
		return t.text[t.at]
	}
	return 0
}

func (t *tape) value(depth int) bool {
	if depth > maxDepth {
		return t.fail("the message is nested deeper than 64")
	}
	i := len(t.nodes)
	t.nodes = append(t.nodes, node{start: int32(t.at)})
	ok, kind := false, t.peek()
	switch kind {
	case '{':
		ok = t.object(depth)
	case '[':
		ok = t.array(depth)
	case '"':
		ok = t.str(i)
	case 't':
		ok = t.word("true")
	case 'f':
		ok = t.word("false")
	case 'n':
		ok = t.word("null")
	default:
		kind, ok = '0', t.number()
	}
	n := &t.nodes[i]
	n.kind, n.end, n.next = kind, int32(t.at), int32(len(t.nodes))
	return ok
}

func (t *tape) object(depth int) bool {
	t.at++
	if t.space(); t.peek() == '}' {
		t.at++
		return true
	}
	for {
		if t.space(); t.peek() != '"' {
			return t.fail("want a key in quotes")
		}
		i := len(t.nodes)
		t.nodes = append(t.nodes, node{kind: '"', start: int32(t.at), next: int32(i + 1)})
		if !t.str(i) {
			return false
		}
		t.nodes[i].end = int32(t.at)
		if t.space(); t.peek() != ':' {
			return t.fail("want a colon")
		}
		t.at++
		if t.space(); !t.value(depth + 1) {
			return false
		}
		t.space()
		switch t.peek() {
		case ',':
			t.at++
		case '}':
			t.at++
			return true
		default:
			return t.fail("want a comma or }")
		}
	}
}

func (t *tape) array(depth int) bool {
	t.at++
	if t.space(); t.peek() == ']' {
		t.at++
		return true
	}
	for {
		if t.space(); !t.value(depth + 1) {
			return false
		}
		t.space()
		switch t.peek() {
		case ',':
			t.at++
		case ']':
			t.at++
			return true
		default:
			return t.fail("want a comma or ]")
		}
	}
}

// str passes a text, of which node i is.
func (t *tape) str(i int) bool {
	for t.at++; t.at < len(t.text); t.at++ {
		switch c := t.text[t.at]; {
		case c == '"':
			t.at++
			return true
		case c < ' ':
			return t.fail("a control character in a text")
		case c == '\\':
			t.nodes[i].escaped = true
			t.at++
			switch t.peek() {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					t.at++
					if hexDigit(t.peek()) < 0 {
						return t.fail("want four hexadecimal digits")
					}
				}
			default:
				return t.fail("a backslash that JSON does not have")
			}
		}
	}
	return t.fail("a text without its closing quote")
}

func (t *tape) word(w string) bool {
	if len(t.text)-t.at < len(w) || string(t.text[t.at:t.at+len(w)]) != w {
		return t.fail("want a value")
	}
	t.at += len(w)
	return true
}

func (t *tape) number() bool {
	if t.peek() == '-' {
		t.at++
	}
	switch c := t.peek(); {
	case c == '0':
		t.at++
	case !t.digits():
		return t.fail("want a value")
	}
	if t.peek() == '.' {
		t.at++
		if !t.digits() {
			return t.fail("no digit behind the point")
		}
	}
	if c := t.peek(); c == 'e' || c == 'E' {
		t.at++
		if c := t.peek(); c == '+' || c == '-' {
			t.at++
		}
		if !t.digits() {
			return t.fail("an exponent without a digit")
		}
	}
	return true
}

func (t *tape) digits() bool {
	from := t.at
	for c := t.peek(); c >= '0' && c <= '9'; c = t.peek() {
		t.at++
	}
	return t.at > from
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// none is the node that is not there.
const none = int32(-1)

// kind returns what node i is, 0 if it is not there.
func (t *tape) kind(i int32) byte {
	if i < 0 {
		return 0
	}
	return t.nodes[i].kind
}

// get returns the value of a key of object i; the first if there are several.
func (t *tape) get(i int32, key string) int32 {
	if t.kind(i) != '{' {
		return none
	}
	for k := i + 1; k < t.nodes[i].next; k = t.nodes[k+1].next {
		if n := &t.nodes[k]; !n.escaped && string(t.text[n.start+1:n.end-1]) == key {
			return k + 1
		}
	}
	return none
}

// raw returns the bytes of node i. They share the message's memory.
func (t *tape) raw(i int32) []byte { return t.text[t.nodes[i].start:t.nodes[i].end] }

// view returns the bytes of node i as a string, which shares the message's
// memory.
func (t *tape) view(i int32) string {
	b := t.raw(i)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// string returns the text of node i, "" if it is none. It shares the message's
// memory unless it is escaped.
func (t *tape) string(i int32) string {
	if t.kind(i) != '"' {
		return ""
	}
	n := &t.nodes[i]
	b := t.text[n.start+1 : n.end-1]
	if len(b) == 0 {
		return ""
	}
	if !n.escaped {
		return unsafe.String(unsafe.SliceData(b), len(b))
	}
	return string(unescape(nil, b))
}

// int returns the whole number of node i, 0 if it is none.
func (t *tape) int(i int32) int64 {
	if t.kind(i) != '0' {
		return 0
	}
	n, err := strconv.ParseInt(t.view(i), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// unescape appends b, the inside of a text that read has passed, to out.
func unescape(out, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		switch c := b[i]; c {
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
			r := rune4(b[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				second := rune(utf8.RuneError)
				if i+6 < len(b) && b[i+1] == '\\' && b[i+2] == 'u' {
					second = rune4(b[i+3:])
				}
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return out
}

func rune4(b []byte) (r rune) {
	for _, c := range b[:4] {
		r = r<<4 | rune(hexDigit(c))
	}
	return r
}
