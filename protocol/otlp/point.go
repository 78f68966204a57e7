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
	"github.com/varvedb/varve/protocol/wire"
)

// point is a data point of any kind as it is read.
type point struct {
	time       uint64
	attributes [][]byte
	flags      uint64
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
)

// flagEmpty is "no recorded value".
const flagEmpty = 1

func (p *point) reset() {
	*p = point{attributes: p.attributes[:0], bounds: p.bounds[:0], counts: p.counts[:0], negative: p.negative[:0]}
}

// Fields of data points.
const (
	numberTime      = 3<<3 | wire.Fixed64s
	numberDouble    = 4<<3 | wire.Fixed64s
	numberExemplar  = 5<<3 | wire.Blobs
	numberInt       = 6<<3 | wire.Fixed64s
	numberAttribute = 7<<3 | wire.Blobs
	numberFlags     = 8<<3 | wire.Varints

	histogramTime      = 3<<3 | wire.Fixed64s
	histogramCount     = 4<<3 | wire.Fixed64s
	histogramSum       = 5<<3 | wire.Fixed64s
	histogramBucket    = 6<<3 | wire.Fixed64s
	histogramBuckets   = 6<<3 | wire.Blobs
	histogramBound     = 7<<3 | wire.Fixed64s
	histogramBounds    = 7<<3 | wire.Blobs
	histogramExemplar  = 8<<3 | wire.Blobs
	histogramAttribute = 9<<3 | wire.Blobs
	histogramFlags     = 10<<3 | wire.Varints
	histogramMin       = 11<<3 | wire.Fixed64s
	histogramMax       = 12<<3 | wire.Fixed64s

	exponentialAttribute     = 1<<3 | wire.Blobs
	exponentialTime          = 3<<3 | wire.Fixed64s
	exponentialCount         = 4<<3 | wire.Fixed64s
	exponentialSum           = 5<<3 | wire.Fixed64s
	exponentialScale         = 6<<3 | wire.Varints
	exponentialZeroCount     = 7<<3 | wire.Fixed64s
	exponentialPositive      = 8<<3 | wire.Blobs
	exponentialNegative      = 9<<3 | wire.Blobs
	exponentialFlags         = 10<<3 | wire.Varints
	exponentialExemplar      = 11<<3 | wire.Blobs
	exponentialMin           = 12<<3 | wire.Fixed64s
	exponentialMax           = 13<<3 | wire.Fixed64s
	exponentialZeroThreshold = 14<<3 | wire.Fixed64s

	bucketsOffset = 1<<3 | wire.Varints
	bucketsCount  = 2<<3 | wire.Varints
	bucketsCounts = 2<<3 | wire.Blobs

	summaryTime      = 3<<3 | wire.Fixed64s
	summaryCount     = 4<<3 | wire.Fixed64s
	summarySum       = 5<<3 | wire.Fixed64s
	summaryQuantile  = 6<<3 | wire.Blobs
	summaryAttribute = 7<<3 | wire.Blobs
	summaryFlags     = 8<<3 | wire.Varints

	quantileQuantile = 1<<3 | wire.Fixed64s
	quantileValue    = 2<<3 | wire.Fixed64s
)

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
	var value uint64
	given := false
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case numberTime:
			p.time = r.Word()
		case numberDouble:
			value, given = r.Word(), true
		case numberInt:
			value, given = bits(float64(r.Int())), true
		case numberAttribute:
			p.attributes = append(p.attributes, r.Bytes())
		case numberFlags:
			p.flags = r.Word()
		case numberExemplar:
			d.request.Exemplars++
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if p.flags&flagEmpty != 0 || !given {
		d.request.Empty++
		return nil
	}
	fields := gaugeFields
	if monotonic {
		fields = counterFields
	}
	tags, err := d.pointTags()
	if err == nil {
		err = d.store(d.name, fields, tags, value)
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
	p := &d.point
	r := wire.Read(message)
	for r.Next() {
		var err error
		switch r.Field() {
		case histogramTime:
			p.time = r.Word()
		case histogramCount:
			p.count = float64(r.Word())
		case histogramSum:
			p.sum, p.has = r.Float(), p.has|hasSum
		case histogramMin:
			p.min, p.has = r.Float(), p.has|hasMin
		case histogramMax:
			p.max, p.has = r.Float(), p.has|hasMax
		case histogramBucket:
			p.counts = append(p.counts, float64(r.Word()))
		case histogramBuckets:
			p.counts, err = appendFixed(p.counts, r.Bytes(), func(w uint64) float64 { return float64(w) })
		case histogramBound:
			p.bounds = append(p.bounds, r.Float())
		case histogramBounds:
			p.bounds, err = appendFixed(p.bounds, r.Bytes(), math.Float64frombits)
		case histogramAttribute:
			p.attributes = append(p.attributes, r.Bytes())
		case histogramFlags:
			p.flags = r.Word()
		case histogramExemplar:
			d.request.Exemplars++
		}
		if err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if p.flags&flagEmpty != 0 {
		d.request.Empty++
		return nil
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
	p := &d.point
	h := &p.exponential
	r := wire.Read(message)
	for r.Next() {
		var err error
		switch r.Field() {
		case exponentialTime:
			p.time = r.Word()
		case exponentialCount:
			p.count = float64(r.Word())
		case exponentialSum:
			p.sum, p.has = r.Float(), p.has|hasSum
		case exponentialScale:
			h.Scale = int32(r.Sint())
		case exponentialZeroCount:
			h.ZeroCount = float64(r.Word())
		case exponentialZeroThreshold:
			h.ZeroThreshold = r.Float()
		case exponentialPositive:
			h.Positive, p.counts, err = side(p.counts[:0], r.Bytes(), d.cfg.MaxBuckets)
		case exponentialNegative:
			h.Negative, p.negative, err = side(p.negative[:0], r.Bytes(), d.cfg.MaxBuckets)
		case exponentialMin:
			p.min, p.has = r.Float(), p.has|hasMin
		case exponentialMax:
			p.max, p.has = r.Float(), p.has|hasMax
		case exponentialAttribute:
			p.attributes = append(p.attributes, r.Bytes())
		case exponentialFlags:
			p.flags = r.Word()
		case exponentialExemplar:
			d.request.Exemplars++
		}
		if err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if p.flags&flagEmpty != 0 {
		d.request.Empty++
		return nil
	}
	return d.end(d.storeExponential())
}

// side reads the buckets of one sign, one more than most at most. In OTLP, bucket
// i begins where bucket i ends in Prometheus.
func side(counts []float64, message []byte, most int) (buckets.Side, []float64, error) {
	var offset int64
	r := wire.Read(message)
	for len(counts) <= most && r.Next() {
		switch r.Field() {
		case bucketsOffset:
			offset = int64(int32(r.Sint()))
		case bucketsCount:
			counts = append(counts, float64(r.Word()))
		case bucketsCounts:
			for b, i := r.Bytes(), 0; i < len(b) && len(counts) <= most; {
				var w uint64
				if w, i = wire.Uvarint(b, i); i < 0 {
					return buckets.Side{}, counts, wire.ErrMalformed
				}
				counts = append(counts, float64(w))
			}
		}
	}
	return buckets.Side{Spans: []buckets.Span{{First: offset + 1, Count: len(counts)}}, Counts: counts}, counts, r.Err()
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
	p := &d.point
	p.has = hasSum
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case summaryTime:
			p.time = r.Word()
		case summaryCount:
			p.count = float64(r.Word())
		case summarySum:
			p.sum = r.Float()
		case summaryQuantile:
			q, v, err := quantile(r.Bytes())
			if err != nil {
				return err
			}
			p.bounds, p.counts = append(p.bounds, q), append(p.counts, v)
		case summaryAttribute:
			p.attributes = append(p.attributes, r.Bytes())
		case summaryFlags:
			p.flags = r.Word()
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if p.flags&flagEmpty != 0 {
		d.request.Empty++
		return nil
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

func quantile(message []byte) (q, v float64, err error) {
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case quantileQuantile:
			q = r.Float()
		case quantileValue:
			v = r.Float()
		}
	}
	return q, v, r.Err()
}

// appendFixed appends the values of a packed field of eight bytes each.
func appendFixed(dst []float64, b []byte, value func(uint64) float64) ([]float64, error) {
	if len(b)%8 != 0 {
		return dst, wire.ErrMalformed
	}
	for ; len(b) > 0; b = b[8:] {
		dst = append(dst, value(binary.LittleEndian.Uint64(b)))
	}
	return dst, nil
}
