package rows

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/varvedb/varve/column"
)

// Series returns the number of the series of t with these tags, for Append. They
// may be in any order; nothing of them is kept. A tag without a value is left
// out. The error says why there is no such series.
//
// A series that stands twice in a batch gets two numbers, which mean the same.
func (c *Collector) Series(t *Table, tags []column.Tag) (uint32, error) {
	for i, s := range t.shapes {
		if len(s.tags) != len(tags) || !s.fits(tags) {
			continue
		}
		if i > 0 {
			t.shapes[i], t.shapes[0] = t.shapes[0], s
		}
		if s.batch != c.batch {
			if err := c.list(t, s); err != nil {
				return 0, err
			}
		}
		keys := t.out.Series.Keys
		for i := range s.tags {
			tag := &s.tags[i]
			var ok bool
			var err error
			if keys, ok, err = c.appendTag(t, tag, keys, tags[tag.at].Value); !ok {
				if err != nil {
					return 0, err
				}
				return c.slowly(t, tags) // a value is as good as absent
			}
		}
		return c.keep(t, keys)
	}
	return c.slowly(t, tags)
}

// Label is a tag that lies in a text, as from and to of its name and value. A
// decoder that notes labels so writes no pointers, which cost it more than
// reading them while the collector is at work.
type Label struct{ Name, NameEnd, Value, ValueEnd uint32 }

// SeriesOf does what Series does for tags that lie in a text.
func (c *Collector) SeriesOf(t *Table, text []byte, labels []Label) (uint32, error) {
	for i, s := range t.shapes {
		if len(s.tags) != len(labels) || !s.fitsLabels(text, labels) {
			continue
		}
		if i > 0 {
			t.shapes[i], t.shapes[0] = t.shapes[0], s
		}
		if s.batch != c.batch {
			if err := c.list(t, s); err != nil {
				return 0, err
			}
		}
		keys := t.out.Series.Keys
		for i := range s.tags {
			tag := &s.tags[i]
			l := &labels[tag.at]
			var ok bool
			var err error
			if keys, ok, err = c.appendTag(t, tag, keys, text[l.Value:l.ValueEnd]); !ok {
				if err != nil {
					return 0, err
				}
				return c.slowlyOf(t, text, labels)
			}
		}
		return c.keep(t, keys)
	}
	return c.slowlyOf(t, text, labels)
}

// slowlyOf is slowly for tags that lie in a text.
func (c *Collector) slowlyOf(t *Table, text []byte, labels []Label) (uint32, error) {
	tags := make([]column.Tag, len(labels))
	for i, l := range labels {
		tags[i] = column.Tag{Key: text[l.Name:l.NameEnd], Value: text[l.Value:l.ValueEnd]}
	}
	return c.slowly(t, tags)
}

func (s *shape) fitsLabels(text []byte, labels []Label) bool {
	for i := range s.tags {
		l := &labels[s.tags[i].at]
		if string(text[l.Name:l.NameEnd]) != s.tags[i].sent {
			return false
		}
	}
	return true
}

func (s *shape) fits(tags []column.Tag) bool {
	for i := range tags {
		if string(tags[s.tags[i].at].Key) != s.tags[i].sent {
			return false
		}
	}
	return true
}

// appendTag appends a tag of a known shape to keys. It reports false, perhaps
// without an error, if it cannot.
func (c *Collector) appendTag(t *Table, tag *shapeTag, keys, value []byte) (_ []byte, ok bool, err error) {
	class := classify(value)
	if class == plain {
		return append(append(keys, tag.escaped...), value...), true, nil
	}
	if class == unfit {
		if c.text, err = appendClean(c.text[:0], value); err != nil {
			return keys, false, t.badTag(tag.sent, err)
		}
		if value = c.text; len(value) == 0 {
			return keys, false, nil
		}
	}
	return appendEscaped(append(keys, tag.escaped...), value), true, nil
}

