package jsonpoints

import (
	"math"

	"github.com/varvedb/varve/column"
)

// span is where a value stands in the body; the zero span is none.
type span struct{ from, to int }

// pointSpans is where the parts of a point stand.
type pointSpans struct{ measurement, tags, fields, timestamp span }

// parsePoint reads the point at the present byte, a brace, and appends it.
func (d *Decoder) parsePoint() error {
	start := d.i
	spans, err := d.findParts()
	if err != nil {
		return err
	}
	end := d.i
	if n := end - start; n > d.cfg.MaxPointBytes {
		return d.errorf("the point has %d bytes: at most %d", n, d.cfg.MaxPointBytes)
	}
	d.serial++
	d.text = d.text[:0]
	t, err := d.parseMeasurement(spans.measurement)
	if err != nil {
		return err
	}
	if err := d.parseTags(spans.tags); err != nil {
		return err
	}
	if d.key, err = column.AppendSeriesKey(d.key[:0], d.tags); err != nil {
		return d.errorf("tags: %s", err)
	}
	if err := d.parseFields(t, spans.fields); err != nil {
		return err
	}
	at, err := d.parseTimestamp(spans.timestamp)
	if err != nil {
		return err
	}
	d.i = end
	return d.append(t, at)
}

// findParts skips the point at the present byte and notes where its parts
// stand.
func (d *Decoder) findParts() (pointSpans, error) {
	var spans pointSpans
	d.i++
	if d.space(); d.peek() == '}' {
		d.i++
		return spans, nil
	}
	for {
		if d.space(); d.peek() != '"' {
			return spans, d.errorf("want a key in quotes, found %s", d.found())
		}
		d.text = d.text[:0]
		name, err := d.str()
		if err != nil {
			return spans, err
		}
		var into *span
		switch string(name) {
		case "measurement":
			into = &spans.measurement
		case "tags":
			into = &spans.tags
		case "fields":
			into = &spans.fields
		case "timestamp":
			into = &spans.timestamp
		default:
			return spans, d.errorf("key %s is not known: a point has measurement, tags, fields and timestamp", quote(name))
		}
		if into.to > 0 {
			return spans, d.errorf("key %s stands twice in the point", quote(name))
		}
		if err := d.colon(); err != nil {
			return spans, err
		}
		into.from = d.i
		if err := d.skip(); err != nil {
			return spans, err
		}
		into.to = d.i
		d.space()
		switch d.peek() {
		case ',':
			d.i++
		case '}':
			d.i++
			return spans, nil
		default:
			return spans, d.errorf("want a comma or } behind a value, found %s", d.found())
		}
	}
}

// parseMeasurement returns the table of the measurement at s.
func (d *Decoder) parseMeasurement(s span) (*table, error) {
	if s.to == 0 {
		return nil, d.errorf(`measurement is missing: a point is {"measurement": …, "fields": {…}}`)
	}
	d.i = s.from
	if d.peek() != '"' {
		return nil, d.errorf("measurement is a string, not %s", quote(d.b[s.from:s.to]))
	}
	name, err := d.str()
	if err != nil {
		return nil, err
	}
	if err := d.checkName("measurement", name); err != nil {
		return nil, err
	}
	if name[0] == '#' {
		return nil, d.errorf("measurement %s begins with #, which line protocol cannot carry", quote(name))
	}
	t := d.tables[string(name)]
	if t == nil {
		t = newTable(string(name))
		d.tables[t.name] = t
		d.bytes += tableBytes + len(t.name)
	}
	if t.batch != d.batch {
		t.batch = d.batch
		d.open = append(d.open, t)
		return t, d.openTable(t)
	}
	return t, nil
}

// parseTags reads the tags at s into d.tags.
func (d *Decoder) parseTags(s span) error {
	d.tags = d.tags[:0]
	if s.to == 0 || d.isNull(s) {
		return nil
	}
	d.i = s.from
	if d.peek() != '{' {
		return d.errorf("tags is an object of strings, not %s", quote(d.b[s.from:s.to]))
	}
	return d.members(func(key []byte) error {
		switch d.peek() {
		case '"':
		case 'n':
			return d.literal("null")
		default:
			return d.errorf("tag %s is not a string: put its value in quotes", quote(key))
		}
		text, err := d.str()
		if err != nil {
			return err
		}
		if len(d.tags) == d.cfg.MaxTags {
			return d.errorf("the point has more than %d tags", d.cfg.MaxTags)
		}
		if err := d.checkName("tag key", key); err != nil {
			return err
		}
		if len(text) > 0 {
			if err := d.checkName("tag value", text); err != nil {
				return err
			}
		}
		d.tags = append(d.tags, column.Tag{Key: key, Value: text})
		return nil
	})
}

