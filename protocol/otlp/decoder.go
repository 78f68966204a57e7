// Package otlp turns the metrics of OpenTelemetry, messages of the type
// ExportMetricsServiceRequest of OTLP 1.x, into a column.Batch. It is pure:
// bytes in, rows out.
//
//	https://opentelemetry.io/docs/specs/otlp
//	https://opentelemetry.io/docs/specs/otel/metrics/data-model
//
// What becomes of a metric is close to the schema prometheus-v1 of InfluxDB's
// and Telegraf's OpenTelemetry plugins, because dashboards made for them exist:
// the name of the metric is the measurement, attributes are tags, and a field
// says what kind of number it is.
//
//	gauge, sum that may fall     gauge
//	sum that only grows          counter
//	histogram                    count, sum, min, max as far as they are there,
//	                             and for each bound, and +Inf, how many values
//	                             are at most that
//	summary                      count, sum, and a field for each quantile
//	exponential histogram        count, sum, min, max, zero_count, scale; and
//	                             measurement NAME_bucket with the tag le and the
//	                             field value, as remote write stores native ones
//
// prometheus-v2 of the same plugins puts all metrics as fields into one
// measurement: a table with a column for each metric, of which a row has one.
//
//   - Fields are floats. Programs in different languages send one metric as
//     integers and as floats, and a field has one type.
//   - Tags are the attributes of the resource, otel.scope.name and
//     otel.scope.version and the attributes of the scope, and those of the data
//     point; where two have one name, the later of these counts. Values that
//     are no texts are written as JSON has them.
//   - What is an amount since the last report (delta) has the tag
//     temporality=delta.
//   - A data point with the flag "no recorded value" is none. Exemplars are
//     counted and left out.
//
// A data point that cannot be stored is left out, and the others are kept. A
// message that cannot be read is refused as a whole.
package otlp

import (
	"errors"
	"fmt"
	"math"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/rows"
	"github.com/varvedb/varve/protocol/wire"
)

// Request is what a message held.
type Request struct {
	// Batch has the data points that are to be stored. It is valid until the
	// next Decode, and shares no memory with the message.
	Batch *column.Batch
	// Points is how many data points are in it.
	Points int
	// Exemplars and Empty, data points without a value, are not stored.
	Exemplars, Empty int
	// Refused is how many data points are not in Batch because something is
	// wrong with them; Reason is what, of the first.
	Refused int
	Reason  string
}

// Decoder decodes messages one after the other. It allocates nothing for a
// data point whose metric, bounds and names of attributes it has seen.
type Decoder struct {
	cfg    Config
	rows   *rows.Collector
	shapes map[string]*rows.Fields // of histograms and summaries, by what they have

	shapeBytes int // of shapes

	mapping Mapping
	request Request
	left    rows.Leftovers
	now     int64

	// Tags of the present resource, of the scope with those of the resource,
	// and of the data point with both.
	resource, scope, tags []column.Tag
	shared                []byte // values of tags of resource and scope that are no texts
	text                  []byte // of those of the data point
	bad                   error  // what is wrong with resource or scope

	// Of the present metric.
	name  []byte
	delta bool

	// Of the present data point.
	point point

	deltaKey, deltaValue []byte // of the tag of differences
	leKey                []byte
	key, bucket, bound   []byte // scratch
	leTags               []column.Tag
	values               []uint64
}

// NewDecoder returns a decoder with limits that are valid.
func NewDecoder(cfg Config) *Decoder {
	return &Decoder{cfg: cfg, rows: rows.New(cfg.Rows), shapes: map[string]*rows.Fields{},
		deltaKey: []byte(tagTemporality), deltaValue: []byte(valueDelta), leKey: []byte("le")}
}

// MemoryBytes returns roughly what the decoder holds between two messages.
func (d *Decoder) MemoryBytes() int {
	return d.rows.MemoryBytes() + d.left.MemoryBytes() + d.shapeBytes + cap(d.shared) + cap(d.text) + cap(d.tags)*tagBytes*3
}

// Rough sizes.
const (
	tagBytes   = 48
	fieldBytes = 64 // of a list of bounds, for each
)

// Fields of the messages around data points.
const (
	requestResource = 1<<3 | wire.Blobs

	resourceResource = 1<<3 | wire.Blobs
	resourceScope    = 2<<3 | wire.Blobs

	resourceAttribute = 1<<3 | wire.Blobs

	scopeScope  = 1<<3 | wire.Blobs
	scopeMetric = 2<<3 | wire.Blobs

	scopeName      = 1<<3 | wire.Blobs
	scopeVersion   = 2<<3 | wire.Blobs
	scopeAttribute = 3<<3 | wire.Blobs

	metricName        = 1<<3 | wire.Blobs
	metricGauge       = 5<<3 | wire.Blobs
	metricSum         = 7<<3 | wire.Blobs
	metricHistogram   = 9<<3 | wire.Blobs
	metricExponential = 10<<3 | wire.Blobs
	metricSummary     = 11<<3 | wire.Blobs

	dataPoint       = 1<<3 | wire.Blobs
	dataTemporality = 2<<3 | wire.Varints
	dataMonotonic   = 3<<3 | wire.Varints

	temporalityDelta = 1
)

