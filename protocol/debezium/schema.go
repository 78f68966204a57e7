package debezium

import (
	"bytes"
	"strings"

	"github.com/varvedb/varve/protocol/jsontape"
)

// meaning is what the schema of a message says of a column.
type meaning uint8

const (
	plain meaning = iota
	dateDays
	wallMillis
	wallMicros
	wallNanos
	decimalBytes
)

// meanings are the names that Debezium and Kafka Connect give to numbers and
// bytes that are more than that. Debezium writes a time without a zone as if
// it were UTC.
var meanings = map[string]meaning{
	"io.debezium.time.Date":                   dateDays,
	"io.debezium.time.Timestamp":              wallMillis,
	"io.debezium.time.MicroTimestamp":         wallMicros,
	"io.debezium.time.NanoTimestamp":          wallNanos,
	"org.apache.kafka.connect.data.Date":      dateDays,
	"org.apache.kafka.connect.data.Timestamp": wallMillis,
	"org.apache.kafka.connect.data.Decimal":   decimalBytes,
}

// schema says what the columns of the rows of messages mean that carry it.
type schema struct {
	text    []byte // of a message
	columns map[string]columnSchema
}

type columnSchema struct {
	meaning meaning
	scale   int
}

// maxSchemas bounds how many schemas are remembered: one a table, and those
// before its last changes.
const maxSchemas = 256

// schemas remembers the schemas of messages, which repeat with each of them.
type schemas struct {
	last *schema
	all  []*schema
}

// of returns the schema at node i, nil if there is none.
func (s *schemas) of(t *jsontape.Tape, i int) *schema {
	if t.Kind(i) != jsontape.Object {
		return nil
	}
	text := t.Raw(i)
	if s.last != nil && bytes.Equal(s.last.text, text) {
		return s.last
	}
	for _, x := range s.all {
		if bytes.Equal(x.text, text) {
			s.last = x
			return x
		}
	}
	if len(s.all) >= maxSchemas {
		s.all = s.all[:0]
	}
	x := &schema{text: bytes.Clone(text), columns: map[string]columnSchema{}}
	fields := t.Get(i, "fields")
	for e := range t.Elements(fields) {
		switch t.Text(t.Get(e, "field")) {
		case "before", "after":
			x.add(t, t.Get(e, "fields"))
		}
	}
	s.last, s.all = x, append(s.all, x)
	return x
}

// add notes the columns of a row.
func (x *schema) add(t *jsontape.Tape, fields int) {
	for e := range t.Elements(fields) {
		m, known := meanings[t.Text(t.Get(e, "name"))]
		if !known {
			continue
		}
		c := columnSchema{meaning: m}
		// Parameters are texts.
		if scale := t.Text(t.Get(t.Get(e, "parameters"), "scale")); scale != "" {
			c.scale = decimalScale(scale)
		}
		x.columns[strings.Clone(t.Text(t.Get(e, "field")))] = c
	}
}
