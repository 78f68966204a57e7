// Package batch turns records into columns, as the write driver takes them, and
// columns into records, for sources whose protocol says what a point is.
package batch

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

// The reasons for which records cannot become points.
const (
	NoMeasurement = "no_measurement"
	NoFields      = "no_fields"
	BadName       = "bad_name"
	TooLarge      = "too_large"
	BadTime       = "bad_time"
)

// The limits of a point, as line protocol has them.
const (
	maxKeyBytes         = 65535      // measurement, tags and field key together
	fieldSeparatorBytes = 4          // what InfluxDB puts between tags and field key when it counts them
	maxPointBytes       = 128 << 10  // a row must fit into a record of the log, which holds 256 KiB
	maxTags             = 1024       // of a point
	maxFields           = 8192       // of a point
	maxNulls            = 1 << 20    // of a batch, besides eight for each value
	maxTables           = 1 << 16    // of a batch
	maxNames            = 1 << 16    // of measurements and fields that are kept from batch to batch
	pointOverhead       = 16 + 4 + 8 // bytes of a point beside its texts
)

// Types tells what a field is registered as, 0 if it is not: a number becomes
// that, if it can be without loss.
type Types func(measurement, field string) column.Type

// Builder makes batches of records, one after the other. It belongs to one
// goroutine at a time and keeps names from batch to batch.
type Builder struct {
	tables map[string]*table
	names  int // in tables
	open   []*table
	out    column.Batch
	origin [][]int32 // by table of out: which record each row is
	index  index     // series by their keys
	// written finds series by their tags as they came, of which raws has the texts.
	written index
	raws    []byte
	bytes   int    // of keys and values
	serial  uint64 // of the batch
	epoch   uint64 // of the last output table
	types   Types

	// Of the present record.
	tags []column.Tag
	raw  []byte // its tags as they came
	key  []byte // the key of its series
	hash uint64 // of a key that was looked up
}

// table is what is known of a measurement.
type table struct {
	name   string
	hash   uint64
	cols   []col
	fields map[string]int
	listed []tagKey
	keys   map[string]int // listed by name

	serial uint64 // the batch for which the rest is valid
	epoch  uint64 // of out
	out    *column.Table
	at     int // of out, in the batch
	used   []int
	values int
	full   bool // the batch had no room for another output table
}

type tagKey struct {
	name  string
	epoch uint64 // the last output table that lists it
}

type col struct {
	name   string
	epoch  uint64 // the output table that vec is of
	serial uint64 // the batch for which want is valid
	want   column.Type
	vec    column.Vector
}

// fullBytes is far more than a batch of ordinary records has.
const fullBytes = 16 << 20

// NewBuilder returns an empty one.
func NewBuilder() *Builder { return &Builder{tables: map[string]*table{}} }

// Begin begins a batch.
func (b *Builder) Begin(types Types) {
	if b.names > maxNames {
		b.tables, b.names = map[string]*table{}, 0
	}
	b.serial++
	b.types = types
	b.open = b.open[:0]
	b.out.Tables = b.out.Tables[:0]
	b.origin = b.origin[:0]
	b.index.begin(b.serial)
	b.written.begin(b.serial)
	b.raws, b.bytes = b.raws[:0], 0
}

// Full reports whether the batch has so many bytes that it should be stored before
// more is added: the texts of few messages can stand in very many records.
func (b *Builder) Full() bool { return b.bytes >= fullBytes }

