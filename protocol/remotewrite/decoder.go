// Package remotewrite turns the messages of the Prometheus remote write
// protocol, prometheus.WriteRequest (1.0) and io.prometheus.write.v2.Request
// (2.0), into a column.Batch. It is pure: bytes in, after Snappy was taken off,
// rows out.
//
//	https://prometheus.io/docs/specs/prw/remote_write_spec
//	https://prometheus.io/docs/specs/prw/remote_write_spec_2_0
//
// What becomes of a series:
//
//   - The name of the metric is the measurement, the value is its field
//     "value", labels are tags. That is what the endpoint of InfluxDB 1 at
//     /api/v1/prom/write and metric_version 1 of Telegraf do. The other way,
//     metrics as fields of one measurement (ByField), has a column for each
//     metric in one table, of which a row has just one, and meets the limit of
//     columns of a measurement: a node exporter alone has 300 metrics.
//   - Values keep every bit, those of the staleness marker among them, which is
//     a NaN of its own.
//   - A native histogram becomes the classic one that says the same: the
//     metrics NAME_count, NAME_sum and NAME_bucket with tag "le". So whatever
//     reads classic histograms reads these. Buckets are cumulative; le is there
//     for both ends of every bucket that the histogram has.
//   - Exemplars and metadata are counted and left out: nothing here could show
//     them.
//
// A series without a name, with a label twice, or with text that is not UTF-8
// is left out, and so is a sample whose time no point can have; the others are
// kept. A message that cannot be read is refused as a whole.
//
// In 2.0 a series names its labels by numbers in a table of symbols. A message
// with few bytes can stand for very many; rows.Limits bound what is made of it.
package remotewrite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/rows"
	"github.com/varvedb/varve/protocol/wire"
)

// Version is that of the protocol.
type Version uint8

const (
	Version1 Version = 1 // prometheus.WriteRequest
	Version2 Version = 2 // io.prometheus.write.v2.Request
)

// Request is what a message held.
type Request struct {
	// Batch has the samples and histograms that are to be stored. It is valid
	// until the next Decode, and shares no memory with the message.
	Batch *column.Batch
	// Samples and Histograms are those in Batch.
	Samples, Histograms int
	// Exemplars and Metadata are not stored.
	Exemplars, Metadata int
	// Refused is how many samples and histograms are not in Batch because
	// something is wrong with them; Reason is what, of the first.
	Refused int
	Reason  string
}

// Decoder decodes messages one after the other. It allocates nothing for a
// series whose metric and names of labels it has seen.
type Decoder struct {
	cfg    Config
	rows   *rows.Collector
	fields map[string]*rows.Fields // of ByField, by name of the metric

	mapping Mapping
	request Request
	left    rows.Leftovers

	// The table that the last series went to, of this message.
	table     *rows.Table
	tableName []byte

	// The message, in which labels lie, and of version 2 its symbols.
	message []byte
	symbols []symbol
	known   []*rows.Table // of metrics whose name is a symbol

	// Of the present series.
	labels     []rows.Label
	name       []byte
	nameRef    int // symbol of the name, -1: none
	samples    []sample
	histograms [][]byte

	// Of the present histogram.
	native  nativeHistogram
	text    []byte
	le      []byte
	leTags  []column.Tag
	derived []byte
}

// symbol lies in the message. table is the place in Decoder.known of the metric
// of this name, plus 1, if it is known by now.
type symbol struct{ from, to, table uint32 }

type sample struct {
	value uint64
	at    int64 // milliseconds
}

// NewDecoder returns a decoder with limits that are valid.
func NewDecoder(cfg Config) *Decoder {
	return &Decoder{cfg: cfg, rows: rows.New(cfg.Rows), fields: map[string]*rows.Fields{}, le: []byte("le")}
}

// MemoryBytes returns roughly what the decoder holds between two messages.
func (d *Decoder) MemoryBytes() int {
	return d.rows.MemoryBytes() + d.left.MemoryBytes() + cap(d.symbols)*12 + cap(d.samples)*16 + cap(d.labels)*16 + len(d.fields)*fieldBytes
}

