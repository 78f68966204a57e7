package column

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A series key is the tag set of a series in canonical form: tags in ascending
// order of their key, each "key=value", joined by commas, as in line protocol.
// Comma, space, equals sign and backslash are escaped by a backslash. A tag
// with an empty value is left out, and the empty key means no tags. The form
// is chosen so that a line whose tags are in order and free of backslashes
// carries its key verbatim.

// Tag is one tag, unescaped.
type Tag struct{ Key, Value []byte }

// AppendSeriesKey appends the canonical key of tags, which it sorts. It
// reports a tag key that is empty or stands twice.
func AppendSeriesKey(dst []byte, tags []Tag) ([]byte, error) {
	slices.SortFunc(tags, func(a, b Tag) int { return bytes.Compare(a.Key, b.Key) })
	first := true
	for i, t := range tags {
		if len(t.Key) == 0 {
			return dst, fmt.Errorf("empty tag key")
		}
		if i > 0 && bytes.Equal(t.Key, tags[i-1].Key) {
			return dst, fmt.Errorf("tag %q stands twice", t.Key)
		}
		if len(t.Value) == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendEscaped(dst, t.Key)
		dst = append(dst, '=')
		dst = appendEscaped(dst, t.Value)
	}
	return dst, nil
}

func appendEscaped(dst, s []byte) []byte {
	for _, c := range s {
		if c == ',' || c == ' ' || c == '=' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// Tags iterates over the tags of a series key in order. Key and value share
// memory with key unless they hold an escape; either way they are valid only
// until the next step where they do.
func Tags(key []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		rest := key
		escaped := bytes.IndexByte(key, '\\') >= 0
		for len(rest) > 0 {
			eq := indexPlain(rest, '=', escaped)
			if eq < 0 {
				return
			}
			k := rest[:eq]
			rest = rest[eq+1:]
			end := indexPlain(rest, ',', escaped)
			if end < 0 {
				end = len(rest)
			}
			v := rest[:end]
			rest = rest[min(end+1, len(rest)):]
			if escaped {
				k, v = unescape(k), unescape(v)
			}
			if !yield(k, v) {
				return
			}
		}
	}
}

// AppendTags appends the key of those tags of a series key that keep names.
func AppendTags(dst, key []byte, keep []string) []byte {
	start := len(dst)
	escaped := bytes.IndexByte(key, '\\') >= 0
	for rest := key; len(rest) > 0; {
		tag := rest
		if end := indexPlain(rest, ',', escaped); end >= 0 {
			tag, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		k := tag[:max(indexPlain(tag, '=', escaped), 0)]
		if escaped {
			k = unescape(k)
		}
		for _, want := range keep {
			if string(k) != want {
				continue
			}
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = append(dst, tag...)
			break
		}
	}
	return dst
}

// TagValue returns the value of one tag of a series key, nil if it has none.
func TagValue(key []byte, tag string) []byte {
	for k, v := range Tags(key) {
		if string(k) == tag {
			return v
		}
	}
	return nil
}

// indexPlain finds the first unescaped c.
func indexPlain(s []byte, c byte, escaped bool) int {
	if !escaped {
		return bytes.IndexByte(s, c)
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case c:
			return i
		}
	}
	return -1
}

func unescape(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return out
}

// CheckSeriesKey reports why key is not in canonical form, or nil.
func CheckSeriesKey(key []byte) error {
	var tags []Tag
	for k, v := range Tags(key) {
		tags = append(tags, Tag{slices.Clone(k), slices.Clone(v)})
	}
	again, err := AppendSeriesKey(nil, tags)
	if err != nil {
		return fmt.Errorf("series key %q: %w", key, err)
	}
	if !bytes.Equal(again, key) {
		return fmt.Errorf("series key %q is not canonical: want %q", key, again)
	}
	return nil
}

// HashSeries returns the hash by which series are looked up and sharded. It
// is part of the format: a store keeps its shards for ever.
func HashSeries(measurement string, key []byte) uint64 {
	// The measurement is mixed in by its own hash, so that the many series of
	// one measurement need it only once.
	return HashKey(xxhash.Sum64String(measurement), key)
}

// HashKey is HashSeries for callers that keep the measurement's xxhash.
func HashKey(measurementHash uint64, key []byte) uint64 {
	return xxhash.Sum64(key) ^ measurementHash*0x9E3779B97F4A7C15
}

// SeriesSet holds series keys one behind the other, so that a million of them
// are three allocations and nothing for the collector to walk.
type SeriesSet struct {
	Keys []byte
	Ends []uint32
	Hash []uint64 // HashSeries of each
}

// Len returns the number of series.
func (s *SeriesSet) Len() int { return len(s.Ends) }

// Key returns key i; it shares memory with s.
func (s *SeriesSet) Key(i int) []byte {
	var start uint32
	if i > 0 {
		start = s.Ends[i-1]
	}
	return s.Keys[start:s.Ends[i]]
}

// Add appends a key with its hash and returns its number.
func (s *SeriesSet) Add(key []byte, hash uint64) uint32 {
	s.Keys = append(s.Keys, key...)
	s.Ends = append(s.Ends, uint32(len(s.Keys)))
	s.Hash = append(s.Hash, hash)
	return uint32(len(s.Ends) - 1)
}

// Reset empties s and keeps its memory.
func (s *SeriesSet) Reset() {
	s.Keys, s.Ends, s.Hash = s.Keys[:0], s.Ends[:0], s.Hash[:0]
}
