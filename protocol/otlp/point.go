package otlp

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/buckets"
	"github.com/varvedb/varve/protocol/rows"
)

// point is a data point of any kind as it is read.
type point struct {
	time       uint64
	attributes [][]byte
	empty      bool   // "no recorded value"
	value      uint64 // of a gauge or sum
	has        parts
	count      float64
	sum        float64
	min, max   float64
	bounds     []float64 // of a histogram; quantiles of a summary
	counts     []float64 // of buckets; values of quantiles

	exponential buckets.Histogram
	negative    []float64 // counts of buckets
}

// parts says which fields a data point has.
type parts uint8

const (
	hasSum parts = 1 << iota
	hasMin
	hasMax
	hasValue
)

func (p *point) reset() {
	*p = point{attributes: p.attributes[:0], bounds: p.bounds[:0], counts: p.counts[:0], negative: p.negative[:0]}
}

var (
	gaugeFields   = oneField("gauge")
	counterFields = oneField("counter")
	bucketFields  = oneField("value")
)

func oneField(name string) *rows.Fields {
	return &rows.Fields{Name: name, Fields: []column.FieldInfo{{Name: name, Type: column.Float64}}}
}

// number stores a data point of a gauge or sum.
func (d *Decoder) number(message []byte, monotonic bool) error {
	p := &d.point
	if there, err := d.read(message, &numberLayout); !there {
		return err
	}
	if p.has&hasValue == 0 {
		d.request.Empty++
		return nil
	}
	fields := gaugeFields
	if monotonic {
		fields = counterFields
	}
	tags, err := d.pointTags()
	if err == nil {
		err = d.store(d.name, fields, tags, p.value)
	}
	return d.end(err)
}

// end counts the present data point, which is stored if err is nil.
func (d *Decoder) end(err error) error {
	if err != nil {
		return d.refuse(err)
	}
	d.request.Points++
	return nil
}

// histogram stores a data point of a histogram with given bounds.
func (d *Decoder) histogram(message []byte, _ bool) error {
	if there, err := d.read(message, &histogramLayout); !there {
		return err
	}
	return d.end(d.storeHistogram())
}

func (d *Decoder) storeHistogram() error {
	p := &d.point
	switch {
	case len(p.counts) > d.cfg.MaxBuckets || len(p.bounds) > d.cfg.MaxBuckets:
		return d.tooMany()
	case len(p.counts) != len(p.bounds)+1 && len(p.counts)+len(p.bounds) > 0:
		return fmt.Errorf("a histogram of %q has %d buckets and %d bounds: want a bucket more than bounds", clip(d.name), len(p.counts), len(p.bounds))
	}
	for i, b := range p.bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= p.bounds[i-1] {
			return fmt.Errorf("the bounds of a histogram of %q do not ascend", clip(d.name))
		}
	}
	tags, err := d.pointTags()
	if err != nil {
		return err
	}
	d.beginValues()
	below := 0.0
	for _, c := range p.counts {
		below += c
		d.values = append(d.values, bits(below))
	}
	return d.store(d.name, d.shape('h', len(p.counts) > 0), tags, d.values...)
}

func (d *Decoder) tooMany() error {
	return fmt.Errorf("a data point of %q has more than %d buckets", clip(d.name), d.cfg.MaxBuckets)
}

// beginValues begins the values of a row with what histograms and summaries
// have in common, in the order of shape.
func (d *Decoder) beginValues() {
	p := &d.point
	d.values = append(d.values[:0], bits(p.count))
	for _, part := range []struct {
		flag  parts
		value float64
	}{{hasSum, p.sum}, {hasMin, p.min}, {hasMax, p.max}} {
		if p.has&part.flag != 0 {
			d.values = append(d.values, bits(part.value))
		}
	}
}