// fieldBytes is about what a name of d.fields costs.
const fieldBytes = 256

// Decode decodes a message without its Snappy. What the batch takes beyond the
// size of the message more is asked for, unless it is nil.
func (d *Decoder) Decode(message []byte, version Version, m Mapping, more rows.More) (Request, error) {
	d.rows.Begin(len(message), more)
	d.request, d.mapping = Request{}, m
	d.left.Reset()
	d.table, d.tableName, d.message = nil, d.tableName[:0], message
	if len(d.fields)*fieldBytes > d.cfg.Rows.KeepBytes {
		d.fields = map[string]*rows.Fields{}
	}
	if len(message) > math.MaxInt32 {
		return Request{}, errors.New("remote write: a message has more than 2 GiB")
	}
	var err error
	if version == Version2 {
		err = d.decode2(message)
	} else {
		err = d.decode1(message)
	}
	d.release()
	if err != nil {
		return Request{}, fmt.Errorf("remote write %d.0: %w", version, err)
	}
	d.request.Batch = d.rows.Batch()
	return d.request, nil
}

// release lets go of the message.
func (d *Decoder) release() {
	clear(d.histograms[:cap(d.histograms)])
	clear(d.leTags[:cap(d.leTags)])
	clear(d.known)
	d.message, d.name, d.table = nil, nil, nil
	if limit := d.cfg.Rows.KeepBytes; cap(d.symbols)*12+cap(d.samples)*16+cap(d.labels)*16 > limit {
		d.symbols, d.samples, d.labels = nil, nil, nil
	}
}

// Fields of the messages of version 1.
const (
	requestSeries   = 1<<3 | wire.Blobs
	requestMetadata = 3<<3 | wire.Blobs

	seriesLabel     = 1<<3 | wire.Blobs
	seriesSample    = 2<<3 | wire.Blobs
	seriesExemplar  = 3<<3 | wire.Blobs
	seriesHistogram = 4<<3 | wire.Blobs

	labelName  = 1<<3 | wire.Blobs
	labelValue = 2<<3 | wire.Blobs

	sampleValue = 1<<3 | wire.Fixed64s
	sampleTime  = 2<<3 | wire.Varints
)

func (d *Decoder) decode1(message []byte) error {
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case requestSeries:
			if err := d.series1(r.Bytes(), r.Offset()-len(r.Bytes())); err != nil {
				return err
			}
		case requestMetadata:
			d.request.Metadata++
		}
	}
	return r.Err()
}

