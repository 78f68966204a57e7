package lineproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
)

// A backslash in a name is an escape if a character follows that would
// otherwise end the name, and a backslash else. So a comma, space or equals
// sign ends a name exactly if no backslash stands before it.

// unescape appends s to dst without the escapes of the characters in special.
func unescape(dst, s []byte, special string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(special, s[i+1]) >= 0 {
			i++
		}
		dst = append(dst, s[i])
	}
	return dst
}

const (
	measurementSpecial = ", "
	nameSpecial        = ", ="
)

// keyEnd returns where the key at b[i] ends: at the first space that is not
// escaped, or at the newline or end of b if there is no space before.
func (p *Parser) keyEnd(b []byte, i int) (end int, spaced bool) {
	for k := i; ; k++ {
		// The next space is remembered, so that many lines without any do not
		// search the rest of the body each.
		if p.space < k {
			if n := bytes.IndexByte(b[k:], ' '); n >= 0 {
				p.space = k + n
			} else {
				p.space = len(b)
			}
		}
		k = p.space
		if k == len(b) || k == i || b[k-1] != '\\' {
			break
		}
	}
	end = p.space
	if n := bytes.IndexByte(b[i:end], '\n'); n >= 0 {
		return i + n, false
	}
	return end, end < len(b)
}

// splitKey splits the text of a line before its fields into p.measurement and
// p.tags, which share memory with it. Names are still escaped.
func (p *Parser) splitKey(text []byte, spaced bool) (reason string) {
	p.tags = p.tags[:0]
	if len(text) == 0 || text[0] == ',' {
		return missingMeasurement
	}
	i := 1
	for i < len(text) && (text[i] != ',' || text[i-1] == '\\') {
		i++
	}
	p.measurement = text[:i]
	for i < len(text) {
		i++ // the comma
		start := i
		if i == len(text) || text[i] == ',' || text[i] == '=' {
			return missingTagKey
		}
		for i++; i < len(text) && (text[i] != '=' || text[i-1] == '\\'); i++ {
			if text[i] == ',' && text[i-1] != '\\' {
				return missingTagValue
			}
		}
		if i == len(text) {
			return missingTagValue
		}
		key := text[start:i]
		i++
		start = i
		if i == len(text) || text[i] == ',' {
			return missingTagValue
		}
		// InfluxDB takes an equals sign in the first place of a value.
		for i++; i < len(text) && (text[i] != ',' || text[i-1] == '\\'); i++ {
			if text[i] == '=' && text[i-1] != '\\' {
				return invalidTag
			}
		}
		if len(p.tags) == p.cfg.MaxTags {
			return fmt.Sprintf("too many tags: more than %d", p.cfg.MaxTags)
		}
		p.tags = append(p.tags, column.Tag{Key: key, Value: text[start:i]})
	}
	if !spaced {
		return missingFields
	}
	return ""
}

// addKey makes the entry of a text that is new.
func (p *Parser) addKey(text []byte, hash uint64, spaced bool) (id uint32, reason string) {
	if reason = p.splitKey(text, spaced); reason != "" {
		return 0, reason
	}
	if len(text) > maxKeyBytes {
		return 0, fmt.Sprintf("max key length exceeded: %d > %d", len(text), maxKeyBytes)
	}
	canonical := true
	if bytes.IndexByte(text, '\\') >= 0 {
		canonical = false
		p.unescapeKey(len(text))
	}
	for i := range p.tags {
		if i > 0 {
			switch bytes.Compare(p.tags[i-1].Key, p.tags[i].Key) {
			case 0:
				return 0, duplicateTags
			case 1:
				canonical = false
			}
		}
		if p.tags[i].Value[0] == '=' {
			canonical = false
		}
	}
	if canonical {
		e, reason := p.resolve(text)
		if reason != "" {
			return 0, reason
		}
		return p.cache.add(text, hash, e), ""
	}

	buf := p.canonical[:0]
	for _, c := range p.measurement {
		if c == ',' || c == ' ' {
			buf = append(buf, '\\')
		}
		buf = append(buf, c)
	}
	if len(p.tags) > 0 {
		buf = append(buf, ',')
	}
	buf, err := column.AppendSeriesKey(buf, p.tags)
	p.canonical = buf
	if err != nil {
		return 0, duplicateTags // no tag key is empty here
	}
	marked := bytes.IndexByte(buf, '\\') >= 0
	ownerHash := hashText(buf, marked)
	owner := p.cache.find(buf, ownerHash, marked)
	if owner == 0 {
		e, reason := p.resolve(buf)
		if reason != "" {
			return 0, reason
		}
		e.marked = marked
		owner = p.cache.add(buf, ownerHash, e)
	}
	return p.cache.add(text, hash, entry{owner: owner}), ""
}

