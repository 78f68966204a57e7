// Package jsonrecord turns JSON of any shape into records, by a mapping that
// says which value is what: a reading such as
//
//	{"timestamp": "2026-01-02T15:04:05Z", "sensor_type": "temperature",
//	 "location": "seoul", "value": 21.5, "quality": 98}
//
// or many of them in an array, at the top or at a path within the document. It is
// a pure decoder; package jsonpoints is for the shape that POST /data takes.
//
// A document is first taken apart into a flat list of its values (jsontape); the
// mapping then looks its paths up there. A Decoder belongs to one goroutine at a
// time and allocates nothing for a message once it has warmed up; texts of
// records share memory with the message unless they hold escapes.
//
// null is an absent value, as is an empty tag. Of a key that stands twice the last
// counts.
package jsonrecord

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/jsontape"
)

// The reasons for which messages are refused here.
const (
	BadJSON   = "bad_json"
	BadUTF8   = "bad_utf8"
	BadTime   = "bad_time"
	WrongType = "wrong_type"
	TooMany   = "too_many_fields"
	NoName    = "no_measurement"
)

// maxFields bounds the fields of a record, as line protocol does.
const maxFields = 8192

// Decoder decodes messages one after the other.
type Decoder struct {
	config *Config
	tape   jsontape.Tape
	name   []byte         // of a field that stands deep in the document
	names  record.Names   // bounds those of the message
	at     map[string]int // fields of a record that has many
	roots  []rooted
}

// rooted is a mapping whose path begins at the document, where it is looked up
// once: an array may hold thousands of readings, and the document as many members.
type rooted struct {
	m     *Mapping
	found int
}

// New returns a decoder. c is not changed.
func New(c *Config) *Decoder {
	d := &Decoder{config: c}
	add := func(m *Mapping) {
		if m != nil && m.Root {
			d.roots = append(d.roots, rooted{m: m})
		}
	}
	add(c.MeasurementAt)
	add(c.Time)
	for i := range c.Tags {
		add(&c.Tags[i])
	}
	for i := range c.Fields {
		add(&c.Fields[i])
	}
	return d
}

// find returns the value that m means for the reading at, None if there is none.
func (d *Decoder) find(m *Mapping, at int) int {
	switch steps := m.Path.steps; {
	case m.Root:
		return d.root(m)
	case len(steps) == 1 && !steps[0].array: // as most are
		return d.tape.Get(at, steps[0].key)
	}
	return m.Path.find(&d.tape, at)
}

// root returns what find does for a path that begins at the document.
func (d *Decoder) root(m *Mapping) int {
	for i := range d.roots {
		if r := &d.roots[i]; r.m == m {
			return r.found
		}
	}
	panic("BUG: the mapping of " + m.Name + " is not of the decoder")
}

// Decode appends the records of a message, which is message number n. If it
// returns an error, a *record.Refusal, out is as it was.
func (d *Decoder) Decode(payload []byte, n int, out *record.List) error {
	if err := d.tape.Read(payload); err != nil {
		if errors.Is(err, jsontape.ErrUTF8) {
			return record.Refuse(BadUTF8, "%s", err)
		}
		return record.Refuse(BadJSON, "%s", err)
	}
	at := 0
	if len(d.config.Each.steps) > 0 {
		at = d.config.Each.find(&d.tape, 0)
		if k := d.tape.Kind(at); k != jsontape.Array && k != jsontape.Object {
			return record.Refuse(WrongType, "there is no array at %s", &d.config.Each)
		}
	}
	for i := range d.roots {
		d.roots[i].found = d.roots[i].m.Path.find(&d.tape, 0)
	}
	d.names = record.NamesOf(len(payload))
	before := out.Len()
	if err := d.all(at, n, out); err != nil {
		out.Truncate(before)
		return err
	}
	return nil
}

// all reads the object at a node, or those in the array there.
func (d *Decoder) all(at, message int, out *record.List) error {
	switch k := d.tape.Kind(at); k {
	case jsontape.Object:
		return d.one(at, out.Add(message))
	case jsontape.Array:
		for i := range d.tape.Elements(at) {
			if k := d.tape.Kind(i); k != jsontape.Object {
				return record.Refuse(WrongType, "a reading is an object, not %s", k)
			}
			if err := d.one(i, out.Add(message)); err != nil {
				return err
			}
		}
		return nil
	default:
		return record.Refuse(WrongType, "a reading is an object, not %s", k)
	}
}

