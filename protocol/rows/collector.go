// Package rows collects the rows that decoders of measured series find, table
// by table, into a column.Batch: remotewrite and otlp. Their protocols carry
// series with many labels and one or a few numbers each, so what counts is how
// fast a set of labels becomes a series key.
//
// A table is a measurement with a fixed list of fields, each of which has a
// value in every row; two tables may be of one measurement. So a batch has no
// nulls, and never pays for fields that a row does not have.
//
// How a key is made: a table remembers the lists of tag names that its series
// had. If those of a series are one of these lists, which is so but for the
// first series of a kind, they are known to be in order, each once, and fit to
// be names, and only the values are looked at, eight bytes at a time. The key is
// written where the batch has it.
//
// Rejected: a cache of series by their encoded labels. Comparing a series with
// what is cached reads as much memory as making its key, and knowing a million
// of them costs hundreds of megabytes for every decoder.
//
// Names and values are brought into the form that line protocol can carry,
// because what is stored must be possible to export: control characters become
// spaces, and backslashes at the end are left out. Tags that the store could
// not tell from something else, time and the names of fields of the table, get
// the prefix label_.
//
// A Collector belongs to one goroutine at a time.
package rows

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
)

// Limits bound what a batch may hold.
type Limits struct {
	// MaxTags refuses series with more of them.
	MaxTags int
	// MaxTables and MaxColumns bound the tables of a batch, and the field and
	// tag keys of all of them.
	MaxTables  int
	MaxColumns int
	// MaxBytes bounds the memory of a batch: a sender that names labels by number
	// can make very much of little.
	MaxBytes int
	// KeepBytes is how much memory is kept from one batch to the next.
	KeepBytes int
}

// Default returns the limits that the server starts with: those of line
// protocol, and some hundred times what agents send at a time.
func Default() Limits {
	return Limits{MaxTags: 1024, MaxTables: 1 << 16, MaxColumns: 1 << 16, MaxBytes: 128 << 20, KeepBytes: 16 << 20}
}

// Validate reports the first limit that makes no sense.
func (l Limits) Validate() error {
	if l.MaxTags < 0 || l.MaxTables < 1 || l.MaxColumns < 1 || l.MaxBytes < 1 || l.KeepBytes < 0 {
		return fmt.Errorf("limits of a batch %+v: want at least 0 tags and bytes to keep, and 1 of the others", l)
	}
	return nil
}

// LimitError says that a request is beyond what a batch may hold: nothing of it
// can be taken.
type LimitError struct {
	Limit int
	Of    string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the request has more than %d %s: send less at a time", e.Limit, e.Of)
}

const (
	// maxKeyBytes bounds measurement, tags and field key of a value together,
	// as line protocol does.
	maxKeyBytes = 65535
	// fieldSeparatorBytes is what InfluxDB puts between tags and field key when
	// it counts them.
	fieldSeparatorBytes = 4
)

// Collector collects batch after batch.
type Collector struct {
	limits Limits
	tables map[string]*Table // by measurement and fields
	bytes  int               // of tables

	// Of the present batch.
	batch   uint64 // its number
	open    []*Table
	out     column.Batch
	columns int // fields and tag keys of all tables
	keys    int // bytes of keys of all tables
	series  int // of all tables
	rows    int // of all tables, told by Reserve
	granted int // bytes that series and rows may take, of those that more was asked for
	more    More

	name    []byte // scratch
	tags    []column.Tag
	text    []byte
	another []byte
}

// New returns a collector with limits that are valid.
func New(l Limits) *Collector {
	return &Collector{limits: l, tables: map[string]*Table{}}
}

// More is asked for so many bytes before a batch takes them. Its error is that
// of the request, within a *RoomError.
type More func(bytes int64) error

// RoomError says that there is no room for what a request would become: nothing
// of it can be taken.
type RoomError struct{ Err error }

func (e *RoomError) Error() string { return e.Err.Error() }

// Unwrap returns what More said.
func (e *RoomError) Unwrap() error { return e.Err }

// Whole reports whether nothing of a request can be taken because of err.
func Whole(err error) bool {
	return errors.As(err, new(*LimitError)) || errors.As(err, new(*RoomError))
}

const (
	// rowBytes and seriesBytes are what a row, of one field, and a series cost
	// besides the key, with room to grow.
	rowBytes    = 32
	seriesBytes = 16
	// grain is the least that is asked for at a time.
	grain = 256 << 10
)

// Begin begins a batch and forgets the one before. Free bytes are there for it;
// more is asked for others, unless it is nil.
func (c *Collector) Begin(free int, more More) {
	for _, t := range c.open {
		c.bytes += t.measure()
	}
	if c.bytes > c.limits.KeepBytes {
		c.tables, c.bytes, c.open = map[string]*Table{}, 0, nil
	}
	c.batch++
	c.open, c.out.Tables = c.open[:0], c.out.Tables[:0]
	c.columns, c.keys, c.series, c.rows = 0, 0, 0, 0
	c.granted, c.more = free, more
}

// MemoryBytes returns roughly what the collector holds between two batches.
func (c *Collector) MemoryBytes() int { return c.bytes + cap(c.text) + cap(c.another) }

// Batch returns what was collected since Begin. It is valid until the next
// one.
func (c *Collector) Batch() *column.Batch {
	c.out.Tables = c.out.Tables[:0]
	for _, t := range c.open {
		if len(t.out.Time) > 0 {
			c.out.Tables = append(c.out.Tables, &t.out)
		}
	}
	return &c.out
}