// parseFields reads the fields at s into d.values.
func (d *Decoder) parseFields(t *table, s span) error {
	d.values = d.values[:0]
	if s.to == 0 {
		return d.errorf(`fields is missing: a point is {"measurement": …, "fields": {…}}`)
	}
	d.i = s.from
	if d.peek() != '{' {
		return d.errorf("fields is an object, not %s", quote(d.b[s.from:s.to]))
	}
	guess, longest := 0, maxKeyBytes-fieldSeparatorBytes-len(t.name)-len(d.key)
	err := d.members(func(key []byte) error {
		at := guess
		if at >= len(t.cols) || t.cols[at].name != string(key) {
			var ok bool
			if at, ok = t.fields[string(key)]; !ok {
				if err := d.checkName("field", key); err != nil {
					return err
				}
				at = t.addField(string(key))
				d.bytes += colBytes + 2*len(key)
			}
		}
		guess = at + 1
		if len(key) > longest {
			return d.errorf("measurement, tags and field %s have more than %d bytes together", quote(key), maxKeyBytes)
		}
		v := value{col: at}
		switch c := d.peek(); {
		case c == '"':
			var err error
			v.typ = column.String
			if v.str, err = d.str(); err != nil {
				return err
			}
		case c == '-' || c-'0' <= 9:
			n, err := d.number()
			if err != nil {
				return err
			}
			if v.typ, v.word, err = d.numeric(t, at, n); err != nil {
				return err
			}
		case c == 't':
			v.typ, v.word = column.Bool, 1
			if err := d.literal("true"); err != nil {
				return err
			}
		case c == 'f':
			v.typ = column.Bool
			if err := d.literal("false"); err != nil {
				return err
			}
		case c == 'n':
			if err := d.literal("null"); err != nil {
				return err
			}
		case c == '{' || c == '[':
			return d.errorf("field %s is an object or array: want a number, a string, true, false or null", quote(key))
		case c == 'N' || c == 'I':
			return d.errorf("field %s is %s, which is not JSON: write null for no value", quote(key), d.found())
		default:
			return d.errorf("field %s has no value that JSON knows: %s", quote(key), d.found())
		}
		col := &t.cols[at]
		if col.serial == d.serial { // the field stands twice: the later one counts
			d.values[col.value] = v
			return nil
		}
		if len(d.values) == d.cfg.MaxFields {
			return d.errorf("the point has more than %d fields", d.cfg.MaxFields)
		}
		col.serial, col.value = d.serial, len(d.values)
		d.values = append(d.values, v)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range d.values {
		if d.values[i].typ != 0 {
			return nil
		}
	}
	return d.errorf("fields has no value that is not null")
}

// numeric makes of a number what the field in column at of t is registered as.
func (d *Decoder) numeric(t *table, at int, n number) (column.Type, uint64, error) {
	c := &t.cols[at]
	if c.asked != d.batch {
		c.asked, c.number = d.batch, d.types(t.name, c.name)
	}
	switch {
	case c.number == column.Int64 && n.whole && !n.negative && n.magnitude <= math.MaxInt64:
		return column.Int64, n.magnitude, nil
	case c.number == column.Int64 && n.whole && n.negative && n.magnitude <= 1<<63:
		return column.Int64, -n.magnitude, nil
	case c.number == column.Uint64 && n.whole && (!n.negative || n.magnitude == 0):
		return column.Uint64, n.magnitude, nil
	}
	f, ok := n.float()
	if !ok {
		return 0, 0, d.errorf("number %s of field %q is too large for a float", quote(n.text), c.name)
	}
	return column.Float64, math.Float64bits(f), nil
}

// parseTimestamp returns the time at s in nanoseconds since 1970.
func (d *Decoder) parseTimestamp(s span) (int64, error) {
	if s.to == 0 || d.isNull(s) {
		return d.now, nil
	}
	d.i = s.from
	switch c := d.peek(); {
	case c == '"':
		text, err := d.str()
		if err != nil {
			return 0, err
		}
		at, err := Time(text)
		if err != nil {
			return 0, d.errorf("timestamp: %s", err)
		}
		return at, nil
	case c == '-' || c-'0' <= 9:
		n, err := d.number()
		if err != nil {
			return 0, err
		}
		if d.i != s.to {
			return 0, d.errorf("timestamp is not a number: %s", quote(d.b[s.from:s.to]))
		}
		at, err := n.time()
		if err != nil {
			return 0, d.errorf("timestamp %s", err)
		}
		return at, nil
	}
	return 0, d.errorf("timestamp is a string such as \"2026-01-02T15:04:05Z\" or a number since 1970, not %s", quote(d.b[s.from:s.to]))
}

// checkName refuses names that line protocol cannot carry, since what is
// stored must be possible to export.
func (d *Decoder) checkName(what string, name []byte) error {
	if len(name) == 0 {
		return d.errorf("a %s is empty", what)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f {
			return d.errorf("%s %s holds a control character, which line protocol cannot carry", what, quote(name))
		}
	}
	if name[len(name)-1] == '\\' {
		return d.errorf("%s %s ends in a backslash, which line protocol cannot carry", what, quote(name))
	}
	return nil
}