// Add appends a record, which is number n, with its time. If the record cannot
// be a point the error is a *record.Refusal.
func (b *Builder) Add(r *record.Record, at int64, n int) error {
	t, err := b.table(r.Measurement)
	if err != nil {
		return err
	}
	if at < column.MinTime || at > column.MaxTime {
		return record.Refuse(BadTime, "the time is outside of the years 1677 to 2262")
	}
	size, longest, err := b.check(t, r)
	if err != nil {
		return err
	}
	if err := b.fit(t, r); err != nil {
		return err
	}
	series, fresh, err := b.series(t, r.Tags)
	if err != nil {
		return err
	}
	if longest+len(b.key)+len(t.name) > maxKeyBytes-fieldSeparatorBytes {
		return record.Refuse(TooLarge, "measurement, tags and field name have more than %d bytes together", maxKeyBytes)
	}
	if size += len(b.key); size > maxPointBytes {
		return record.Refuse(TooLarge, "the reading has %d bytes, more than %d", size, maxPointBytes)
	}
	if b.bytes += size; fresh {
		series = b.addSeries(t, r.Tags)
	}
	row := len(t.out.Time)
	t.out.Row = append(t.out.Row, series)
	t.out.Time = append(t.out.Time, at)
	b.origin[t.at] = append(b.origin[t.at], int32(n))
	for i := range r.Fields {
		f := &r.Fields[i]
		c := &t.cols[b.column(t, f.Name, i)]
		v := c.value(f)
		if c.epoch != t.epoch {
			c.epoch = t.epoch
			c.vec.Reset(v.Type)
			t.used = append(t.used, t.fields[c.name])
		}
		if have := c.vec.Len(); have < row {
			c.vec.AppendNulls(row - have)
		}
		if v.Type == column.String {
			c.vec.AppendString(unsafe.Slice(unsafe.StringData(v.Str), len(v.Str)))
		} else {
			c.vec.AppendWord(v.Word)
		}
		t.values++
	}
	return nil
}

// table returns the table of a measurement, open for rows.
func (b *Builder) table(name string) (*table, error) {
	t := b.tables[name]
	if t == nil {
		if name == "" {
			return nil, record.Refuse(NoMeasurement, "the reading has no measurement")
		}
		if name[0] == '#' {
			return nil, record.Refuse(BadName, "measurement %q begins with #, which line protocol cannot carry", cut(name))
		}
		if err := checkName("measurement", name); err != nil {
			return nil, err
		}
		name = strings.Clone(name) // not a part of a message
		t = &table{name: name, hash: xxhash.Sum64String(name), fields: map[string]int{}, keys: map[string]int{}, out: new(column.Table)}
		b.tables[name] = t
		b.names++
	}
	if t.serial != b.serial {
		t.serial, t.full = b.serial, false
		b.open = append(b.open, t)
		return t, b.begin(t)
	}
	if t.full {
		return nil, record.Refuse(TooLarge, "there are more than %d measurements and changes of types at a time", maxTables)
	}
	if cells := len(t.used) * len(t.out.Time); cells > 8*t.values+maxNulls {
		return t, b.proceed(t)
	}
	return t, nil
}

// begin begins an output table of t.
func (b *Builder) begin(t *table) error {
	if len(b.out.Tables) == maxTables {
		t.full = true
		return record.Refuse(TooLarge, "there are more than %d measurements and changes of types at a time", maxTables)
	}
	b.epoch++
	t.epoch = b.epoch
	t.used, t.values = t.used[:0], 0
	t.out.Reset(t.name)
	t.at = len(b.out.Tables)
	b.out.Tables = append(b.out.Tables, t.out)
	if len(b.origin) < cap(b.origin) {
		b.origin = b.origin[:len(b.origin)+1]
		b.origin[t.at] = b.origin[t.at][:0]
	} else {
		b.origin = append(b.origin, nil)
	}
	return nil
}

// proceed seals the output table of t and goes on with another, with columns of
// its own.
func (b *Builder) proceed(t *table) error {
	b.seal(t)
	for i := range t.cols {
		t.cols[i].vec = column.Vector{}
	}
	t.out = new(column.Table)
	return b.begin(t)
}

// seal completes the output table of t.
func (b *Builder) seal(t *table) {
	rows := len(t.out.Time)
	for _, i := range t.used {
		c := &t.cols[i]
		if have := c.vec.Len(); have < rows {
			c.vec.AppendNulls(rows - have)
		}
		t.out.Fields = append(t.out.Fields, column.Field{Name: c.name, Vector: c.vec})
	}
}

// value returns the value of a field as c takes it: a number as what the field is
// registered as, if it can be without loss. The record stays as it is, for others
// that store it elsewhere.
func (c *col) value(f *record.Field) record.Value {
	if c.want != 0 && f.Type != c.want {
		if v, ok := f.Value.As(c.want); ok {
			return v
		}
	}
	return f.Value
}

