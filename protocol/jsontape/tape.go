// Package jsontape takes a document of JSON (RFC 8259) apart into a flat list of
// its values, the tape, in the order of the text. Decoders look up there what they
// want: protocol/jsonrecord by declared paths, protocol/debezium what an event of
// Debezium has.
//
// A value is told by its number: the document is value 0, and the values in an
// object or array follow it, so that value i+1 is its first, and Next tells where
// those after it are. None is no value. Nothing but escapes is copied, and a Tape
// that has grown to the size of its documents allocates nothing more; what it
// returns shares the document's memory. It is checked while it is read: what comes
// out of a tape is JSON to its last byte, and UTF-8.
//
// A Tape belongs to one goroutine at a time. Its zero value is ready to use.
package jsontape

import (
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
	"unsafe"
)

const (
	// MaxDepth is how deep objects and arrays may be nested: far deeper than
	// readings are and far from the end of the stack.
	MaxDepth = 64
	// maxValues bounds the memory that a document makes of itself.
	maxValues = 1 << 20
	// maxBytes lets places in a document fit into 32 bits.
	maxBytes = 1 << 30
)

// None is the number of a value that is not there.
const None = -1

// Kind is what a value is. That of None is 0.
type Kind byte

const (
	Object Kind = iota + 1
	Array
	Text
	Number
	True
	False
	Null
)

func (k Kind) String() string {
	switch k {
	case Object:
		return "an object"
	case Array:
		return "an array"
	case Text:
		return "a text"
	case Number:
		return "a number"
	case True, False:
		return "true or false"
	case Null:
		return "null"
	}
	return "nothing"
}

// ErrUTF8 is in the chain of errors of documents that are not UTF-8.
var ErrUTF8 = errors.New("the message is not UTF-8")

// Error says where a document is not JSON, or more of it than is taken.
type Error struct {
	Offset int // byte of the document
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// node is a value.
type node struct {
	kind           Kind
	escaped        bool  // a text with escapes
	keyEscaped     bool  // the key has escapes
	key, keyEnd    int32 // of a member, without quotes
	from, to, next int32 // a text is without its quotes
}

// Tape is a document taken apart.
type Tape struct {
	b     []byte
	i     int // the present byte
	nodes []node
}

// Read takes b apart. b must not change while the tape is in use.
func (t *Tape) Read(b []byte) error {
	t.b, t.i, t.nodes = b, 0, t.nodes[:0]
	if len(b) > maxBytes {
		return t.fail("the document has %d bytes, which is more than 1 GiB", len(b))
	}
	if !utf8.Valid(b) {
		return &Error{firstInvalid(b), ErrUTF8}
	}
	t.space()
	if err := t.value(node{}, 0); err != nil {
		return err
	}
	if t.space(); t.i < len(t.b) {
		return t.fail("want the end behind the document, found %s", t.found())
	}
	return nil
}

func firstInvalid(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// Kind returns what value i is, 0 if it is None.
func (t *Tape) Kind(i int) Kind {
	if i < 0 {
		return 0
	}
	return t.nodes[i].kind
}

// Next returns the number of the value behind value i and all that is in it.
func (t *Tape) Next(i int) int { return int(t.nodes[i].next) }

// Raw returns value i as it stands in the document, a text without its quotes.
func (t *Tape) Raw(i int) []byte {
	n := &t.nodes[i]
	return t.b[n.from:n.to]
}

// View returns what Raw does, as a string that shares the document's memory.
func (t *Tape) View(i int) string {
	n := &t.nodes[i]
	return view(t.b[n.from:n.to])
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Text returns the text that value i is, "" if it is none. It shares the
// document's memory unless it has escapes.
func (t *Tape) Text(i int) string {
	if t.Kind(i) != Text {
		return ""
	}
	n := &t.nodes[i]
	return t.string(n.from, n.to, n.escaped)
}

// Escaped reports whether value i is a text with escapes.
func (t *Tape) Escaped(i int) bool { return t.nodes[i].escaped }

// Key returns the key of value i, a member of an object.
func (t *Tape) Key(i int) string {
	n := &t.nodes[i]
	return t.string(n.key, n.keyEnd, n.keyEscaped)
}

func (t *Tape) string(from, to int32, escaped bool) string {
	b := t.b[from:to]
	if escaped {
		return unescape(b)
	}
	return view(b)
}

// Get returns the member of object i that has a key, the last one if there are
// several; None if there is none, or i is no object.
func (t *Tape) Get(i int, key string) int {
	if t.Kind(i) != Object {
		return None
	}
	found := None
	nodes := t.nodes
	for v, end := i+1, int(nodes[i].next); v < end; {
		n := &nodes[v]
		if n.keyEscaped {
			if t.Key(v) == key {
				found = v
			}
		} else if string(t.b[n.key:n.keyEnd]) == key {
			found = v
		}
		v = int(n.next)
	}
	return found
}

// Element returns element number index, from 0, of array i; None if there is none,
// or i is no array.
func (t *Tape) Element(i, index int) int {
	for v := range t.Elements(i) {
		if index == 0 {
			return v
		}
		index--
	}
	return None
}

// Only returns the one value that object or array i has; None if it has another
// number of them.
func (t *Tape) Only(i int) int {
	if n := &t.nodes[i]; int(n.next) > i+1 && t.nodes[i+1].next == n.next {
		return i + 1
	}
	return None
}

// Members returns the values of object i; none if i is no object.
func (t *Tape) Members(i int) iter.Seq[int] { return t.within(i, Object) }

// Elements returns the values of array i; none if i is no array.
func (t *Tape) Elements(i int) iter.Seq[int] { return t.within(i, Array) }

func (t *Tape) within(i int, container Kind) iter.Seq[int] {
	return func(yield func(int) bool) {
		if t.Kind(i) != container {
			return
		}
		for v, end := i+1, int(t.nodes[i].next); v < end; v = int(t.nodes[v].next) {
			if !yield(v) {
				return
			}
		}
	}
}