// keep makes a series of the key that was appended to those of t.
func (c *Collector) keep(t *Table, keys []byte) (uint32, error) {
	set := &t.out.Series
	start := len(set.Keys)
	if err := c.checkRoom(t, len(keys)-start); err != nil {
		return 0, err
	}
	set.Keys = keys
	set.Ends = append(set.Ends, uint32(len(keys)))
	set.Hash = append(set.Hash, column.HashKey(t.hash, keys[start:]))
	return uint32(len(set.Ends) - 1), nil
}

func (t *Table) badTag(name string, err error) error {
	return fmt.Errorf("tag %q of a series of %q: %w", name, t.name, err)
}

// checkRoom reports why t cannot have a key of n more bytes.
func (c *Collector) checkRoom(t *Table, n int) error {
	if n > t.room {
		return fmt.Errorf("measurement, tags and field of a series of %q have %d bytes together, which is more than %d", t.name, n+maxKeyBytes-t.room, maxKeyBytes)
	}
	c.series++
	c.keys += n
	return c.grow()
}

// slowly does what Series does for tags of which nothing is known.
func (c *Collector) slowly(t *Table, tags []column.Tag) (uint32, error) {
	if len(tags) > c.limits.MaxTags {
		return 0, fmt.Errorf("a series of %q has %d tags, which is more than %d", t.name, len(tags), c.limits.MaxTags)
	}
	s := &shape{tags: make([]shapeTag, 0, len(tags))}
	c.tags, c.text = c.tags[:0], c.text[:0]
	for i, tag := range tags {
		if len(tag.Value) == 0 {
			continue
		}
		from := len(c.text)
		var err error
		if c.text, err = t.appendName(c.text, tag.Key); err != nil {
			return 0, err
		}
		name := c.text[from:len(c.text):len(c.text)]
		from = len(c.text)
		if c.text, err = appendClean(c.text, tag.Value); err != nil {
			return 0, t.badTag(string(tag.Key), err)
		}
		if len(c.text) == from {
			continue
		}
		c.tags = append(c.tags, column.Tag{Key: name, Value: c.text[from:len(c.text):len(c.text)]})
		s.tags = append(s.tags, shapeTag{at: i, sent: string(tag.Key), name: string(name)})
	}
	var err error
	if c.another, err = column.AppendSeriesKey(c.another[:0], c.tags); err != nil {
		return 0, fmt.Errorf("a series of %q: %w", t.name, err)
	}
	if err := c.checkRoom(t, len(c.another)); err != nil {
		return 0, err
	}
	if err := c.list(t, s); err != nil {
		return 0, err
	}
	if len(s.tags) == len(tags) {
		t.remember(s)
	}
	return t.out.Series.Add(c.another, column.HashKey(t.hash, c.another)), nil
}

// remember keeps s for the next series.
func (t *Table) remember(s *shape) {
	slices.SortFunc(s.tags, func(a, b shapeTag) int { return strings.Compare(a.name, b.name) })
	for i := range s.tags {
		text := make([]byte, 0, len(s.tags[i].name)+2)
		if i > 0 {
			text = append(text, ',')
		}
		s.tags[i].escaped = string(append(appendEscaped(text, []byte(s.tags[i].name)), '='))
	}
	if len(t.shapes) == maxShapes {
		t.shapes = t.shapes[:maxShapes-1]
	}
	t.shapes = append(t.shapes, s)
	t.shapes[0], t.shapes[len(t.shapes)-1] = s, t.shapes[0]
}

// list puts the names of s into the tag keys of t.
func (c *Collector) list(t *Table, s *shape) error {
	if c.columns+len(s.tags) > c.limits.MaxColumns {
		return &LimitError{c.limits.MaxColumns, "fields and tags"}
	}
	for i := range s.tags {
		name := s.tags[i].name
		if t.listed[name] == c.batch {
			continue
		}
		t.listed[name] = c.batch
		t.out.TagKeys = append(t.out.TagKeys, name)
		c.columns++
	}
	s.batch = c.batch
	return nil
}