// fit begins another output table if r has a field of another type than the rows
// before it: which of the types counts, the schema knows.
func (b *Builder) fit(t *table, r *record.Record) error {
	other := false
	for i := range r.Fields {
		f := &r.Fields[i]
		c := &t.cols[b.column(t, f.Name, i)]
		if c.serial != b.serial {
			c.serial = b.serial
			c.want = b.types(t.name, c.name)
		}
		other = other || c.epoch == t.epoch && c.vec.Type != c.value(f).Type
	}
	if other {
		return b.proceed(t)
	}
	return nil
}

// column returns which column of t a field is; guess is where it stood in other
// records.
func (b *Builder) column(t *table, name string, guess int) int {
	if guess < len(t.cols) && t.cols[guess].name == name {
		return guess
	}
	if i, ok := t.fields[name]; ok {
		return i
	}
	name = strings.Clone(name)
	t.cols = append(t.cols, col{name: name})
	t.fields[name] = len(t.cols) - 1
	b.names++
	return len(t.cols) - 1
}

// list notes a tag key in the output table.
func (b *Builder) list(t *table, key string) {
	i, ok := t.keys[key]
	if !ok {
		key = strings.Clone(key) // not a part of a message
		i = len(t.listed)
		t.listed = append(t.listed, tagKey{name: key})
		t.keys[key] = i
		b.names++
	}
	if k := &t.listed[i]; k.epoch != t.epoch {
		k.epoch = t.epoch
		t.out.TagKeys = append(t.out.TagKeys, k.name)
	}
}

// series looks up the series of tags, in the order in which they came, and puts
// its key into b.key. A series that the output table does not have is fresh.
func (b *Builder) series(t *table, tags []record.Tag) (series uint32, fresh bool, err error) {
	// Most records are of a series that was seen in the same batch with its tags in
	// the same order: their key need not be made again to find it.
	b.raw = b.raw[:0]
	for i := range tags {
		b.raw = binary.AppendUvarint(b.raw, uint64(len(tags[i].Key)))
		b.raw = append(b.raw, tags[i].Key...)
		b.raw = binary.AppendUvarint(b.raw, uint64(len(tags[i].Value)))
		b.raw = append(b.raw, tags[i].Value...)
	}
	hash := column.HashKey(t.hash, b.raw)
	if s, ok := b.written.find(hash, t.epoch, func(s *slot) bool { return string(b.raws[s.from:s.to]) == string(b.raw) }); ok {
		b.key = append(b.key[:0], t.out.Series.Key(int(s.series))...)
		return s.series, false, nil
	}
	if err := b.seriesKey(tags); err != nil {
		return 0, false, err
	}
	b.hash = column.HashKey(t.hash, b.key)
	s, ok := b.index.find(b.hash, t.epoch, func(s *slot) bool { return bytes.Equal(t.out.Series.Key(int(s.series)), b.key) })
	if !ok {
		return 0, true, nil
	}
	b.note(t, hash, s.series)
	return s.series, false, nil
}

// note remembers which series the tags in b.raw are.
func (b *Builder) note(t *table, hash uint64, series uint32) {
	from := len(b.raws)
	b.raws = append(b.raws, b.raw...)
	b.written.add(slot{hash: hash, epoch: t.epoch, series: series, from: uint32(from), to: uint32(len(b.raws))})
}

// addSeries adds the series with key b.key to the output table.
func (b *Builder) addSeries(t *table, tags []record.Tag) uint32 {
	series := t.out.Series.Add(b.key, b.hash)
	b.index.add(slot{hash: b.hash, epoch: t.epoch, series: series})
	b.note(t, column.HashKey(t.hash, b.raw), series)
	for i := range tags {
		b.list(t, tags[i].Key)
	}
	return series
}

