// Package debezium decodes the change events of Debezium, of PostgreSQL,
// MySQL, MariaDB and MongoDB (other relational databases are written alike),
// as JSON with or without schema: snapshots, inserts, updates, deletes and
// TRUNCATE. What a change means for points is decided by protocol/rowmap.
//
// What an event looks like is told by the documentation of Debezium's
// connectors, https://debezium.io/documentation/reference/stable/connectors.
//
// Left out without a word are tombstones (the empty message behind a delete),
// transaction markers, changes of a database's schema, heartbeats,
// notifications, and messages that programs write into the log.
//
// A Decoder belongs to one goroutine at a time. Texts of the records share the
// memory of the message.
package debezium

import (
	"strings"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/rowmap"
)

// Reasons for which a message is refused, besides those of rowmap.
const (
	BadJSON  = "bad_json"
	NotEvent = "not_debezium"
)

// Decoder decodes messages one after the other.
type Decoder struct {
	mapper  *rowmap.Mapper
	asked   map[string]asked // by table
	schemas schemas
	root    tape
	key     tape
	tapes   []*tape // of texts inside of the message
	used    int
	before  rowmap.Row
	after   rowmap.Row
	keyRow  rowmap.Row
	table   []byte
	change  rowmap.Change
}

// asked is what is asked of a table.
type asked struct {
	name    string
	columns []string
}

// New returns a decoder that makes points by m.
func New(m rowmap.Mapping) *Decoder {
	d := &Decoder{mapper: rowmap.New(m), asked: map[string]asked{}}
	for i := range m.Tables {
		t := &m.Tables[i]
		d.asked[t.Name] = asked{t.Name, t.Columns()}
	}
	return d
}

// Decode appends the records of a message, which is number message of its
// batch. key is the message's, nil if it has none. An error is a
// *record.Refusal; out is as it was then.
func (d *Decoder) Decode(key, payload []byte, message int, out *record.List) error {
	if len(payload) == 0 {
		return nil // a tombstone
	}
	t := &d.root
	if wrong := t.read(payload); wrong != "" {
		return record.Refuse(BadJSON, "%s", wrong)
	}
	switch t.kind(0) {
	case '{':
	case 'n':
		return nil // a tombstone
	default:
		return record.Refuse(NotEvent, "the message is no object, {…}")
	}
	event, s := int32(0), (*schema)(nil)
	if p := t.get(0, "payload"); p != none && t.get(0, "schema") != none {
		if t.kind(p) == 'n' {
			return nil // a tombstone
		}
		event, s = p, d.schemas.of(t, t.get(0, "schema"))
	}
	op := t.get(event, "op")
	if t.kind(op) != '"' {
		if incidental(t, event) {
			return nil
		}
		return record.Refuse(NotEvent, "the message has no op: it is no change event of Debezium with its envelope, which ExtractNewRecordState must not take off")
	}
	return d.event(t, event, t.string(op), s, key, message, out)
}

// incidental reports whether a message tells of no row: of a transaction, of
// the schema of a database, of a heartbeat, of the connector itself.
func incidental(t *tape, i int32) bool {
	switch {
	case t.get(i, "status") != none && t.get(i, "id") != none:
		return true
	case t.get(i, "ddl") != none || t.get(i, "tableChanges") != none:
		return true
	case t.get(i, "aggregate_type") != none && t.get(i, "type") != none:
		return true
	}
	members := 0
	for range t.members(i) {
		members++
	}
	return members == 1 && t.get(i, "ts_ms") != none
}

// event decodes the event at node i.
func (d *Decoder) event(t *tape, i int32, op string, s *schema, key []byte, message int, out *record.List) error {
	c := &d.change
	*c = rowmap.Change{}
	switch op {
	case "r":
		c.Op = rowmap.Read
	case "c":
		c.Op = rowmap.Create
	case "u":
		c.Op = rowmap.Update
	case "d":
		c.Op = rowmap.Delete
	case "t":
		c.Op = rowmap.Truncate
	case "m":
		return nil // written into the log by a program
	default:
		return record.Refuse(NotEvent, "op is %q: want r, c, u, d or t", brief(op))
	}
	source := t.get(i, "source")
	if c.Table = d.tableOf(t, source); c.Table == "" {
		return record.Refuse(NotEvent, "source names no table or collection")
	}
	c.At = timeOf(t, source)
	if c.At == 0 {
		c.At = timeOf(t, i)
	}
	table := d.mapper.Table(c.Table)
	if table != nil && c.Op != rowmap.Truncate {
		if err := d.rows(t, i, s, key, table); err != nil {
			return err
		}
	}
	return d.mapper.Apply(c, message, out)
}

