package jsonpoints

import (
	"bytes"
	"unicode/utf8"

	"github.com/varvedb/varve/protocol/jsontape"
)

// peek returns the present byte, 0 at the end.
func (d *Decoder) peek() byte {
	if d.i < len(d.b) {
		return d.b[d.i]
	}
	return 0
}

// space skips what JSON calls whitespace.
func (d *Decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\n', '\t', '\r':
			d.i++
		default:
			return
		}
	}
}

// colon reads what stands between a key and its value.
func (d *Decoder) colon() error {
	if d.space(); d.peek() != ':' {
		return d.errorf("want a colon behind a key, found %s", d.found())
	}
	d.i++
	d.space()
	return nil
}

// isNull reports whether s holds null.
func (d *Decoder) isNull(s span) bool { return string(d.b[s.from:s.to]) == "null" }

// literal reads a word.
func (d *Decoder) literal(word string) error {
	if !bytes.HasPrefix(d.b[d.i:], []byte(word)) {
		return d.errorf("want %s, found %s", word, d.found())
	}
	d.i += len(word)
	return nil
}

// members calls use for each member of the object at the present byte, which is
// a brace, with the present byte at the member's value; use reads the value.
func (d *Decoder) members(use func(key []byte) error) error {
	d.i++
	if d.space(); d.peek() == '}' {
		d.i++
		return nil
	}
	for {
		if d.space(); d.peek() != '"' {
			return d.errorf("want a key in quotes, found %s", d.found())
		}
		key, err := d.str()
		if err != nil {
			return err
		}
		if err := d.colon(); err != nil {
			return err
		}
		if err := use(key); err != nil {
			return err
		}
		d.space()
		switch d.peek() {
		case ',':
			d.i++
		case '}':
			d.i++
			return nil
		default:
			return d.errorf("want a comma or } behind a value, found %s", d.found())
		}
	}
}

// skip skips the value at the present byte. It follows brackets and quotes
// only; whoever reads the value finds its faults.
func (d *Decoder) skip() error {
	start := d.i
	depth := 0
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case '"':
			if err := d.skipString(); err != nil {
				return err
			}
			if depth == 0 {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return d.skipped(start)
			}
			if depth--; depth == 0 {
				d.i++
				return nil
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return d.skipped(start)
			}
		}
		d.i++
	}
	return d.errorf("the body ends within a point")
}

func (d *Decoder) skipped(start int) error {
	if d.i == start {
		return d.errorf("want a value, found %s", d.found())
	}
	return nil
}

func (d *Decoder) skipString() error {
	for i := d.i + 1; i < len(d.b); i++ {
		switch d.b[i] {
		case '\\':
			i++
		case '"':
			d.i = i + 1
			return nil
		}
	}
	return d.errorf("a string has no closing quote")
}

// str reads the string at the present byte, a quote. Its text lies in the body
// or, if it has escapes, in d.text.
func (d *Decoder) str() ([]byte, error) {
	start := d.i + 1
	for i := start; i < len(d.b); i++ {
		switch c := d.b[i]; {
		case c == '"':
			d.i = i + 1
			return d.b[start:i], nil
		case c == '\\':
			return d.escaped(start, i)
		case c < ' ':
			d.i = i
			return nil, d.errorf("a string holds a control character; JSON writes it as \\u%04x", c)
		}
	}
	return nil, d.errorf("a string has no closing quote")
}

// escaped reads on in the string from start, whose first backslash is at i.
func (d *Decoder) escaped(start, i int) ([]byte, error) {
	begin := len(d.text)
	text := append(d.text, d.b[start:i]...)
	for i < len(d.b) {
		switch c := d.b[i]; {
		case c == '"':
			d.i, d.text = i+1, text
			return text[begin:len(text):len(text)], nil
		case c < ' ':
			d.i = i
			return nil, d.errorf("a string holds a control character; JSON writes it as \\u%04x", c)
		case c != '\\':
			text = append(text, c)
			i++
			continue
		}
		if i+1 == len(d.b) {
			break
		}
		r, n := jsontape.Escape(d.b[i:])
		if n == 0 {
			d.i = i
			if d.b[i+1] == 'u' {
				return nil, d.errorf("a string holds %s: want four hexadecimal digits behind \\u", d.found())
			}
			return nil, d.errorf("a string holds the escape %s, which JSON does not have", quote(d.b[i:i+2]))
		}
		text = utf8.AppendRune(text, r)
		i += n
	}
	d.i = start - 1
	return nil, d.errorf("a string has no closing quote")
}
