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
}

// formatVersion is the first byte of an encoded tombstone.
const formatVersion = 1

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
	return append([]byte{formatVersion}, b...), nil
}

// Decode reads the payload of a delete record and checks it.
func Decode(b []byte) (*Tombstone, error) {
	if len(b) == 0 || b[0] != formatVersion {
		return nil, fmt.Errorf("decode tombstone: unknown version")
	}
	var t Tombstone
	if err := json.Unmarshal(b[1:], &t); err != nil {
		return nil, fmt.Errorf("decode tombstone: %w", err)
	}
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("decode tombstone: %w", err)
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
		s.items = append(s.items, item{t.Min, t.Max, m, t.Fields})
	}
	return s, nil
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
