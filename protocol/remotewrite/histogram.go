package remotewrite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/buckets"
	"github.com/varvedb/varve/protocol/wire"
)

// Fields of a histogram, in both versions.
const (
	histogramCountInt       = 1<<3 | wire.Varints
	histogramCountFloat     = 2<<3 | wire.Fixed64s
	histogramSum            = 3<<3 | wire.Fixed64s
	histogramSchema         = 4<<3 | wire.Varints
	histogramZeroThreshold  = 5<<3 | wire.Fixed64s
	histogramZeroCountInt   = 6<<3 | wire.Varints
	histogramZeroCountFloat = 7<<3 | wire.Fixed64s
	histogramNegativeSpan   = 8<<3 | wire.Blobs
	histogramNegativeDelta  = 9<<3 | wire.Varints
	histogramNegativeDeltas = 9<<3 | wire.Blobs
	histogramNegativeCount  = 10<<3 | wire.Fixed64s
	histogramNegativeCounts = 10<<3 | wire.Blobs
	histogramPositiveSpan   = 11<<3 | wire.Blobs
	histogramPositiveDelta  = 12<<3 | wire.Varints
	histogramPositiveDeltas = 12<<3 | wire.Blobs
	histogramPositiveCount  = 13<<3 | wire.Fixed64s
	histogramPositiveCounts = 13<<3 | wire.Blobs
	histogramTime           = 15<<3 | wire.Varints
	histogramBound          = 16<<3 | wire.Fixed64s
	histogramBounds         = 16<<3 | wire.Blobs

	spanOffset = 1<<3 | wire.Varints
	spanLength = 2<<3 | wire.Varints
)

const (
	// Schemas of exponential bounds that there are.
	minSchema, maxSchema = -4, 8
	// customSchema is that of histograms with given bounds.
	customSchema = -53
)

// nativeHistogram is a histogram as it is read.
type nativeHistogram struct {
	buckets.Histogram
	schema   int64
	bounds   []float64
	sum      uint64 // bits of a float
	at       int64  // milliseconds
	positive nativeSide
	negative nativeSide
}

// nativeSide collects the buckets of one sign.
type nativeSide struct {
	spans  []buckets.Span
	next   int64 // index after the last span, without the offset of the next
	length int64 // of all spans
	counts []float64
	last   int64 // count of the last bucket, of which the next is told by its difference
}

func (s *nativeSide) reset() { *s = nativeSide{spans: s.spans[:0], counts: s.counts[:0]} }

func tooManyBuckets(most int) error {
	return fmt.Errorf("a histogram has more than %d buckets", most)
}

// span adds a run of buckets. Its offset counts from the end of the one before.
func (s *nativeSide) span(message []byte, most int) error {
	var offset int32
	var length uint32
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case spanOffset:
			offset = int32(r.Sint())
		case spanLength:
			length = uint32(r.Word())
		}
	}
	if s.length += int64(length); s.length > int64(most) || len(s.spans) >= most {
		return tooManyBuckets(most)
	}
	s.next += int64(offset)
	s.spans = append(s.spans, buckets.Span{First: s.next, Count: int(length)})
	s.next += int64(length)
	return r.Err()
}

// delta adds a bucket by the difference of its count to that of the one before.
func (s *nativeSide) delta(w uint64) {
	s.last += wire.Zigzag(w)
	s.counts = append(s.counts, float64(s.last))
}

func (s *nativeSide) deltas(b []byte, most int) error {
	for i := 0; i < len(b) && len(s.counts) <= most; {
		var w uint64
		if w, i = wire.Uvarint(b, i); i < 0 {
			return wire.ErrMalformed
		}
		s.delta(w)
	}
	return nil
}

// appendFloats appends the values of a packed field of doubles.
func appendFloats(dst []float64, b []byte, most int) ([]float64, error) {
	switch {
	case len(b)%8 != 0:
		return dst, wire.ErrMalformed
	case len(dst)+len(b)/8 > most:
		return dst, tooManyBuckets(most)
	}
	for ; len(b) > 0; b = b[8:] {
		dst = append(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return dst, nil
}

// read reads a histogram.
func (h *nativeHistogram) read(message []byte, most int) (err error) {
	h.positive.reset()
	h.negative.reset()
	*h = nativeHistogram{positive: h.positive, negative: h.negative, bounds: h.bounds[:0]}
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case histogramCountInt:
			h.Count = float64(r.Word())
		case histogramCountFloat:
			h.Count = r.Float()
		case histogramSum:
			h.sum = r.Word()
		case histogramSchema:
			h.schema = r.Sint()
		case histogramZeroThreshold:
			h.ZeroThreshold = r.Float()
		case histogramZeroCountInt:
			h.ZeroCount = float64(r.Word())
		case histogramZeroCountFloat:
			h.ZeroCount = r.Float()
		case histogramNegativeSpan:
			err = h.negative.span(r.Bytes(), most)
		case histogramNegativeDelta:
			h.negative.delta(r.Word())
		case histogramNegativeDeltas:
			err = h.negative.deltas(r.Bytes(), most)
		case histogramNegativeCount:
			h.negative.counts = append(h.negative.counts, r.Float())
		case histogramNegativeCounts:
			h.negative.counts, err = appendFloats(h.negative.counts, r.Bytes(), most)
		case histogramPositiveSpan:
			err = h.positive.span(r.Bytes(), most)
		case histogramPositiveDelta:
			h.positive.delta(r.Word())
		case histogramPositiveDeltas:
			err = h.positive.deltas(r.Bytes(), most)
		case histogramPositiveCount:
			h.positive.counts = append(h.positive.counts, r.Float())
		case histogramPositiveCounts:
			h.positive.counts, err = appendFloats(h.positive.counts, r.Bytes(), most)
		case histogramTime:
			h.at = r.Int()
		case histogramBound:
			h.bounds = append(h.bounds, r.Float())
		case histogramBounds:
			h.bounds, err = appendFloats(h.bounds, r.Bytes(), most)
		}
		if err == nil && max(len(h.positive.counts), len(h.negative.counts), len(h.bounds)) > most {
			err = tooManyBuckets(most)
		}
		if err != nil {
			return err
		}
	}
	return r.Err()
}

