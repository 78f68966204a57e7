package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
)

// The messages of pgoutput, version 1, are those of chapter 55.9 of
// PostgreSQL's manual. They are read here, and not by pglogrepl, because that
// trusts their lengths and copies each value.

// Kinds of values.
const (
	unchanged = 'u' // kept out of the row and not logged
	null      = 'n'
	asText    = 't'
)

// cursor reads a message. After a first failure it reads zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) number(bytes int) (n uint64) {
	for _, x := range c.take(bytes) {
		n = n<<8 | uint64(x)
	}
	return n
}

func (c *cursor) byte() byte { return byte(c.number(1)) }

// name reads a text that ends with a zero.
func (c *cursor) name() string {
	end := bytes.IndexByte(c.b, 0)
	name := string(c.take(end))
	c.take(1)
	return name
}

// epoch is 2000-01-01, from which PostgreSQL counts microseconds.
const epoch = 946684800 * int64(time.Second/time.Microsecond)

// change handles a message of the plugin, which stands at lsn.
func (st *stream) change(data []byte, lsn pglogrepl.LSN) error {
	c := &cursor{b: data}
	kind := c.byte()
	var err error
	switch kind {
	case 'B':
		c.number(8) // where the transaction ends
		micros := int64(c.number(8))
		st.at = origin{commit: time.UnixMicro(micros + epoch), xid: uint32(c.number(4)), state: "false"}
		st.inside = true
	case 'C':
		c.number(1 + 8) // flags, and where the commit stands
		end := pglogrepl.LSN(c.number(8))
		if !c.bad {
			st.inside = false
			st.commit(end)
		}
	case 'R':
		id := uint32(c.number(4))
		r := st.describe(c)
		if !c.bad {
			st.relations[id] = r
		}
	case 'I', 'U', 'D':
		err = st.row(kind, c, lsn)
	case 'T':
		tables := c.number(4)
		c.number(1) // whether sequences begin anew, and what depends is emptied too
		for range min(tables, uint64(len(c.b)/4)) {
			if err == nil {
				err = st.truncate(uint32(c.number(4)), lsn)
			}
		}
	}
	if c.bad {
		return fmt.Errorf("follow the log: a message %q of %d bytes is not as pgoutput writes it", kind, len(data))
	}
	return err
}

// commit notes that a transaction is wholly read.
func (st *stream) commit(end pglogrepl.LSN) {
	switch {
	case len(st.filling.ends) > 0:
		st.filling.commit = end
	case st.taking != nil:
		// Its rows are being taken: it is confirmed with what comes next.
		st.taking.commit = end
	default:
		st.confirmed = max(st.confirmed, end)
	}
}

// describe notes what a table looks like from here on in the log; nil if it is
// not followed.
func (st *stream) describe(c *cursor) *relation {
	schema, name := c.name(), c.name()
	identity := c.byte()
	info := st.ready.tables[schema+"."+name]
	if info == nil {
		return nil
	}
	asked := info.table.Columns()
	r := newRelation(st.ready.database, schema, name)
	for range c.number(2) {
		key := c.byte()&1 != 0
		column, oid := c.name(), uint32(c.number(4))
		c.number(4) // what its type is narrowed to
		if c.bad {
			return nil
		}
		wanted := key && identity != 'f' || slices.Contains(asked, column) ||
			slices.ContainsFunc(info.key, func(k columnInfo) bool { return k.name == column })
		r.add(column, oid, wanted, key)
	}
	return r
}

// relation returns the table of a change, nil if it is not followed.
func (st *stream) relation(id uint32) (*relation, error) {
	r, known := st.relations[id]
	if !known {
		return nil, fmt.Errorf("follow the log: a change of table %d, which was not described", id)
	}
	return r, nil
}

// row adds the event of an insert, update or delete. Of the row before, the
// log holds all columns, 'O', the key only, 'K', or nothing.
func (st *stream) row(kind byte, c *cursor, lsn pglogrepl.LSN) error {
	r, err := st.relation(uint32(c.number(4)))
	if r == nil || c.bad {
		return err
	}
	op := byte('c')
	switch kind {
	case 'U':
		op = 'u'
	case 'D':
		op = 'd'
	}
	b := st.filling
	from := len(b.text)
	b.text = append(appendHead(b.text, op), `"before":`...)
	part := c.byte()
	if part == 'K' || part == 'O' {
		if b.text, err = r.appendRow(b.text, c, part == 'K'); err == nil && kind == 'U' {
			part = c.byte()
		}
	} else {
		b.text = append(b.text, "null,"...)
	}
	b.text = append(b.text, `"after":`...)
	switch {
	case err != nil:
	case part == 'N' && kind != 'D':
		b.text, err = r.appendRow(b.text, c, false)
	case kind == 'D' && part != 'N':
		b.text = append(b.text, "null,"...)
	default:
		c.bad = true
	}
	if err != nil || c.bad {
		b.text = b.text[:from]
		return err
	}
	st.end(r, lsn)
	return nil
}

// truncate adds the event that a table was emptied.
func (st *stream) truncate(id uint32, lsn pglogrepl.LSN) error {
	r, err := st.relation(id)
	if r == nil {
		return err
	}
	st.filling.text = append(appendHead(st.filling.text, 't'), `"before":null,"after":null,`...)
	st.end(r, lsn)
	return nil
}

// end ends the event that is being added.
func (st *stream) end(r *relation, lsn pglogrepl.LSN) {
	st.at.lsn = uint64(lsn)
	st.filling.text = r.appendTail(st.filling.text, &st.at)
	st.filling.add(r, &st.at)
}

// appendRow appends the columns that are known of the row that comes.
func (r *relation) appendRow(b []byte, c *cursor, keyOnly bool) ([]byte, error) {
	n := int(c.number(2))
	if n > len(r.columns) {
		return b, fmt.Errorf("follow the log: a row of %s with %d columns, of which %d were described", r.name, n, len(r.columns))
	}
	b = append(b, '{')
	first := true
	for i := range n {
		var text []byte
		kind := c.byte()
		switch kind {
		case null, unchanged:
		case asText:
			if size := c.take(4); size != nil {
				text = c.take(int(binary.BigEndian.Uint32(size)))
			}
		default:
			c.bad = true
		}
		if c.bad {
			return b, nil // which the caller tells
		}
		column := &r.columns[i]
		if column.label == nil || kind == unchanged || keyOnly && !column.key {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = column.appendValue(append(b, column.label...), text)
	}
	return append(b, `},`...), nil
}
