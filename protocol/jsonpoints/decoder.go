// Package jsonpoints turns the JSON of POST /data into a column.Batch: a point,
// or an array of points,
//
//	{"measurement": "weather", "tags": {"city": "Kyiv"},
//	 "fields": {"temperature": 21.5}, "timestamp": "2026-01-02T15:04:05Z"}
//
// It is a pure decoder: bytes in, rows out; whether the rows suit what is
// stored is for the caller to find out. A Decoder belongs to one goroutine at a
// time, is meant to be pooled, and allocates nothing for a point whose
// measurement and fields it has seen.
//
// How a point is read:
//
//  1. Its keys may come in any order, and fields cannot be stored before the
//     measurement is known. So the values of its four keys are skipped first,
//     which needs brackets and quotes only, and noted as spans.
//  2. Tags make a series key, which is looked up among those of the body.
//  3. Fields are decoded into a list; then it is seen whether they fit into
//     the present table, which a field with another type does not.
//  4. The row is appended. A column is completed with nulls when its next value
//     comes or at the end.
//
// What the syntax of JSON leaves open is decided so:
//
//   - A number is what its field is registered as: in an integer field 3 and
//     3.0 are integers, in a float field both are floats, and a new field is a
//     float. 1 and 1.0 never contradict each other.
//   - null is an absent value. So is an empty tag.
//   - A body with one bad point is refused as a whole.
//   - Of a field that stands twice in a point the last one counts; other keys
//     and tags that stand twice are refused.
//   - Names that line protocol cannot carry are refused: control characters, a
//     backslash at the end, a measurement that begins with #.
package jsonpoints

import (
	"fmt"
	"unicode/utf8"

	"github.com/varvedb/varve/column"
)

// Types tells what a field is registered as, 0 if it is not.
type Types func(measurement, field string) column.Type

// Decoder decodes bodies one after the other.
type Decoder struct {
	cfg    Config
	tables map[string]*table
	index  seriesIndex
	bytes  int // of tables

	// Of the present body.
	b       []byte
	i       int // where in b
	now     int64
	types   Types
	batch   uint64 // its number
	epoch   uint64 // of the last output table
	open    []*table
	out     column.Batch
	columns int // fields and tag keys of all output tables
	excess  int // nulls of all output tables beyond those that their values allow
	point   int // of an array, from 1

	// Of the present point.
	serial uint64
	tags   []column.Tag
	key    []byte
	values []value
	text   []byte // strings with escapes
}

// value is a field of the present point.
type value struct {
	col  int
	typ  column.Type
	word uint64
	str  []byte
}

// NewDecoder returns a decoder with the limits of cfg, which is valid.
func NewDecoder(cfg Config) *Decoder {
	return &Decoder{cfg: cfg, tables: map[string]*table{}}
}

// Parse decodes a body. A point without a timestamp gets now, nanoseconds
// since 1970. The batch is valid until the next Parse and shares no memory
// with body. An error is an *Error; there is no batch then.
func (d *Decoder) Parse(body []byte, types Types, now int64) (*column.Batch, error) {
	d.begin()
	d.b, d.i, d.types, d.now = body, 0, types, now
	defer d.end()
	if len(body) > maxBodyBytes {
		return nil, d.errorf("the body is larger than 1 GiB")
	}
	if !utf8.Valid(body) {
		return nil, d.errorf("the body is not UTF-8")
	}
	if err := d.parseBody(); err != nil {
		return nil, err
	}
	for _, t := range d.open {
		t.seal()
	}
	return &d.out, nil
}

// end lets go of the body, and measures what it left in memory.
func (d *Decoder) end() {
	d.b, d.types = nil, nil
	for _, t := range d.open {
		d.bytes += t.measure()
	}
}

// MemoryBytes returns roughly what the decoder holds between two bodies.
func (d *Decoder) MemoryBytes() int { return d.bytes + d.index.bytes() + cap(d.text) + cap(d.key) }

// begin makes ready for a body, without what is more than should be kept.
func (d *Decoder) begin() {
	if d.MemoryBytes() > d.cfg.KeepBytes {
		*d = Decoder{cfg: d.cfg, tables: map[string]*table{}, batch: d.batch, epoch: d.epoch}
	}
	d.batch++
	d.index.begin(d.batch)
	d.open, d.out.Tables = d.open[:0], d.out.Tables[:0]
	d.columns, d.excess, d.point = 0, 0, 0
}

func (d *Decoder) parseBody() error {
	d.space()
	switch d.peek() {
	case '{':
		if err := d.parsePoint(); err != nil {
			return err
		}
	case '[':
		if err := d.parseArray(); err != nil {
			return err
		}
	default:
		return d.errorf("the body is neither a point, {…}, nor an array of points, […]")
	}
	if d.space(); d.i < len(d.b) {
		return d.errorf("%s comes behind the end", quote(d.b[d.i:]))
	}
	return nil
}

func (d *Decoder) parseArray() error {
	d.i++
	if d.space(); d.peek() == ']' {
		d.i++
		return nil
	}
	for {
		d.point++
		if d.space(); d.peek() != '{' {
			return d.errorf("a point is an object, {…}, not %s", d.found())
		}
		if err := d.parsePoint(); err != nil {
			return err
		}
		d.space()
		switch d.peek() {
		case ',':
			d.i++
		case ']':
			d.i++
			d.point = 0
			return nil
		default:
			return d.errorf("want a comma or ] behind a point, found %s", d.found())
		}
	}
}

// errorf returns an error at the present byte.
func (d *Decoder) errorf(format string, args ...any) error {
	return &Error{Point: d.point, Offset: d.i, Reason: fmt.Sprintf(format, args...)}
}

// found describes what stands at the present byte.
func (d *Decoder) found() string {
	if d.i >= len(d.b) {
		return "the end of the body"
	}
	return quote(d.b[d.i:])
}