// one reads the object at a node.
func (d *Decoder) one(at int, r *record.Record) error {
	c := d.config
	r.Measurement = c.Measurement
	if c.MeasurementAt != nil {
		if i := d.find(c.MeasurementAt, at); i >= 0 {
			name, err := d.tagText(i, c.MeasurementAt)
			if err != nil {
				return err
			}
			if name != "" {
				r.Measurement = name
			}
		}
	}
	if c.Time != nil {
		if i := d.find(c.Time, at); i >= 0 && d.tape.Kind(i) != jsontape.Null {
			t, err := d.time(i)
			if err != nil {
				return err
			}
			r.Time, r.Timed = t, true
		}
	}
	for i := range c.Tags {
		m := &c.Tags[i]
		if j := d.find(m, at); j >= 0 {
			s, err := d.tagText(j, m)
			if err != nil {
				return err
			}
			if s != "" {
				r.Tags = append(r.Tags, record.Tag{Key: m.Name, Value: s})
			}
		}
	}
	for i := range c.Fields {
		m := &c.Fields[i]
		if j := d.find(m, at); j >= 0 {
			v, err := d.value(j, m.Type, m.Name)
			if err != nil {
				return err
			}
			if v.Type != 0 {
				r.Fields = append(r.Fields, record.Field{Name: m.Name, Value: v})
			}
		}
	}
	if c.Rest {
		d.name, d.at = d.name[:0], nil
		return d.rest(at, r)
	}
	return nil
}

// rest makes fields of the values that the mapping does not name.
func (d *Decoder) rest(at int, r *record.Record) error {
	t := &d.tape
	depth := len(d.name)
	member := t.Kind(at) == jsontape.Object
	index := 0
	for i, end := at+1, t.Next(at); i < end; i = t.Next(i) {
		d.name = d.name[:depth]
		if depth > 0 {
			d.name = append(d.name, '.')
		}
		if member {
			d.name = append(d.name, t.Key(i)...)
		} else {
			d.name = strconv.AppendInt(d.name, int64(index), 10)
			index++
		}
		if d.config.names[string(d.name)] {
			continue
		}
		if k := t.Kind(i); k == jsontape.Object || k == jsontape.Array {
			// All that is in it is called by its key, too.
			if err := d.names.Take((len(d.name) - depth) * (t.Next(i) - i - 1)); err != nil {
				return err
			}
			if err := d.rest(i, r); err != nil {
				return err
			}
			continue
		}
		v, err := d.value(i, 0, "")
		if err != nil {
			return err
		}
		if v.Type == 0 {
			continue
		}
		if len(r.Fields) == maxFields {
			return record.Refuse(TooMany, "the reading has more than %d fields", maxFields)
		}
		d.set(r, v)
	}
	return nil
}

// manyFields is from when on a map finds a field faster than a look at each.
const manyFields = 64

// set gives the field d.name of r a value.
func (d *Decoder) set(r *record.Record, v record.Value) {
	if len(r.Fields) < manyFields {
		r.Set(string(d.name), v)
		return
	}
	if d.at == nil {
		d.at = map[string]int{}
		for i := range r.Fields {
			d.at[r.Fields[i].Name] = i
		}
	}
	if i, ok := d.at[string(d.name)]; ok {
		r.Fields[i].Value = v
		return
	}
	name := string(d.name)
	d.at[name] = len(r.Fields)
	r.Fields = append(r.Fields, record.Field{Name: name, Value: v})
}

// tagText returns a value as the text of a tag.
func (d *Decoder) tagText(at int, m *Mapping) (string, error) {
	switch k := d.tape.Kind(at); k {
	case jsontape.Text:
		return d.tape.Text(at), nil
	case jsontape.Number, jsontape.True, jsontape.False:
		return d.tape.View(at), nil
	case jsontape.Null:
		return "", nil
	default:
		return "", record.Refuse(WrongType, "%s is %s; a tag is a text", &m.Path, k)
	}
}

// value returns a value as a field of a type, 0 for what the text suggests: a
// number is then a float.
func (d *Decoder) value(at int, want column.Type, name string) (record.Value, error) {
	wrong := func() (record.Value, error) {
		return record.Value{}, record.Refuse(WrongType, "field %s is %s, want %s", name, d.shown(at), typeName(want))
	}
	switch k := d.tape.Kind(at); k {
	case jsontape.Null:
		return record.Value{}, nil
	case jsontape.Text:
		if want != 0 && want != column.String {
			return wrong()
		}
		return record.String(d.tape.Text(at)), nil
	case jsontape.True, jsontape.False:
		if want != 0 && want != column.Bool {
			return wrong()
		}
		return record.Bool(k == jsontape.True), nil
	case jsontape.Number:
		s := d.tape.View(at)
		switch want {
		case 0, column.Float64:
			f, err := parseFloat(s)
			if err != nil {
				return record.Value{}, record.Refuse(WrongType, "number %s is too large for 64 bits", jsontape.Quote(s))
			}
			return record.Float(f), nil
		case column.Int64:
			i, ok := parseInt(s)
			if !ok {
				return wrong()
			}
			return record.Int(i), nil
		case column.Uint64:
			u, ok := parseUint(s)
			if !ok {
				return wrong()
			}
			return record.Uint(u), nil
		case column.String:
			return record.String(s), nil
		}
		return wrong()
	}
	if want == column.String { // a part of the document as it is
		return record.String(d.tape.View(at)), nil
	}
	return wrong()
}