// shape returns the fields of a kind of data point: count, sum, min and max as
// far as they are there, and one for each bound, with +Inf at the end if that is
// wanted.
func (d *Decoder) shape(kind byte, infinity bool) *rows.Fields {
	p := &d.point
	d.key = append(d.key[:0], kind, byte(p.has))
	if infinity {
		d.key[0] |= 0x80
	}
	for _, b := range p.bounds {
		d.key = binary.LittleEndian.AppendUint64(d.key, bits(b))
	}
	if f, ok := d.shapes[string(d.key)]; ok {
		return f
	}
	f := &rows.Fields{Name: string(d.key)}
	add := func(name string) { f.Fields = append(f.Fields, column.FieldInfo{Name: name, Type: column.Float64}) }
	add("count")
	for _, part := range []struct {
		flag parts
		name string
	}{{hasSum, "sum"}, {hasMin, "min"}, {hasMax, "max"}} {
		if p.has&part.flag != 0 {
			add(part.name)
		}
	}
	if kind == 'e' {
		add("zero_count")
		add("scale")
	}
	for _, b := range p.bounds {
		add(string(appendFloat(nil, b)))
	}
	if infinity {
		add("+Inf")
	}
	d.shapes[string(d.key)] = f
	d.shapeBytes += 2*len(d.key) + len(f.Fields)*fieldBytes
	return f
}

// exponential stores a data point of an exponential histogram.
func (d *Decoder) exponential(message []byte, _ bool) error {
	if there, err := d.read(message, &exponentialLayout); !there {
		return err
	}
	return d.end(d.storeExponential())
}

// Scales of exponential histograms: beyond, either all values are in one bucket
// or floats have no bounds so close.
const (
	minScale = -10
	maxScale = 20
)

// storeExponential stores the rows of an exponential histogram. If it fails,
// some of them may stay.
func (d *Decoder) storeExponential() error {
	p := &d.point
	h := &p.exponential
	switch {
	case len(h.Positive.Counts) > d.cfg.MaxBuckets || len(h.Negative.Counts) > d.cfg.MaxBuckets:
		return d.tooMany()
	case h.Scale < minScale || h.Scale > maxScale:
		return fmt.Errorf("an exponential histogram of %q has the scale %d: want %d to %d", clip(d.name), h.Scale, minScale, maxScale)
	}
	tags, err := d.pointTags()
	if err != nil {
		return err
	}
	h.Count = p.count
	d.beginValues()
	d.values = append(d.values, bits(h.ZeroCount), bits(float64(h.Scale)))
	if err := d.store(d.name, d.shape('e', false), tags, d.values...); err != nil {
		return err
	}
	d.bucket = append(append(d.bucket[:0], d.name...), "_bucket"...)
	d.leTags = put(append(d.leTags[:0], tags...), d.leKey, nil)
	le := slices.IndexFunc(d.leTags, func(t column.Tag) bool { return string(t.Key) == "le" })
	var failed error
	h.Cumulate(func(bound, below float64) {
		if failed != nil {
			return
		}
		d.bound = appendFloat(d.bound[:0], bound)
		d.leTags[le].Value = d.bound
		failed = d.store(d.bucket, bucketFields, d.leTags, bits(below))
	})
	return failed
}

// summary stores a data point of a summary.
func (d *Decoder) summary(message []byte, _ bool) error {
	d.point.has = hasSum
	if there, err := d.read(message, &summaryLayout); !there {
		return err
	}
	return d.end(d.storeSummary())
}

func (d *Decoder) storeSummary() error {
	p := &d.point
	if len(p.bounds) > d.cfg.MaxQuantiles {
		return fmt.Errorf("a summary of %q has more than %d quantiles", clip(d.name), d.cfg.MaxQuantiles)
	}
	for i, q := range p.bounds {
		if !(q >= 0 && q <= 1) || slices.Contains(p.bounds[:i], q) {
			return fmt.Errorf("a summary of %q has the quantile %s: want each once, from 0 to 1", clip(d.name), strconv.FormatFloat(q, 'g', -1, 64))
		}
	}
	tags, err := d.pointTags()
	if err != nil {
		return err
	}
	d.beginValues()
	for _, v := range p.counts {
		d.values = append(d.values, bits(v))
	}
	return d.store(d.name, d.shape('s', false), tags, d.values...)
}
