package postgres

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// relation is a table as the log describes it, and the parts of its events
// that are always alike.
type relation struct {
	name    string // schema.table
	columns []eventColumn
	source  []byte // `"source":{…` up to what changes
}

// eventColumn is a column of a relation.
type eventColumn struct {
	label []byte // `"name":`; nil if nobody asks for the column
	kind  byte   // of its values in JSON: b, n or s
	key   bool   // logged of the row before a change
}

// newRelation describes a table of a database.
func newRelation(database, schema, name string) *relation {
	r := &relation{name: schema + "." + name}
	r.source = append(r.source, `"source":{"connector":"postgresql","db":`...)
	r.source = appendText(r.source, []byte(database))
	r.source = append(r.source, `,"schema":`...)
	r.source = appendText(r.source, []byte(schema))
	r.source = append(r.source, `,"table":`...)
	r.source = appendText(r.source, []byte(name))
	return r
}

// add adds the next column.
func (r *relation) add(name string, oid uint32, asked, key bool) {
	c := eventColumn{kind: 's', key: key}
	if asked {
		c.label = append(appendText(nil, []byte(name)), ':')
	}
	switch oid {
	case pgtype.BoolOID:
		c.kind = 'b'
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID:
		c.kind = 'n'
	}
	r.columns = append(r.columns, c)
}

// origin is where in the log a change stands.
type origin struct {
	lsn    uint64
	xid    uint32
	commit time.Time
	state  string // of a snapshot: "true"; else "false"
}

// appendValue appends a value as text of PostgreSQL; nil is null.
func (c *eventColumn) appendValue(b, text []byte) []byte {
	switch {
	case text == nil:
		return append(b, "null"...)
	case c.kind == 'b' && len(text) == 1:
		if text[0] == 't' {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case c.kind == 'n' && isNumber(text):
		return append(b, text...)
	}
	return appendText(b, text)
}

// isNumber reports whether text is a number as JSON writes it. NaN and the
// infinities are not.
func isNumber(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("-"))
	whole, rest := digits(text)
	if whole == 0 || whole > 1 && text[0] == '0' {
		return false
	}
	text = rest
	if len(text) > 0 && text[0] == '.' {
		n, rest := digits(text[1:])
		if n == 0 {
			return false
		}
		text = rest
	}
	if len(text) > 1 && text[0] == 'e' {
		text = text[1:]
		if text[0] == '+' || text[0] == '-' {
			text = text[1:]
		}
		n, rest := digits(text)
		return n > 0 && len(rest) == 0
	}
	return len(text) == 0
}

// digits returns how many digits text begins with, and what follows.
func digits(text []byte) (n int, rest []byte) {
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n, text[n:]
}

// appendHead begins an event of one of the operations of Debezium.
func appendHead(b []byte, op byte) []byte {
	b = append(b, `{"op":"`...)
	b = append(b, op)
	return append(b, `",`...)
}

// appendTail appends where an event is from, and ends it.
func (r *relation) appendTail(b []byte, o *origin) []byte {
	b = append(b, r.source...)
	b = append(b, `,"lsn":`...)
	b = strconv.AppendUint(b, o.lsn, 10)
	b = append(b, `,"txId":`...)
	b = strconv.AppendUint(b, uint64(o.xid), 10)
	b = append(b, `,"snapshot":"`...)
	b = append(b, o.state...)
	b = append(b, `","ts_us":`...)
	b = strconv.AppendInt(b, o.commit.UnixMicro(), 10)
	return append(b, `}}`...)
}

const hexDigits = "0123456789abcdef"

// appendText appends a text of JSON. What is not UTF-8, as a database without
// an encoding may hold, becomes U+FFFD.
func appendText(b, s []byte) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