// unescapeKey replaces p.measurement and p.tags, n bytes together, by their
// unescaped form.
func (p *Parser) unescapeKey(n int) {
	if cap(p.names) < n {
		p.names = make([]byte, 0, 2*n)
	}
	buf := p.names[:0]
	un := func(s []byte, special string) []byte {
		start := len(buf)
		buf = unescape(buf, s, special)
		return buf[start:]
	}
	p.measurement = un(p.measurement, measurementSpecial)
	for i, t := range p.tags {
		p.tags[i] = column.Tag{Key: un(t.Key, nameSpecial), Value: un(t.Value, nameSpecial)}
	}
}

// resolve makes the entry of the series whose text with tags in order is
// text, and whose parts are in p.measurement and p.tags.
func (p *Parser) resolve(text []byte) (e entry, reason string) {
	t, reason := p.tableOf(p.measurement)
	if reason != "" {
		return entry{}, reason
	}
	s, reason := p.shapeOf(t)
	if reason != "" {
		return entry{}, reason
	}
	e = entry{table: t.id, shape: s, key: uint32(len(text))}
	if len(p.tags) > 0 {
		e.key = uint32(measurementEnd(text) + 1)
	}
	e.hash = column.HashKey(t.hash, text[e.key:])
	return e, ""
}

// measurementEnd returns where the measurement at the beginning of text ends.
func measurementEnd(text []byte) int {
	i := 1
	for i < len(text) && (text[i] != ',' || text[i-1] == '\\') {
		i++
	}
	return i
}

// tableOf returns the table of a measurement, made if it is new.
func (p *Parser) tableOf(measurement []byte) (t *table, reason string) {
	if id, ok := p.tableIDs[string(measurement)]; ok {
		return p.tables[id], ""
	}
	if len(p.open) >= p.cfg.MaxTables {
		return nil, fmt.Sprintf("too many measurements in one body: more than %d", p.cfg.MaxTables)
	}
	t = &table{
		name:    string(measurement),
		id:      uint32(len(p.tables)),
		hash:    xxhash.Sum64(measurement),
		fields:  map[string]uint32{},
		tagIDs:  map[string]uint32{},
		shapeID: map[string]uint32{},
		out:     new(column.Table),
	}
	p.tables = append(p.tables, t)
	p.tableIDs[t.name] = t.id
	p.nameBytes += tableBytes + len(t.name)
	return t, ""
}

// shapeOf returns the shape of p.tags, made if it is new.
func (p *Parser) shapeOf(t *table) (id uint32, reason string) {
	if int(t.last) < len(t.shapes) && t.hasShape(t.last, p.tags) {
		return t.last, ""
	}
	buf := p.shapeKey[:0]
	for _, tag := range p.tags {
		buf = binary.AppendUvarint(buf, uint64(len(tag.Key)))
		buf = append(buf, tag.Key...)
	}
	p.shapeKey = buf
	if id, ok := t.shapeID[string(buf)]; ok {
		t.last = id
		return id, ""
	}
	if p.columns+len(p.tags) > p.cfg.MaxColumns {
		return 0, p.tooManyColumns()
	}
	s := shape{tags: make([]uint32, len(p.tags))}
	for i, tag := range p.tags {
		id, ok := t.tagIDs[string(tag.Key)]
		if !ok {
			id = uint32(len(t.tags))
			name := string(tag.Key)
			t.tags = append(t.tags, tagKey{name: name})
			t.tagIDs[name] = id
			p.nameBytes += tagBytes + len(name)
		}
		s.tags[i] = id
		s.time = s.time || string(tag.Key) == timeName
	}
	id = uint32(len(t.shapes))
	t.shapes = append(t.shapes, s)
	t.shapeID[string(buf)] = id
	p.nameBytes += shapeBytes + len(buf) + 4*len(s.tags)
	t.last = id
	return id, ""
}

func (t *table) hasShape(id uint32, tags []column.Tag) bool {
	s := &t.shapes[id]
	if len(s.tags) != len(tags) {
		return false
	}
	for i, k := range s.tags {
		if t.tags[k].name != string(tags[i].Key) {
			return false
		}
	}
	return true
}
