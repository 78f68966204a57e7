package lineproto

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/varvedb/varve/column"
)

// noField stands for a field that has no column: one called time.
const noField = math.MaxUint32

// named reports whether b begins with the name of c and an equals sign.
func (c *col) named(b []byte) bool {
	return len(b) >= len(c.raw) && string(b[:len(c.raw)]) == c.raw
}

// findField returns the column of the field at b[i], made if it is new, and
// where its value begins. guess is the column that was expected after the
// column before.
func (p *Parser) findField(t *table, b []byte, i int, guess, before uint32) (at uint32, value int, reason string) {
	// Often just one field was left out. The order that the guesses follow is
	// then still right.
	if int(guess) < len(t.cols) {
		if t.cols[guess].named(b[i:]) {
			return guess, i + len(t.cols[guess].raw), ""
		}
		guess = t.cols[guess].next
		if int(guess) < len(t.cols) && t.cols[guess].named(b[i:]) {
			return guess, i + len(t.cols[guess].raw), ""
		}
	}

	k := i
	for ; ; k++ {
		if k >= len(b) || b[k] == '\n' {
			return 0, 0, invalidField
		}
		if k > i && b[k-1] == '\\' {
			continue
		}
		if b[k] == '=' {
			break
		}
		if b[k] == ',' || b[k] == ' ' {
			return 0, 0, invalidField
		}
	}
	if k == i {
		return 0, 0, missingFieldKey
	}
	raw := b[i : k+1]
	name := b[i:k]
	if bytes.IndexByte(name, '\\') >= 0 {
		p.text = unescape(p.text[:0], name, nameSpecial)
		name = p.text
	}
	if string(name) == timeName {
		return noField, k + 1, ""
	}
	at, ok := t.fields[string(name)]
	if !ok {
		if p.columns >= p.cfg.MaxColumns {
			return 0, 0, p.tooManyColumns()
		}
		at = p.addField(t, string(raw), string(name))
	}
	if before == noField {
		t.first = at
	} else {
		t.cols[before].next = at
	}
	return at, k + 1, ""
}

// addField makes a column.
func (p *Parser) addField(t *table, raw, name string) uint32 {
	at := uint32(len(t.cols))
	c := col{raw: raw, name: name, len: uint32(len(raw)), next: at + 1}
	var w, m [16]byte
	for i := range m[:copy(w[:], raw)] {
		m[i] = 0xFF
	}
	c.w0, c.w1 = binary.LittleEndian.Uint64(w[:]), binary.LittleEndian.Uint64(w[8:])
	c.m0, c.m1 = binary.LittleEndian.Uint64(m[:]), binary.LittleEndian.Uint64(m[8:])
	t.cols = append(t.cols, c)
	t.fields[name] = at
	p.nameBytes += colBytes + len(raw) + len(name)
	return at
}

// str reads the string at b[i], a quote. It returns its text, which lives
// until the next call, and where it ends, -1 if it does not.
func (p *Parser) str(b []byte, i int) (text []byte, end int) {
	i++
	n := bytes.IndexByte(b[i:], '"')
	if n < 0 {
		return nil, -1
	}
	if bytes.IndexByte(b[i:i+n], '\\') < 0 {
		return b[i : i+n], i + n + 1
	}
	p.text = p.text[:0]
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			return p.text, i + 1
		case '\\':
			if i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\') {
				i++
			}
		}
		p.text = append(p.text, b[i])
	}
	return nil, -1
}

// ready makes c ready for a value of type typ in row. It reports false if the
// row is not to have it.
func (p *Parser) ready(t *table, c *col, row int, typ column.Type) bool {
	p.written++
	if p.conflict.Kind != 0 {
		return false
	}
	at := t.fields[c.name]
	if c.typ == 0 {
		if k, ok := t.tagIDs[c.name]; ok && t.tags[k].batch == p.batch {
			p.conflict = Conflict{Kind: NameConflict, Measurement: t.name, Name: c.name}
			return false
		}
		c.typ = typ
		p.fresh = append(p.fresh, at)
		t.used = append(t.used, at)
	}
	if c.typ != typ {
		p.conflict = Conflict{Kind: TypeConflict, Measurement: t.name, Name: c.name, Got: typ, Have: c.typ}
		return false
	}
	if !c.live {
		c.live = true
		if typ != column.String {
			c.hot = typ
		}
		t.live++
		p.columns++
		p.lively = append(p.lively, at)
	}
	if n := c.rows(); n > row {
		c.truncate(row) // the field stands twice in the line: the later one counts
	} else if n < row {
		c.pad(row)
	}
	return true
}

// put puts a word into row of c.
func (p *Parser) put(t *table, c *col, row int, typ column.Type, w uint64) {
	if p.ready(t, c, row, typ) {
		c.words = append(c.words, w)
	}
}

// putString puts a string into row of c.
func (p *Parser) putString(t *table, c *col, row int, s []byte) {
	if c.live && c.typ == column.String && len(c.ends) == row {
		p.written++
	} else if !p.ready(t, c, row, column.String) {
		return
	}
	c.data = append(c.data, s...)
	c.ends = append(c.ends, uint32(len(c.data)))
}