// reserved goes before names of tags that stand for something else.
const reserved = "label_"

// appendName appends the name that a tag is stored under.
func (t *Table) appendName(dst, name []byte) ([]byte, error) {
	from := len(dst)
	if string(name) == "time" {
		dst = append(dst, reserved...)
	}
	for i := range t.fields.Fields {
		if string(name) == t.fields.Fields[i].Name {
			dst = append(dst, reserved...)
		}
	}
	dst, err := appendClean(dst, name)
	switch {
	case err != nil:
		return dst, fmt.Errorf("the name of a tag of a series of %q: %w", t.name, err)
	case len(dst) == from:
		return dst, fmt.Errorf("a series of %q has a tag without a name", t.name)
	}
	return dst, nil
}

// FieldName returns the name of a field as it can be stored.
func (c *Collector) FieldName(name []byte) (string, error) {
	clean, err := c.clean("field", name)
	return string(clean), err
}

// clean returns a name as it can be stored; valid until the next call.
func (c *Collector) clean(what string, name []byte) ([]byte, error) {
	var err error
	if c.text, err = appendClean(c.text[:0], name); err != nil {
		return nil, fmt.Errorf("the name of a %s: %w", what, err)
	}
	switch {
	case len(c.text) == 0:
		return nil, fmt.Errorf("a series has no %s", what)
	case len(c.text) > maxKeyBytes/2:
		return nil, fmt.Errorf("the name of a %s has %d bytes, which is more than %d", what, len(c.text), maxKeyBytes/2)
	case c.text[0] == '#':
		return nil, fmt.Errorf("the %s %q begins with #, which line protocol cannot carry", what, c.text)
	}
	return c.text, nil
}

// appendClean appends s in a form that line protocol can carry.
func appendClean(dst, s []byte) ([]byte, error) {
	if !utf8.Valid(s) {
		return dst, fmt.Errorf("%q is not UTF-8", s[:min(len(s), 64)])
	}
	s = bytes.TrimRight(s, `\`)
	for _, b := range s {
		if b < ' ' || b == 0x7f {
			b = ' '
		}
		dst = append(dst, b)
	}
	return dst, nil
}

func appendEscaped(dst, s []byte) []byte {
	for _, b := range s {
		if b == ',' || b == ' ' || b == '=' || b == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, b)
	}
	return dst
}

// Classes of values of tags.
const (
	plain   = iota // stands in a key as it is
	special        // with escapes
	unfit          // has to be looked at more closely
)

// classify looks at eight bytes at a time for one that is no plain letter.
func classify(v []byte) int {
	if len(v) == 0 {
		return unfit
	}
	i := 0
	for ; i+8 <= len(v); i += 8 {
		if odd(binary.LittleEndian.Uint64(v[i:])) {
			return classifyEach(v[i:])
		}
	}
	if i < len(v) {
		if len(v) >= 8 {
			if odd(binary.LittleEndian.Uint64(v[len(v)-8:])) {
				return classifyEach(v[i:])
			}
			return plain
		}
		return classifyEach(v)
	}
	return plain
}

func classifyEach(v []byte) int {
	class := plain
	for _, b := range v {
		switch {
		case b < ' ' || b >= 0x7f || b == '\\':
			return unfit
		case b == ' ' || b == ',' || b == '=':
			class = special
		}
	}
	return class
}

// odd reports whether one of eight bytes is below '!', above '~', or a comma,
// equals sign or backslash. It is the search for a zero byte of "Hacker's
// Delight", once for each; it may report too much, never too little.
func odd(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	below := (x - ones*'!') & ^x
	comma, equals, back, del := x^ones*',', x^ones*'=', x^ones*'\\', x^ones*0x7f
	return (x|below|(comma-ones)&^comma|(equals-ones)&^equals|(back-ones)&^back|(del-ones)&^del)&high != 0
}