// rows finds the rows before and after the change.
func (d *Decoder) rows(t *tape, i int32, s *schema, key []byte, table *rowmap.Table) error {
	d.used = 0
	d.before.Reset()
	d.after.Reset()
	d.keyRow.Reset()
	c := &d.change
	for _, x := range []struct {
		name string
		row  *rowmap.Row
		to   **rowmap.Row
	}{{"before", &d.before, &c.Before}, {"after", &d.after, &c.After}} {
		n := t.get(i, x.name)
		switch t.kind(n) {
		case '{':
			d.row(t, n, s, x.row)
		case '"': // of MongoDB
			if wrong := d.document([]byte(t.string(n)), x.row); wrong != "" {
				return record.Refuse(BadJSON, "the document in %s: %s", x.name, wrong)
			}
		default:
			continue
		}
		*x.to = x.row
	}
	partly := c.After == nil && c.Op == rowmap.Update && t.kind(t.get(i, "updateDescription")) == '{'
	postgres := c.Before != nil && t.string(t.get(t.get(i, "source"), "connector")) == "postgresql"
	if partly || postgres || c.Op == rowmap.Delete && c.Before == nil || c.Before != nil && table.KeyOnly && len(table.Key) == 0 {
		d.readKey(key)
	}
	if partly {
		d.after.Columns = append(d.after.Columns, d.keyRow.Columns...)
		d.after.Replaced = append(d.after.Replaced, d.keyRow.Replaced...)
		if wrong := d.updated(t, t.get(i, "updateDescription"), d.asked[c.Table].columns, &d.after); wrong != "" {
			return record.Refuse(BadJSON, "updateDescription: %s", wrong)
		}
		c.After = &d.after
	}
	switch {
	case c.Op == rowmap.Delete && c.Before == nil:
		c.Before = &d.keyRow
	case c.Before != nil && (table.KeyOnly || postgres && logsKeys(c.Before, &d.keyRow)):
		keyOnly(c.Before, table.Key, &d.keyRow)
	}
	return nil
}

// readKey finds the columns of the message's key. A key that is none has none.
func (d *Decoder) readKey(key []byte) {
	t := &d.key
	if len(key) == 0 || t.read(key) != "" {
		return
	}
	i := int32(0)
	if p := t.get(0, "payload"); p != none && t.get(0, "schema") != none {
		i = p
	}
	source := d.root.get(0, "source")
	if p := d.root.get(0, "payload"); source == none && p != none {
		source = d.root.get(p, "source")
	}
	if d.root.get(source, "collection") != none {
		d.documentKey(t.string(t.get(i, "id")), &d.keyRow)
		return
	}
	d.row(t, i, nil, &d.keyRow)
}

// tableOf returns the name of the table or collection that source names.
func (d *Decoder) tableOf(t *tape, source int32) string {
	name, space := t.string(t.get(source, "table")), t.string(t.get(source, "schema"))
	if name == "" {
		name = t.string(t.get(source, "collection"))
	}
	if space == "" {
		space = t.string(t.get(source, "db"))
	}
	if name == "" || space == "" {
		return name
	}
	d.table = append(append(append(d.table[:0], space...), '.'), name...)
	if a, ok := d.asked[string(d.table)]; ok {
		return a.name
	}
	return string(d.table)
}

// timeOf returns the most exact time of object i, in nanoseconds since 1970.
func timeOf(t *tape, i int32) int64 {
	for _, x := range []struct {
		key  string
		unit int64
	}{{"ts_ns", 1}, {"ts_us", 1e3}, {"ts_ms", 1e6}} {
		n := t.int(t.get(i, x.key))
		if ns := n * x.unit; n > 0 && ns/x.unit == n {
			return ns
		}
	}
	return 0
}

// maxQuoted bounds what a reason quotes of a message.
const maxQuoted = 64

func brief(s string) string {
	if len(s) > maxQuoted {
		return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return s
}
