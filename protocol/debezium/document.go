package debezium

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/jsontape"
	"github.com/varvedb/varve/protocol/rowmap"
)

// document adds the values of a document of MongoDB to r. text is its extended
// JSON. A value inside of another is named by its path, joined by dots.
func (d *Decoder) document(text string, r *rowmap.Row) error {
	t := d.inner()
	if err := t.Read([]byte(text)); err != nil {
		return err
	}
	if t.Kind(0) != jsontape.Object {
		return errNoDocument
	}
	r.Complete = true
	return d.flatten(t, 0, "", r)
}

var errNoDocument = errors.New("a document is an object")

// unread is the refusal of a document for err.
func unread(what string, err error) error {
	if errors.As(err, new(*record.Refusal)) {
		return err
	}
	return record.Refuse(BadJSON, "%s: %s", what, err)
}

// flatten adds the values of object i, which stands at a path.
func (d *Decoder) flatten(t *jsontape.Tape, i int, path string, r *rowmap.Row) error {
	for v := range t.Members(i) {
		name := t.Key(v)
		if path != "" {
			if err := d.names.Take(len(path) + len(".") + len(name)); err != nil {
				return err
			}
			name = path + "." + name
		}
		if err := d.place(t, v, name, r); err != nil {
			return err
		}
	}
	return nil
}

// place adds the value at node i under a name.
func (d *Decoder) place(t *jsontape.Tape, i int, name string, r *rowmap.Row) error {
	if t.Kind(i) == jsontape.Object {
		if v, is := extended(t, i); is {
			r.Add(name, v)
			return nil
		}
		r.Replaced = append(r.Replaced, name)
		if err := d.flatten(t, i, name, r); err != nil {
			return err
		}
	}
	r.Add(name, columnValue(t, i, columnSchema{}))
	return nil
}

// extended returns the value of an object of extended JSON, version 2 (relaxed
// or canonical), and whether it is one.
func extended(t *jsontape.Tape, i int) (rowmap.Value, bool) {
	v := t.Only(i)
	if v == jsontape.None {
		return rowmap.Value{}, false
	}
	kind, text := t.Kind(v), t.Text(v)
	switch t.Key(v) {
	case "$oid", "$uuid", "$symbol":
		return rowmap.Value{Kind: rowmap.Text, Text: text}, kind == jsontape.Text
	case "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal":
		return rowmap.Value{Kind: rowmap.Number, Text: text}, kind == jsontape.Text
	case "$date":
		if kind == jsontape.Text {
			return rowmap.Value{Kind: rowmap.Text, Text: text}, true
		}
		millis, ok := whole(t, v), kind == jsontape.Number
		if inner := t.Get(v, "$numberLong"); inner != jsontape.None {
			n, err := strconv.ParseInt(t.Text(inner), 10, 64)
			millis, ok = n, err == nil
		}
		if !ok || millis > math.MaxInt64/int64(time.Millisecond) || millis < math.MinInt64/int64(time.Millisecond) {
			return rowmap.Value{Kind: rowmap.Text, Text: t.View(v)}, true
		}
		return rowmap.Value{Kind: rowmap.Instant, Int: millis * int64(time.Millisecond)}, true
	case "$timestamp":
		seconds := whole(t, t.Get(v, "t"))
		if seconds < 0 || seconds > math.MaxUint32 {
			return rowmap.Value{}, false
		}
		return rowmap.Value{Kind: rowmap.Instant, Int: seconds * int64(time.Second)}, true
	}
	return rowmap.Value{}, false
}

// updated adds what an updateDescription says: values of changed paths, and
// null for those that were removed. columns are those that are asked for.
func (d *Decoder) updated(t *jsontape.Tape, i int, columns []string, r *rowmap.Row) error {
	if text := t.Get(i, "updatedFields"); t.Kind(text) == jsontape.Text {
		in := d.inner()
		if err := in.Read([]byte(t.Text(text))); err != nil {
			return err
		}
		if err := d.flatten(in, 0, "", r); err != nil {
			return err
		}
	}
	for e := range t.Elements(t.Get(i, "removedFields")) {
		for _, c := range columns {
			if below(c, t.Text(e)) {
				r.Add(c, rowmap.Value{Kind: rowmap.Null})
			}
		}
	}
	return nil
}

// documentKey adds the _id that the key of a message names. text is the
// extended JSON of the id.
func (d *Decoder) documentKey(text string, r *rowmap.Row) error {
	t := d.inner()
	if t.Read([]byte(text)) != nil {
		r.Add("_id", rowmap.Value{Kind: rowmap.Text, Text: text})
		return nil
	}
	return d.place(t, 0, "_id", r)
}

// inner returns a tape for a text inside of the message, which stays as it is
// until the message is done.
func (d *Decoder) inner() *jsontape.Tape {
	if d.used == len(d.tapes) {
		d.tapes = append(d.tapes, &jsontape.Tape{})
	}
	d.used++
	return d.tapes[d.used-1]
}