// Fields is what tables of a kind have as fields. Its Name tells them apart
// from others of the same measurement.
type Fields struct {
	Name   string
	Fields []column.FieldInfo // numbers and booleans
}

// Table returns the table of a measurement with fields. The error says why
// there can be none: the measurement has no fit name, or there are too many.
func (c *Collector) Table(measurement []byte, fields *Fields) (*Table, error) {
	c.name = appendTableKey(c.name[:0], fields, measurement)
	t, ok := c.tables[string(c.name)]
	if !ok {
		name, err := c.clean("measurement", measurement)
		if err != nil {
			return nil, err
		}
		// Two names of the sender may be one here.
		key := string(appendTableKey(nil, fields, name))
		if t, ok = c.tables[key]; !ok {
			t = newTable(string(name), fields)
			c.tables[key] = t
			c.bytes += tableBytes + len(key)
		}
		if string(c.name) != key {
			c.tables[string(c.name)] = t
			c.bytes += len(c.name) + 64
		}
	}
	if t.batch == c.batch {
		return t, nil
	}
	if len(c.open) >= c.limits.MaxTables {
		return nil, &LimitError{c.limits.MaxTables, "measurements"}
	}
	if c.columns+len(fields.Fields) > c.limits.MaxColumns {
		return nil, &LimitError{c.limits.MaxColumns, "fields and tags"}
	}
	c.columns += len(fields.Fields)
	t.batch = c.batch
	t.begin()
	c.open = append(c.open, t)
	return t, nil
}

// appendTableKey appends the key of a table in Collector.tables. The length goes
// before the name of the fields, which may hold any bytes.
func appendTableKey(dst []byte, fields *Fields, measurement []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fields.Name)))
	return append(append(dst, fields.Name...), measurement...)
}

// Table is a measurement with its rows in the present batch.
type Table struct {
	name   string
	fields *Fields
	hash   uint64 // xxhash of name, for column.HashKey
	room   int    // how long a key may be
	shapes []*shape
	batch  uint64 // that out is of
	out    column.Table
	listed map[string]uint64 // tag keys, by the last batch that lists them
	bytes  int               // of what follows, as last measured
}

// shape is a list of tag names that a series had.
type shape struct {
	tags  []shapeTag // in the order of name
	batch uint64     // whose TagKeys have all of them
}

type shapeTag struct {
	at      int    // where the sender puts it
	sent    string // as the sender writes it
	name    string // as it is stored
	escaped string // the same with an equals sign and, but for the first, a comma before
}

// Rough sizes of what names cost, map entries included.
const (
	tableBytes = 512
	tagBytes   = 160
)

// maxShapes is how many lists of names a table remembers: a metric has a few,
// one for each program that reports it in its own way.
const maxShapes = 8

func newTable(name string, fields *Fields) *Table {
	longest := 0
	for _, f := range fields.Fields {
		longest = max(longest, len(f.Name))
	}
	return &Table{
		name: name, fields: fields, hash: xxhash.Sum64String(name),
		room:   maxKeyBytes - len(name) - fieldSeparatorBytes - longest,
		listed: map[string]uint64{},
	}
}

func (t *Table) begin() {
	o := &t.out
	n := len(t.fields.Fields)
	fields := o.Fields
	o.Reset(t.name)
	if cap(fields) < n {
		fields = make([]column.Field, n)
	}
	o.Fields = fields[:n]
	for i, f := range t.fields.Fields {
		o.Fields[i].Name = f.Name
		o.Fields[i].Vector.Reset(f.Type)
	}
}

// measure returns by how much the buffers have grown since the last time.
func (t *Table) measure() int {
	o := &t.out
	n := 4*cap(o.Row) + 8*cap(o.Time) + cap(o.Series.Keys) + 4*cap(o.Series.Ends) + 8*cap(o.Series.Hash) +
		len(t.listed)*tagBytes
	for i := range o.Fields {
		n += 8 * cap(o.Fields[i].Words)
	}
	for _, s := range t.shapes {
		n += len(s.tags) * tagBytes
	}
	grown := n - t.bytes
	t.bytes = n
	return grown
}

// Reserve is called before n rows are appended, to any table.
func (c *Collector) Reserve(n int) error {
	c.rows += n
	return c.grow()
}

// grow asks for what is not granted yet of what the batch takes.
func (c *Collector) grow() error {
	taken := c.keys + c.series*seriesBytes + c.rows*rowBytes
	if taken > c.limits.MaxBytes {
		return &LimitError{c.limits.MaxBytes, "bytes of rows and series"}
	}
	lacking := taken - c.granted
	if lacking <= 0 || c.more == nil {
		return nil
	}
	lacking = max(lacking, grain)
	if err := c.more(int64(lacking)); err != nil {
		return &RoomError{err}
	}
	c.granted += lacking
	return nil
}

// Append appends a row of a table with one field.
func (t *Table) Append(series uint32, at int64, value uint64) {
	o := &t.out
	o.Row = append(o.Row, series)
	o.Time = append(o.Time, at)
	o.Fields[0].Words = append(o.Fields[0].Words, value)
}

// AppendRow appends a row with a value for each field.
func (t *Table) AppendRow(series uint32, at int64, values []uint64) {
	o := &t.out
	o.Row = append(o.Row, series)
	o.Time = append(o.Time, at)
	for i := range o.Fields {
		o.Fields[i].Words = append(o.Fields[i].Words, values[i])
	}
}