// series1 reads a series that lies at an offset in the message.
func (d *Decoder) series1(message []byte, at int) error {
	d.beginSeries()
	usual := d.usualLabels(message, at)
	at += usual
	r := wire.Read(message[usual:])
	for r.Next() {
		switch r.Field() {
		case seriesLabel:
			b := r.Bytes()
			l, ok := label(b, uint32(at+r.Offset()-len(b)))
			if !ok {
				return wire.ErrMalformed
			}
			d.addLabel(l)
		case seriesSample:
			if err := d.sample(r.Bytes()); err != nil {
				return err
			}
		case seriesExemplar:
			d.request.Exemplars++
		case seriesHistogram:
			d.histograms = append(d.histograms, r.Bytes())
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	return d.endSeries()
}

// usualLabels adds the labels with which a series begins, up to the first that
// is not as nearly all are: a name and a value, in this order, of less than 128
// bytes together. The series lies at an offset in the message. It returns where
// they end.
func (d *Decoder) usualLabels(b []byte, at int) int {
	i := 0
	for i+6 <= len(b) && b[i] == byte(seriesLabel) && b[i+2] == byte(labelName) {
		end := i + 2 + int(b[i+1])
		name := i + 4
		value := name + int(b[i+3])
		if b[i+1] >= 0x80 || end > len(b) || value+2 > end || b[value] != byte(labelValue) || value+2+int(b[value+1]) != end {
			break
		}
		d.addLabel(rows.Label{Name: uint32(at + name), NameEnd: uint32(at + value), Value: uint32(at + value + 2), ValueEnd: uint32(at + end)})
		i = end
	}
	return i
}

// label reads a label that lies at an offset in the message.
func label(b []byte, at uint32) (l rows.Label, ok bool) {
	r := wire.Read(b)
	for r.Next() {
		end := at + uint32(r.Offset())
		switch r.Field() {
		case labelName:
			l.Name, l.NameEnd = end-uint32(len(r.Bytes())), end
		case labelValue:
			l.Value, l.ValueEnd = end-uint32(len(r.Bytes())), end
		}
	}
	return l, r.Err() == nil
}

const nameLabel = "__name__"

func (d *Decoder) beginSeries() {
	d.labels, d.samples, d.histograms = d.labels[:0], d.samples[:0], d.histograms[:0]
	d.name, d.nameRef = nil, -1
}

func (d *Decoder) addLabel(l rows.Label) {
	if d.name == nil && string(d.message[l.Name:l.NameEnd]) == nameLabel {
		d.name = d.message[l.Value:l.ValueEnd]
		return
	}
	d.labels = append(d.labels, l)
}

func (d *Decoder) sample(message []byte) error {
	var s sample
	if len(message) == usualSample && message[0] == byte(sampleValue) && message[9] == byte(sampleTime) {
		at, end := wire.Uvarint(message, 10)
		if end == usualSample {
			d.samples = append(d.samples, sample{binary.LittleEndian.Uint64(message[1:]), int64(at)})
			return nil
		}
	}
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case sampleValue:
			s.value = r.Word()
		case sampleTime:
			s.at = r.Int()
		}
	}
	d.samples = append(d.samples, s)
	return r.Err()
}

// usualSample is the length of a sample with both fields, of a time from 1971
// to 2109.
const usualSample = 1 + 8 + 1 + 6

// Times of points in milliseconds.
const (
	minMillis = column.MinTime / 1e6
	maxMillis = column.MaxTime / 1e6
)

// endSeries stores what the present series has.
func (d *Decoder) endSeries() error {
	if len(d.samples) > 0 {
		if err := d.endSamples(); err != nil {
			return err
		}
	}
	for _, h := range d.histograms {
		if err := d.endHistogram(h); err != nil {
			return err
		}
	}
	return nil
}

func (d *Decoder) endSamples() error {
	t, err := d.tableOf()
	if err != nil {
		return d.refuse(d.samples, err)
	}
	series, err := d.rows.SeriesOf(t, d.message, d.labels)
	if err != nil {
		return d.refuse(d.samples, err)
	}
	if err := d.rows.Reserve(len(d.samples)); err != nil {
		return err
	}
	for i, s := range d.samples {
		if s.at < minMillis || s.at > maxMillis {
			if err := d.refuse(d.samples[i:i+1], timeError(s.at)); err != nil {
				return err
			}
			continue
		}
		t.Append(series, s.at*1e6, s.value)
		d.request.Samples++
	}
	return nil
}

func timeError(millis int64) error {
	return fmt.Errorf("a sample has the time %d, in milliseconds: points can have %d to %d", millis, minMillis, maxMillis)
}

// refuse notes that samples, or the present histogram if there are none, are left
// out. It returns err if nothing of the message can be taken because of it.
func (d *Decoder) refuse(samples []sample, err error) error {
	if rows.Whole(err) {
		return err
	}
	n := max(len(samples), 1)
	d.left.Add(n, err, func(dst []byte, enough int) []byte { return d.describe(dst, samples, enough) })
	d.request.Refused += n
	if d.request.Reason == "" {
		d.request.Reason = err.Error()
	}
	return nil
}

var (
	valueFields = &rows.Fields{Name: "value", Fields: []column.FieldInfo{{Name: "value", Type: column.Float64}}}
	errNoName   = errors.New("a series has no label " + nameLabel)
)

