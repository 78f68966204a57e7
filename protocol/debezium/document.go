package debezium

import (
	"math"
	"strconv"
	"time"

	"github.com/varvedb/varve/protocol/rowmap"
)

// document adds the values of a document of MongoDB to r. text is its extended
// JSON. A value inside of another is named by its path, joined by dots. It
// returns "" or what is wrong.
func (d *Decoder) document(text []byte, r *rowmap.Row) (wrong string) {
	t := d.inner()
	if wrong := t.read(text); wrong != "" {
		return wrong
	}
	if t.kind(0) != '{' {
		return "a document is an object"
	}
	d.flatten(t, 0, "", r)
	r.Complete = true
	return ""
}

// flatten adds the values of object i, which stands at a path.
func (d *Decoder) flatten(t *tape, i int32, path string, r *rowmap.Row) {
	for v := range t.members(i) {
		name := t.string(v - 1)
		if path != "" {
			name = path + "." + name
		}
		d.place(t, v, name, r)
	}
}

// place adds the value at node i under a name.
func (d *Decoder) place(t *tape, i int32, name string, r *rowmap.Row) {
	if t.kind(i) == '{' {
		if v, is := extended(t, i); is {
			r.Add(name, v)
			return
		}
		r.Replaced = append(r.Replaced, name)
		d.flatten(t, i, name, r)
	}
	r.Add(name, columnValue(t, i, columnSchema{}))
}

// extended returns the value of an object of extended JSON, version 2 (relaxed
// or canonical), and whether it is one.
func extended(t *tape, i int32) (rowmap.Value, bool) {
	k := i + 1
	if k >= t.nodes[i].next || t.nodes[k+1].next != t.nodes[i].next {
		return rowmap.Value{}, false // not of one member
	}
	v := k + 1
	text := t.string(v)
	switch t.string(k) {
	case "$oid", "$uuid", "$symbol":
		return rowmap.Value{Kind: rowmap.Text, Text: text}, t.kind(v) == '"'
	case "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal":
		return rowmap.Value{Kind: rowmap.Number, Text: text}, t.kind(v) == '"'
	case "$date":
		if t.kind(v) == '"' {
			return rowmap.Value{Kind: rowmap.Text, Text: text}, true
		}
		millis, ok := t.int(v), t.kind(v) == '0'
		if inner := t.get(v, "$numberLong"); inner != none {
			n, err := strconv.ParseInt(t.string(inner), 10, 64)
			millis, ok = n, err == nil
		}
		if !ok || millis > math.MaxInt64/int64(time.Millisecond) || millis < math.MinInt64/int64(time.Millisecond) {
			return rowmap.Value{Kind: rowmap.Text, Text: t.view(v)}, true
		}
		return rowmap.Value{Kind: rowmap.Instant, Int: millis * int64(time.Millisecond)}, true
	case "$timestamp":
		seconds := t.int(t.get(v, "t"))
		if seconds < 0 || seconds > math.MaxUint32 {
			return rowmap.Value{}, false
		}
		return rowmap.Value{Kind: rowmap.Instant, Int: seconds * int64(time.Second)}, true
	}
	return rowmap.Value{}, false
}

// updated adds what an updateDescription says: values of changed paths, and
// null for those that were removed. columns are those that are asked for. It
// returns "" or what is wrong.
func (d *Decoder) updated(t *tape, i int32, columns []string, r *rowmap.Row) (wrong string) {
	if text := t.get(i, "updatedFields"); t.kind(text) == '"' {
		in := d.inner()
		if wrong := in.read([]byte(t.string(text))); wrong != "" {
			return wrong
		}
		d.flatten(in, 0, "", r)
	}
	for e := range t.elements(t.get(i, "removedFields")) {
		for _, c := range columns {
			if below(c, t.string(e)) {
				r.Add(c, rowmap.Value{Kind: rowmap.Null})
			}
		}
	}
	return ""
}

// documentKey adds the _id that the key of a message names. text is the
// extended JSON of the id.
func (d *Decoder) documentKey(text string, r *rowmap.Row) {
	t := d.inner()
	if t.read([]byte(text)) != "" {
		r.Add("_id", rowmap.Value{Kind: rowmap.Text, Text: text})
		return
	}
	d.place(t, 0, "_id", r)
}

// inner returns a tape for a text inside of the message, which stays as it is
// until the message is done.
func (d *Decoder) inner() *tape {
	if d.used == len(d.tapes) {
		d.tapes = append(d.tapes, &tape{})
	}
	d.used++
	return d.tapes[d.used-1]
}