// check makes a buckets.Histogram of what was read, or says what is wrong.
func (h *nativeHistogram) check() error {
	switch {
	case h.schema == customSchema:
		if len(h.negative.spans) > 0 || h.ZeroCount != 0 {
			return fmt.Errorf("a histogram with given bounds has negative buckets or one of zeros")
		}
		for i, b := range h.bounds {
			if math.IsNaN(b) || i > 0 && b <= h.bounds[i-1] {
				return fmt.Errorf("the bounds of a histogram do not ascend")
			}
		}
		for _, s := range h.positive.spans {
			if s.First < 0 || s.First+int64(s.Count) > int64(len(h.bounds))+1 {
				return fmt.Errorf("a histogram has buckets beyond its %d bounds", len(h.bounds))
			}
		}
		// Never nil, which would mean those of a scale.
		if h.Bounds = h.bounds; h.bounds == nil {
			h.Bounds = []float64{}
		}
	case h.schema < minSchema || h.schema > maxSchema:
		return fmt.Errorf("a histogram has the schema %d: want %d to %d, or %d", h.schema, minSchema, maxSchema, customSchema)
	default:
		h.Scale = int32(h.schema)
	}
	for _, s := range []*nativeSide{&h.positive, &h.negative} {
		if int64(len(s.counts)) != s.length {
			return fmt.Errorf("a histogram has %d buckets in spans and %d counts", s.length, len(s.counts))
		}
	}
	h.Positive = buckets.Side{Spans: h.positive.spans, Counts: h.positive.counts}
	h.Negative = buckets.Side{Spans: h.negative.spans, Counts: h.negative.counts}
	return nil
}

// stale reports whether h is the staleness marker of a histogram, which has
// nothing but a sum.
func (h *nativeHistogram) stale() bool { return h.sum == staleNaN }

// staleNaN is the NaN that says that a series has ended.
const staleNaN = 0x7ff0000000000002

// Parts of a histogram in the classic form.
const (
	partCount  = "_count"
	partSum    = "_sum"
	partBucket = "_bucket"
)

// endHistogram stores a histogram of the present series.
func (d *Decoder) endHistogram(message []byte) error {
	h := &d.native
	err := h.read(message, d.cfg.MaxBuckets)
	if err == nil {
		err = h.check()
	}
	switch {
	case errors.Is(err, wire.ErrMalformed):
		return err
	case err != nil:
		return d.refuse(nil, err)
	}
	if h.at < minMillis || h.at > maxMillis {
		return d.refuse(nil, timeError(h.at))
	}
	if d.name == nil {
		return d.refuse(nil, errNoName)
	}
	if err := d.storeHistogram(h); err != nil {
		return d.refuse(nil, err)
	}
	d.request.Histograms++
	return nil
}

// storeHistogram appends the rows of h. If it fails, rows of it may stay: the
// parts of a histogram are metrics of their own.
func (d *Decoder) storeHistogram(h *nativeHistogram) error {
	count := math.Float64bits(h.Count)
	if h.stale() {
		count = staleNaN
	}
	d.leTags = d.leTags[:0]
	for _, l := range d.labels {
		d.leTags = append(d.leTags, column.Tag{Key: d.message[l.Name:l.NameEnd], Value: d.message[l.Value:l.ValueEnd]})
	}
	if err := d.storePart(partSum, d.leTags, h.at, h.sum); err != nil {
		return err
	}
	if err := d.storePart(partCount, d.leTags, h.at, count); err != nil || h.stale() {
		return err
	}
	d.leTags = append(d.leTags, column.Tag{Key: d.le})
	le := &d.leTags[len(d.leTags)-1]
	var failed error
	h.Cumulate(func(bound, below float64) {
		if failed != nil {
			return
		}
		if d.text = d.text[:0]; math.IsInf(bound, 1) {
			d.text = append(d.text, "+Inf"...)
		} else {
			d.text = strconv.AppendFloat(d.text, bound, 'g', -1, 64)
		}
		le.Value = d.text
		failed = d.storePart(partBucket, d.leTags, h.at, math.Float64bits(below))
	})
	return failed
}

// storePart appends a row of a metric that is derived from that of the present
// series.
func (d *Decoder) storePart(part string, tags []column.Tag, at int64, value uint64) error {
	d.derived = append(append(d.derived[:0], d.name...), part...)
	t, err := d.tableNamed(d.derived)
	if err != nil {
		return err
	}
	series, err := d.rows.Series(t, tags)
	if err != nil {
		return err
	}
	if err := d.rows.Reserve(1); err != nil {
		return err
	}
	t.Append(series, at*1e6, value)
	return nil
}