// seriesKey makes the key of tags, which are checked.
func (b *Builder) seriesKey(tags []record.Tag) error {
	if len(tags) > maxTags {
		return record.Refuse(TooLarge, "the reading has more than %d tags", maxTags)
	}
	b.tags = b.tags[:0]
	for i := range tags {
		if err := checkName("tag", tags[i].Key); err != nil {
			return err
		}
		if err := checkName("tag value", tags[i].Value); err != nil {
			return err
		}
		b.tags = append(b.tags, column.Tag{Key: unsafe.Slice(unsafe.StringData(tags[i].Key), len(tags[i].Key)),
			Value: unsafe.Slice(unsafe.StringData(tags[i].Value), len(tags[i].Value))})
	}
	key, err := column.AppendSeriesKey(b.key[:0], b.tags)
	b.key = key
	if err != nil {
		return record.Refuse(BadName, "%s", err)
	}
	return nil
}

// check looks at the fields of a record, and returns its size without tags and
// the length of its longest name.
func (b *Builder) check(t *table, r *record.Record) (size, longest int, err error) {
	if len(r.Fields) == 0 {
		return 0, 0, record.Refuse(NoFields, "the reading has no field")
	}
	if len(r.Fields) > maxFields {
		return 0, 0, record.Refuse(TooLarge, "the reading has more than %d fields", maxFields)
	}
	size = len(t.name) + pointOverhead
	for i := range r.Fields {
		f := &r.Fields[i]
		longest = max(longest, len(f.Name))
		size += len(f.Name) + len(f.Str) + 8
		if i < len(t.cols) && t.cols[i].name == f.Name {
			continue
		}
		if _, ok := t.fields[f.Name]; ok {
			continue
		}
		if err := checkName("field", f.Name); err != nil {
			return 0, 0, err
		}
	}
	return size, longest, nil
}

// checkName refuses what line protocol cannot carry, so that what is stored can
// be exported.
func checkName(what, name string) error {
	if name == "" {
		return record.Refuse(BadName, "the name of a %s is empty", what)
	}
	ascii := true
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c < ' ' || c == 0x7f {
			return record.Refuse(BadName, "%s %q holds a control character", what, cut(name))
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if name[len(name)-1] == '\\' {
		return record.Refuse(BadName, "%s %q ends with a backslash", what, cut(name))
	}
	if !ascii && !utf8.ValidString(name) {
		return record.Refuse(BadName, "%s %q is not UTF-8", what, cut(name))
	}
	return nil
}

// cut shortens a name for people.
func cut(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

// End completes the batch, which is valid until the next Begin. Row r of table t
// is record Origin(t, r).
func (b *Builder) End() *column.Batch {
	for _, t := range b.open {
		if !t.full {
			b.seal(t)
		}
	}
	return &b.out
}

// Origin returns which record a row of the batch is.
func (b *Builder) Origin(table, row int) int { return int(b.origin[table][row]) }

// index finds series of the present batch by a hash: open addressing, a power of
// two of slots, at most half full. Slots of an earlier batch are free.
type index struct {
	slots []slot
	used  int
	batch uint64
}

type slot struct {
	hash     uint64
	batch    uint64
	epoch    uint64 // the output table
	series   uint32
	from, to uint32 // where its text is, of tags as they came
}

func (x *index) begin(batch uint64) { x.batch, x.used = batch, 0 }

// find returns the slot of a hash in an output table for which same holds.
func (x *index) find(hash, epoch uint64, same func(*slot) bool) (*slot, bool) {
	if len(x.slots) == 0 {
		return nil, false
	}
	mask := uint64(len(x.slots) - 1)
	for i := hash & mask; x.slots[i].batch == x.batch; i = (i + 1) & mask {
		if s := &x.slots[i]; s.hash == hash && s.epoch == epoch && same(s) {
			return s, true
		}
	}
	return nil, false
}

func (x *index) add(s slot) {
	if 2*x.used >= len(x.slots) {
		old := x.slots
		x.slots = make([]slot, max(64, 4*len(old)))
		for _, s := range old {
			if s.batch == x.batch {
				x.put(s)
			}
		}
	}
	s.batch = x.batch
	x.put(s)
	x.used++
}

func (x *index) put(s slot) {
	mask := uint64(len(x.slots) - 1)
	i := s.hash & mask
	for x.slots[i].batch == x.batch {
		i = (i + 1) & mask
	}
	x.slots[i] = s
}
