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
	"strconv"
	"strings"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/jsontape"
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
	root    jsontape.Tape
	key     jsontape.Tape
	tapes   []*jsontape.Tape // of texts inside of the message
	used    int
	before  rowmap.Row
	after   rowmap.Row
	keyRow  rowmap.Row
	table   []byte
	change  rowmap.Change
	names   record.Names // bounds the paths of the message
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
	d.names = record.NamesOf(len(key) + len(payload))
	t := &d.root
	if err := t.Read(payload); err != nil {
		return record.Refuse(BadJSON, "%s", err)
	}
	switch t.Kind(0) {
	case jsontape.Object:
	case jsontape.Null:
		return nil // a tombstone
	default:
		return record.Refuse(NotEvent, "the message is no object, {…}")
	}
	event, s := 0, (*schema)(nil)
	if p := t.Get(0, "payload"); p != jsontape.None && t.Get(0, "schema") != jsontape.None {
		if t.Kind(p) == jsontape.Null {
			return nil // a tombstone
		}
		event, s = p, d.schemas.of(t, t.Get(0, "schema"))
	}
	op := t.Get(event, "op")
	if t.Kind(op) != jsontape.Text {
		if incidental(t, event) {
			return nil
		}
		return record.Refuse(NotEvent, "the message has no op: it is no change event of Debezium with its envelope, which ExtractNewRecordState must not take off")
	}
	return d.event(t, event, t.Text(op), s, key, message, out)
}

// incidental reports whether a message tells of no row: of a transaction, of
// the schema of a database, of a heartbeat, of the connector itself.
func incidental(t *jsontape.Tape, i int) bool {
	switch {
	case t.Get(i, "status") != jsontape.None && t.Get(i, "id") != jsontape.None:
		return true
	case t.Get(i, "ddl") != jsontape.None || t.Get(i, "tableChanges") != jsontape.None:
		return true
	case t.Get(i, "aggregate_type") != jsontape.None && t.Get(i, "type") != jsontape.None:
		return true
	}
	members := 0
	for range t.Members(i) {
		members++
	}
	return members == 1 && t.Get(i, "ts_ms") != jsontape.None
}

// event decodes the event at node i.
func (d *Decoder) event(t *jsontape.Tape, i int, op string, s *schema, key []byte, message int, out *record.List) error {
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
	source := t.Get(i, "source")
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
func (d *Decoder) rows(t *jsontape.Tape, i int, s *schema, key []byte, table *rowmap.Table) error {
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
		n := t.Get(i, x.name)
		switch t.Kind(n) {
		case jsontape.Object:
			d.row(t, n, s, x.row)
		case jsontape.Text: // of MongoDB
			if err := d.document(t.Text(n), x.row); err != nil {
				return unread("the document in "+x.name, err)
			}
		default:
			continue
		}
		*x.to = x.row
	}
	partly := c.After == nil && c.Op == rowmap.Update && t.Kind(t.Get(i, "updateDescription")) == jsontape.Object
	postgres := c.Before != nil && t.Text(t.Get(t.Get(i, "source"), "connector")) == "postgresql"
	if partly || postgres || c.Op == rowmap.Delete && c.Before == nil || c.Before != nil && table.KeyOnly && len(table.Key) == 0 {
		if err := d.readKey(key); err != nil {
			return err
		}
	}
	if partly {
		d.after.Columns = append(d.after.Columns, d.keyRow.Columns...)
		d.after.Replaced = append(d.after.Replaced, d.keyRow.Replaced...)
		if err := d.updated(t, t.Get(i, "updateDescription"), d.asked[c.Table].columns, &d.after); err != nil {
			return unread("updateDescription", err)
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
func (d *Decoder) readKey(key []byte) error {
	t := &d.key
	if len(key) == 0 || t.Read(key) != nil {
		return nil
	}
	i := 0
	if p := t.Get(0, "payload"); p != jsontape.None && t.Get(0, "schema") != jsontape.None {
		i = p
	}
	source := d.root.Get(0, "source")
	if p := d.root.Get(0, "payload"); source == jsontape.None && p != jsontape.None {
		source = d.root.Get(p, "source")
	}
	if d.root.Get(source, "collection") != jsontape.None {
		return d.documentKey(t.Text(t.Get(i, "id")), &d.keyRow)
	}
	d.row(t, i, nil, &d.keyRow)
	return nil
}

// tableOf returns the name of the table or collection that source names.
func (d *Decoder) tableOf(t *jsontape.Tape, source int) string {
	name, space := t.Text(t.Get(source, "table")), t.Text(t.Get(source, "schema"))
	if name == "" {
		name = t.Text(t.Get(source, "collection"))
	}
	if space == "" {
		space = t.Text(t.Get(source, "db"))
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
func timeOf(t *jsontape.Tape, i int) int64 {
	for _, x := range []struct {
		key  string
		unit int64
	}{{"ts_ns", 1}, {"ts_us", 1e3}, {"ts_ms", 1e6}} {
		n := whole(t, t.Get(i, x.key))
		if ns := n * x.unit; n > 0 && ns/x.unit == n {
			return ns
		}
	}
	return 0
}

// whole returns the whole number that value i of t is, 0 if it is none.
func whole(t *jsontape.Tape, i int) int64 {
	if t.Kind(i) != jsontape.Number {
		return 0
	}
	n, err := strconv.ParseInt(t.View(i), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// maxQuoted bounds what a reason quotes of a message.
const maxQuoted = 64

func brief(s string) string {
	if len(s) > maxQuoted {
		return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return s
}