// Decode decodes a message. Data points without a time get now, nanoseconds
// since 1970. What the batch takes beyond the size of the message more is asked
// for, unless it is nil.
func (d *Decoder) Decode(message []byte, m Mapping, now int64, more rows.More) (Request, error) {
	d.rows.Begin(len(message), more)
	d.request, d.mapping, d.now = Request{}, m, now
	d.left.Reset()
	if d.shapeBytes > d.cfg.Rows.KeepBytes {
		d.shapes, d.shapeBytes = map[string]*rows.Fields{}, 0
	}
	err := d.decode(message)
	d.release()
	if err != nil {
		return Request{}, fmt.Errorf("otlp: %w", err)
	}
	d.request.Batch = d.rows.Batch()
	return d.request, nil
}

// release lets go of the message.
func (d *Decoder) release() {
	for _, tags := range [][]column.Tag{d.resource, d.scope, d.tags, d.leTags} {
		clear(tags[:cap(tags)])
	}
	d.name, d.mapping = nil, Mapping{}
	d.point.attributes = d.point.attributes[:0]
	clear(d.point.attributes[:cap(d.point.attributes)])
	if cap(d.shared)+cap(d.text) > d.cfg.Rows.KeepBytes {
		d.shared, d.text = nil, nil
	}
}

func (d *Decoder) decode(message []byte) error {
	r := wire.Read(message)
	for r.Next() {
		if r.Field() == requestResource {
			if err := d.resourceMetrics(r.Bytes()); err != nil {
				return err
			}
		}
	}
	return r.Err()
}

// resourceMetrics reads a ResourceMetrics. What is about the whole of it may
// stand behind its parts, so it is walked over twice; so are the messages in
// it.
func (d *Decoder) resourceMetrics(message []byte) error {
	d.resource, d.shared, d.bad = d.resource[:0], d.shared[:0], nil
	r := wire.Read(message)
	for r.Next() {
		if r.Field() != resourceResource {
			continue
		}
		a := wire.Read(r.Bytes())
		for a.Next() {
			if a.Field() == resourceAttribute {
				if err := d.resourceTag(a.Bytes()); err != nil {
					return err
				}
			}
		}
		if err := a.Err(); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	bad := d.bad
	for r = wire.Read(message); r.Next(); {
		if r.Field() == resourceScope {
			d.scope, d.bad = append(d.scope[:0], d.resource...), bad
			if err := d.scopeMetrics(r.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Decoder) scopeMetrics(message []byte) error {
	r := wire.Read(message)
	for r.Next() {
		if r.Field() == scopeScope && !d.mapping.NoScope {
			if err := d.scopeTags(r.Bytes()); err != nil {
				return err
			}
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	for r = wire.Read(message); r.Next(); {
		if r.Field() == scopeMetric {
			if err := d.metric(r.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Decoder) metric(message []byte) error {
	d.name = nil
	r := wire.Read(message)
	for r.Next() {
		if r.Field() == metricName {
			d.name = r.Bytes()
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	for r = wire.Read(message); r.Next(); {
		var each func(data []byte, monotonic bool) error
		switch r.Field() {
		case metricGauge, metricSum:
			each = d.number
		case metricHistogram:
			each = d.histogram
		case metricExponential:
			each = d.exponential
		case metricSummary:
			each = d.summary
		default:
			continue
		}
		if err := d.data(r.Bytes(), each); err != nil {
			return err
		}
	}
	return nil
}

// data reads the data points of a metric.
func (d *Decoder) data(message []byte, each func(point []byte, monotonic bool) error) error {
	d.delta = false
	monotonic := false
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case dataTemporality:
			d.delta = r.Word() == temporalityDelta
		case dataMonotonic:
			monotonic = r.Word() != 0
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	for r = wire.Read(message); r.Next(); {
		if r.Field() != dataPoint {
			continue
		}
		d.point.reset()
		d.text = d.text[:0]
		if err := each(r.Bytes(), monotonic); err != nil {
			return err
		}
	}
	return nil
}

// refuse notes that a data point is left out. It returns err if nothing of the
// message can be taken because of it.
func (d *Decoder) refuse(err error) error {
	if rows.Whole(err) || errors.Is(err, wire.ErrMalformed) {
		return err
	}
	d.left.Add(1, err, d.describe)
	d.request.Refused++
	if d.request.Reason == "" {
		d.request.Reason = err.Error()
	}
	return nil
}

// at returns the time of the present data point.
func (d *Decoder) at() (int64, error) {
	switch t := d.point.time; {
	case t == 0:
		return d.now, nil
	case t > uint64(column.MaxTime):
		return 0, fmt.Errorf("a data point of %q has the time %d, which is after the year 2262", clip(d.name), t)
	default:
		return int64(t), nil
	}
}

// clip returns what an error quotes of a name.
func clip(name []byte) []byte { return name[:min(len(name), 64)] }

// store appends a row of the present data point.
func (d *Decoder) store(name []byte, fields *rows.Fields, tags []column.Tag, values ...uint64) error {
	at, err := d.at()
	if err != nil {
		return err
	}
	t, err := d.rows.Table(name, fields)
	if err != nil {
		return err
	}
	series, err := d.rows.Series(t, tags)
	if err != nil {
		return err
	}
	// A row of many fields is as large as several of one.
	if err := d.rows.Reserve(1 + len(values)/4); err != nil {
		return err
	}
	t.AppendRow(series, at, values)
	return nil
}

func bits(f float64) uint64 { return math.Float64bits(f) }
