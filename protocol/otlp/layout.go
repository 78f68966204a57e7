package otlp

import (
	"encoding/binary"
	"math"

	"github.com/varvedb/varve/protocol/buckets"
	"github.com/varvedb/varve/protocol/wire"
)

// role is what a field of a data point says. Kinds of data points have most of
// them in common, under numbers of their own.
type role uint8

const (
	ofNothing role = iota // not stored, or not known
	ofTime
	ofAttribute
	ofFlags
	ofExemplar
	ofDouble
	ofInt
	ofCount
	ofSum
	ofMin
	ofMax
	ofBucket
	ofBuckets // packed, as are the bounds
	ofBound
	ofBounds
	ofScale
	ofZeroCount
	ofZeroThreshold
	ofPositive
	ofNegative
	ofQuantile
)

// layout says what the fields of a kind of data point are for, by number and
// encoding. It has room for all that they have.
type layout [16 << 3]role

var (
	numberLayout = layout{
		3<<3 | wire.Fixed64s: ofTime,
		4<<3 | wire.Fixed64s: ofDouble,
		5<<3 | wire.Blobs:    ofExemplar,
		6<<3 | wire.Fixed64s: ofInt,
		7<<3 | wire.Blobs:    ofAttribute,
		8<<3 | wire.Varints:  ofFlags,
	}
	histogramLayout = layout{
		3<<3 | wire.Fixed64s:  ofTime,
		4<<3 | wire.Fixed64s:  ofCount,
		5<<3 | wire.Fixed64s:  ofSum,
		6<<3 | wire.Fixed64s:  ofBucket,
		6<<3 | wire.Blobs:     ofBuckets,
		7<<3 | wire.Fixed64s:  ofBound,
		7<<3 | wire.Blobs:     ofBounds,
		8<<3 | wire.Blobs:     ofExemplar,
		9<<3 | wire.Blobs:     ofAttribute,
		10<<3 | wire.Varints:  ofFlags,
		11<<3 | wire.Fixed64s: ofMin,
		12<<3 | wire.Fixed64s: ofMax,
	}
	exponentialLayout = layout{
		1<<3 | wire.Blobs:     ofAttribute,
		3<<3 | wire.Fixed64s:  ofTime,
		4<<3 | wire.Fixed64s:  ofCount,
		5<<3 | wire.Fixed64s:  ofSum,
		6<<3 | wire.Varints:   ofScale,
		7<<3 | wire.Fixed64s:  ofZeroCount,
		8<<3 | wire.Blobs:     ofPositive,
		9<<3 | wire.Blobs:     ofNegative,
		10<<3 | wire.Varints:  ofFlags,
		11<<3 | wire.Blobs:    ofExemplar,
		12<<3 | wire.Fixed64s: ofMin,
		13<<3 | wire.Fixed64s: ofMax,
		14<<3 | wire.Fixed64s: ofZeroThreshold,
	}
	summaryLayout = layout{
		3<<3 | wire.Fixed64s: ofTime,
		4<<3 | wire.Fixed64s: ofCount,
		5<<3 | wire.Fixed64s: ofSum,
		6<<3 | wire.Blobs:    ofQuantile,
		7<<3 | wire.Blobs:    ofAttribute,
		8<<3 | wire.Varints:  ofFlags,
	}
)

// flagEmpty is "no recorded value".
const flagEmpty = 1

// read reads a data point into d.point. there is false if it has no value, which
// is counted, or is malformed.
func (d *Decoder) read(message []byte, l *layout) (there bool, err error) {
	p := &d.point
	h := &p.exponential
	r := wire.Read(message)
	for r.Next() {
		if r.Field() >= uint64(len(l)) {
			continue
		}
		switch l[r.Field()] {
		case ofTime:
			p.time = r.Word()
		case ofAttribute:
			p.attributes = append(p.attributes, r.Bytes())
		case ofFlags:
			p.empty = r.Word()&flagEmpty != 0
		case ofExemplar:
			d.request.Exemplars++
		case ofDouble:
			p.value, p.has = r.Word(), p.has|hasValue
		case ofInt:
			p.value, p.has = bits(float64(r.Int())), p.has|hasValue
		case ofCount:
			p.count = float64(r.Word())
		case ofSum:
			p.sum, p.has = r.Float(), p.has|hasSum
		case ofMin:
			p.min, p.has = r.Float(), p.has|hasMin
		case ofMax:
			p.max, p.has = r.Float(), p.has|hasMax
		case ofBucket:
			p.counts = append(p.counts, float64(r.Word()))
		case ofBuckets:
			p.counts, err = appendFixed(p.counts, r.Bytes(), func(w uint64) float64 { return float64(w) })
		case ofBound:
			p.bounds = append(p.bounds, r.Float())
		case ofBounds:
			p.bounds, err = appendFixed(p.bounds, r.Bytes(), math.Float64frombits)
		case ofScale:
			h.Scale = int32(r.Sint())
		case ofZeroCount:
			h.ZeroCount = float64(r.Word())
		case ofZeroThreshold:
			h.ZeroThreshold = r.Float()
		case ofPositive:
			h.Positive, p.counts, err = side(p.counts[:0], r.Bytes(), d.cfg.MaxBuckets)
		case ofNegative:
			h.Negative, p.negative, err = side(p.negative[:0], r.Bytes(), d.cfg.MaxBuckets)
		case ofQuantile:
			var q, v float64
			q, v, err = quantile(r.Bytes())
			p.bounds, p.counts = append(p.bounds, q), append(p.counts, v)
		}
		if err != nil {
			return false, err
		}
	}
	if err := r.Err(); err != nil {
		return false, err
	}
	if p.empty {
		d.request.Empty++
	}
	return !p.empty, nil
}

// Fields of the messages in data points.
const (
	bucketsOffset = 1<<3 | wire.Varints
	bucketsCount  = 2<<3 | wire.Varints
	bucketsCounts = 2<<3 | wire.Blobs

	quantileQuantile = 1<<3 | wire.Fixed64s
	quantileValue    = 2<<3 | wire.Fixed64s
)

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