// maxShown bounds what an error shows of a value.
const maxShown = 40

func (d *Decoder) shown(at int) string {
	switch k := d.tape.Kind(at); k {
	case jsontape.Object, jsontape.Array, jsontape.Null:
		return k.String()
	case jsontape.Text:
		return "the text " + jsontape.Quote(d.tape.Raw(at))
	}
	s := d.tape.Raw(at)
	return string(s[:min(len(s), maxShown)])
}

// parseFloat reads a number of JSON.
func parseFloat(s string) (float64, error) {
	// Up to 15 digits and a power of ten up to 22 are exact, and so is one
	// division (Clinger 1990).
	var m uint64
	places, digits := 0, 0
	i := 0
	if s[0] == '-' {
		i++
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c-'0' <= 9:
			m = m*10 + uint64(c-'0')
			digits++
			if places > 0 {
				places++
			}
		case c == '.':
			places = 1
		default:
			digits = 99
		}
	}
	if digits <= 15 {
		f := float64(m)
		if places > 1 {
			f /= pow10[places-1]
		}
		if s[0] == '-' {
			f = -f
		}
		return f, nil
	}
	return strconv.ParseFloat(s, 64)
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseInt reads a number that is whole, in whichever way it is written.
func parseInt(s string) (int64, bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, true
	}
	m, negative, ok := jsonpoints.Whole(s)
	switch {
	case negative:
		return -int64(m), ok && m <= 1<<63
	default:
		return int64(m), ok && m <= math.MaxInt64
	}
}

// parseUint reads a number that is whole and not negative.
func parseUint(s string) (uint64, bool) {
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return u, true
	}
	m, negative, ok := jsonpoints.Whole(s)
	return m, ok && (!negative || m == 0)
}

// time reads the time of a reading.
func (d *Decoder) time(at int) (int64, error) {
	b := d.tape.Raw(at)
	m := d.config.Time
	switch k := d.tape.Kind(at); k {
	case jsontape.Text:
		if d.tape.Escaped(at) {
			b = []byte(d.tape.Text(at))
		}
		t, err := jsonpoints.Time(b)
		if err != nil {
			if jsontape.IsNumber(b) { // devices quote numbers
				return d.timeNumber(d.tape.Text(at))
			}
			return 0, record.Refuse(BadTime, "%s: %s", &m.Path, err)
		}
		if z := d.config.Zone; z != nil && !zoned(b) {
			wall := time.Unix(0, t).UTC()
			at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), z)
			// The zone may carry it over the bounds, where nanoseconds would wrap around.
			if at.Before(time.Unix(0, column.MinTime)) || at.After(time.Unix(0, column.MaxTime)) {
				return 0, record.Refuse(BadTime, "%s: %s in %s %s", &m.Path, jsontape.Quote(string(b)), z, errRange)
			}
			t = at.UnixNano()
		}
		return t, nil
	case jsontape.Number:
		return d.timeNumber(d.tape.View(at))
	default:
		return 0, record.Refuse(BadTime, "%s is %s, want a time", &m.Path, k)
	}
}

var errRange = errors.New("is outside of the years 1677 to 2262")

// timeNumber reads a time as a number of JSON in the unit of the mapping.
func (d *Decoder) timeNumber(s string) (int64, error) {
	refuse := func(err error) (int64, error) {
		return 0, record.Refuse(BadTime, "%s: %s %s", &d.config.Time.Path, jsontape.Quote(s), err)
	}
	unit := d.config.Unit
	if i, ok := parseInt(s); ok {
		t, inRange := int64(0), true
		if unit == 0 {
			t, inRange = jsonpoints.Since1970(i)
		} else if t = i * int64(unit); t/int64(unit) != i {
			inRange = false
		}
		if !inRange || t < column.MinTime || t > column.MaxTime {
			return refuse(errRange)
		}
		return t, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) >= 1<<63 {
		return refuse(errRange)
	}
	if unit == 0 {
		if math.Abs(f) >= jsonpoints.BelowIsSeconds {
			return refuse(errors.New("is not whole and too large for seconds"))
		}
		unit = time.Second
	}
	// To the microsecond, which is what a float holds of a second since 1970.
	micros := math.Round(f * float64(unit) / 1e3)
	if math.Abs(micros) >= float64(column.MaxTime/1000) {
		return refuse(errRange)
	}
	return int64(micros) * 1000, nil
}

// zoned reports whether a time of RFC 3339 has a zone.
func zoned(b []byte) bool {
	if len(b) <= len("2006-01-02") {
		return false
	}
	if b[len(b)-1] == 'Z' {
		return true
	}
	for _, c := range b[len("2006-01-02"):] {
		if c == '+' || c == '-' {
			return true
		}
	}
	return false
}