// tableOf returns the table of the metric of the present series.
func (d *Decoder) tableOf() (*rows.Table, error) {
	if d.nameRef >= 0 {
		s := &d.symbols[d.nameRef]
		if s.table == 0 {
			t, err := d.tableNamed(d.name)
			if err != nil {
				return nil, err
			}
			d.known = append(d.known, t)
			s.table = uint32(len(d.known))
		}
		return d.known[s.table-1], nil
	}
	if d.name == nil {
		return nil, errNoName
	}
	if d.table == nil || string(d.tableName) != string(d.name) {
		t, err := d.tableNamed(d.name)
		if err != nil {
			return nil, err
		}
		d.table, d.tableName = t, append(d.tableName[:0], d.name...)
	}
	return d.table, nil
}

func (d *Decoder) tableNamed(name []byte) (*rows.Table, error) {
	if d.mapping.Layout == ByMetric {
		return d.rows.Table(name, valueFields)
	}
	f, ok := d.fields[string(name)]
	if !ok {
		field, err := d.rows.FieldName(name)
		if err != nil {
			return nil, err
		}
		f = &rows.Fields{Name: "field " + field, Fields: []column.FieldInfo{{Name: field, Type: column.Float64}}}
		d.fields[string(name)] = f
	}
	return d.rows.Table([]byte(d.mapping.Measurement), f)
}

// Fields of the messages of version 2. Those of samples and labels of a
// histogram are as in version 1.
const (
	requestSymbols = 4<<3 | wire.Blobs
	requestSeries2 = 5<<3 | wire.Blobs

	series2Labels    = 1<<3 | wire.Blobs
	series2Label     = 1<<3 | wire.Varints
	series2Sample    = 2<<3 | wire.Blobs
	series2Histogram = 3<<3 | wire.Blobs
	series2Exemplar  = 4<<3 | wire.Blobs
	series2Metadata  = 5<<3 | wire.Blobs
)

func (d *Decoder) decode2(message []byte) error {
	d.symbols, d.known = d.symbols[:0], d.known[:0]
	// Symbols stand before series unless somebody sends them otherwise.
	r := wire.Read(message)
	for r.Next() {
		if r.Field() == requestSymbols {
			end := r.Offset()
			d.symbols = append(d.symbols, symbol{from: uint32(end - len(r.Bytes())), to: uint32(end)})
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if len(d.symbols) > 0 && d.symbols[0].to > d.symbols[0].from {
		return errors.New("the first symbol is not empty")
	}
	for r = wire.Read(message); r.Next(); {
		if r.Field() == requestSeries2 {
			if err := d.series2(r.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Decoder) series2(message []byte) error {
	d.beginSeries()
	odd := false // a name stands without its value yet
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case series2Labels:
			for b, i := r.Bytes(), 0; i < len(b); {
				var ref uint64
				if ref, i = wire.Uvarint(b, i); i < 0 {
					return wire.ErrMalformed
				}
				if err := d.addRef(ref, odd); err != nil {
					return err
				}
				odd = !odd
			}
		case series2Label:
			if err := d.addRef(r.Word(), odd); err != nil {
				return err
			}
			odd = !odd
		case series2Sample:
			if err := d.sample(r.Bytes()); err != nil {
				return err
			}
		case series2Histogram:
			d.histograms = append(d.histograms, r.Bytes())
		case series2Exemplar:
			d.request.Exemplars++
		case series2Metadata:
			d.request.Metadata++
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if odd {
		return errors.New("a series has a label without a value: an odd number of references")
	}
	return d.endSeries()
}

// addRef adds a half of a label.
func (d *Decoder) addRef(ref uint64, value bool) error {
	if ref >= uint64(len(d.symbols)) || ref > math.MaxInt32 {
		return fmt.Errorf("a label refers to symbol %d of %d", ref, len(d.symbols))
	}
	s := d.symbols[ref]
	if !value {
		d.labels = append(d.labels, rows.Label{Name: s.from, NameEnd: s.to})
		return nil
	}
	l := &d.labels[len(d.labels)-1]
	if d.nameRef < 0 && string(d.message[l.Name:l.NameEnd]) == nameLabel {
		d.nameRef, d.name = int(ref), d.message[s.from:s.to]
		d.labels = d.labels[:len(d.labels)-1]
		return nil
	}
	l.Value, l.ValueEnd = s.from, s.to
	return nil
}
