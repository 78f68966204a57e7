// Package tombstone owns deletes: what one says, how it travels in the log
// and in manifests, and which rows it hides.
//
// A tombstone hides rows of smaller log sequence only. Because a delete seals
// the memtable, every sorted run lies wholly before or wholly after it.
package tombstone

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/varvedb/varve/predicate"
)

// Tombstone is one delete in one bucket.
type Tombstone struct {
	Seq         uint64          `json:"seq"` // given by the log, 0 before
	Bucket      uint64          `json:"bucket"`
	Measurement string          `json:"measurement,omitempty"` // empty: every measurement
	Min         int64           `json:"min"`                   // first nanosecond that is deleted
	Max         int64           `json:"max"`                   // last one
	Where       *predicate.Expr `json:"where,omitempty"`
	Fields      []string        `json:"fields,omitempty"` // empty: whole rows
	// Points, if there are any, are what is deleted, and nothing else between
	// Min and Max: rows that are taken back one by one, many at once. There is a
	// Measurement then, and no Where.
	Points []Points `json:"points,omitempty"`
}

// Points are rows of one series.
type Points struct {
	Series string  `json:"series"` // canonical key, see column.AppendSeriesKey
	Times  []int64 `json:"times"`  // ascending
}

const (
	// formatVersion is the first byte of an encoded tombstone.
	formatVersion = 1
	// pointsVersion is that of one with points, for which a program that does
	// not know them must not take it.
	pointsVersion = 2
)

// Of returns the tombstone of points of a measurement, whose Min and Max it
// finds.
func Of(bucket uint64, measurement string, points []Points, fields []string) *Tombstone {
	t := &Tombstone{Bucket: bucket, Measurement: measurement, Min: math.MaxInt64, Max: math.MinInt64, Points: points, Fields: fields}
	for i := range points {
		slices.Sort(points[i].Times)
		t.Min = min(t.Min, points[i].Times[0])
		t.Max = max(t.Max, points[i].Times[len(points[i].Times)-1])
	}
	return t
}

// Check reports what keeps t from being stored: it travels as JSON, which
// would turn text that is not UTF-8 into other text without a word.
func (t *Tombstone) Check() error {
	if t.Min > t.Max {
		return fmt.Errorf("delete ends at %d, before its start at %d", t.Max, t.Min)
	}
	if _, err := predicate.Compile(t.Where); err != nil {
		return err
	}
	texts := append([]string{t.Measurement}, t.Fields...)
	if len(t.Points) > 0 && (t.Measurement == "" || t.Where != nil) {
		return fmt.Errorf("delete of points needs a measurement, and no condition")
	}
	for i := range t.Points {
		p := &t.Points[i]
		if len(p.Times) == 0 || !slices.IsSorted(p.Times) || p.Times[0] < t.Min || p.Times[len(p.Times)-1] > t.Max {
			return fmt.Errorf("delete of points of series %q: their times do not ascend from %d to %d", p.Series, t.Min, t.Max)
		}
		texts = append(texts, p.Series)
	}
	for todo := []*predicate.Expr{t.Where}; len(todo) > 0; {
		e := todo[0]
		todo = todo[1:]
		if e != nil {
			texts = append(append(texts, e.Key, e.Pattern), e.Values...)
			todo = append(todo, e.Args...)
		}
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("delete names %q, which is not valid UTF-8", s)
		}
	}
	return nil
}

// Encode returns the payload of a delete record: a version byte, then JSON
// (deletes are rare and small; being readable in a dump is worth more than
// bytes). It refuses what Decode would not give back as it is.
func (t *Tombstone) Encode() ([]byte, error) {
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("encode tombstone: %w", err)
	}
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode tombstone: %w", err)
	}
	version := byte(formatVersion)
	if len(t.Points) > 0 {
		version = pointsVersion
	}
	return append([]byte{version}, b...), nil
}

// Decode reads the payload of a delete record and checks it.
func Decode(b []byte) (*Tombstone, error) {
	if len(b) == 0 || b[0] != formatVersion && b[0] != pointsVersion {
		return nil, fmt.Errorf("decode tombstone: unknown version")
	}
	var t Tombstone
	if err := json.Unmarshal(b[1:], &t); err != nil {
		return nil, fmt.Errorf("decode tombstone: %w", err)
	}
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("decode tombstone: %w", err)
	}
	if (b[0] == pointsVersion) != (len(t.Points) > 0) {
		return nil, fmt.Errorf("decode tombstone: version %d does not suit %d points", b[0], len(t.Points))
	}
	return &t, nil
}

// Set is the tombstones that apply to one sorted run of one measurement,
// ready to be asked series by series. A nil Set hides nothing.
type Set struct {
	items []item
}

type item struct {
	min, max int64
	where    *predicate.Matcher
	points   map[string][]int64 // times by series; nil: all that match
	fields   []string
}

// Select returns those of all that can hide rows of a run of the measurement
// in the bucket with rows between min and max and no sequence above maxSeq;
// nil if there are none.
func Select(all []*Tombstone, bucket uint64, measurement string, min, max int64, maxSeq uint64) (*Set, error) {
	var s *Set
	for _, t := range all {
		if t.Bucket != bucket || t.Measurement != "" && t.Measurement != measurement ||
			t.Max < min || t.Min > max || t.Seq <= maxSeq {
			continue
		}
		m, err := predicate.Compile(t.Where)
		if err != nil {
			return nil, fmt.Errorf("tombstone %d: %w", t.Seq, err)
		}
		if s == nil {
			s = &Set{}
		}
		s.items = append(s.items, item{t.Min, t.Max, m, t.times(), t.Fields})
	}
	return s, nil
}

// times returns the times of t's points by series, nil if it has none.
func (t *Tombstone) times() map[string][]int64 {
	if len(t.Points) == 0 {
		return nil
	}
	all := make(map[string][]int64, len(t.Points))
	for _, p := range t.Points {
		if have, twice := all[p.Series]; twice {
			all[p.Series] = append(slices.Clone(have), p.Times...)
			continue
		}
		all[p.Series] = p.Times
	}
	return all
}

// Covers returns how to find out whether t names a series; nil if it is to be
// found out by its Where.
func (t *Tombstone) Covers() func(seriesKey []byte) bool {
	all := t.times()
	if all == nil {
		return nil
	}
	return func(key []byte) bool { _, ok := all[string(key)]; return ok }
}

// Hidden is a span of time that is hidden in one series.
type Hidden struct {
	Min, Max int64    // inclusive
	Fields   []string // empty: whole rows
}

// For appends what is hidden of the series with this key to dst.
func (s *Set) For(dst []Hidden, seriesKey []byte) []Hidden {
	if s == nil {
		return dst
	}
	for _, it := range s.items {
		if it.points != nil {
			for _, at := range it.points[string(seriesKey)] {
				dst = append(dst, Hidden{at, at, it.fields})
			}
			continue
		}
		if it.where.Match(seriesKey) {
			dst = append(dst, Hidden{it.min, it.max, it.fields})
		}
	}
	return dst
}

// Everything is the time span of a delete without bounds.
const (
	MinTime = math.MinInt64
	MaxTime = math.MaxInt64
)

// Between appends to dst those of hidden that hide something between min and
// max.
func Between(dst, hidden []Hidden, min, max int64) []Hidden {
	for _, h := range hidden {
		if h.Min <= max && h.Max >= min {
			dst = append(dst, h)
		}
	}
	return dst
}
