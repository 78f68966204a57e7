package detect

import (
	"hash/maphash"
	"math/bits"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// identity says which records are of one series: those of one measurement with
// the same tags, or the same values of some tags only.
type identity struct {
	by   []string // nil: all tags
	seed maphash.Seed
}

func newIdentity(by []string) identity {
	return identity{by: by, seed: maphash.MakeSeed()}
}

// of returns the series of r. The order of its tags does not matter.
func (id *identity) of(r *record.Record) uint64 {
	h := maphash.String(id.seed, r.Measurement)
	if id.by == nil {
		for i := range r.Tags {
			h += id.pair(r.Tags[i].Key, r.Tags[i].Value)
		}
		return h
	}
	for _, key := range id.by {
		h += id.pair(key, r.Tag(key))
	}
	return h
}

func (id *identity) pair(key, value string) uint64 {
	return mix(maphash.String(id.seed, key), maphash.String(id.seed, value))
}

// mix joins two hashes, the first of which does not count like the second.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9E3779B97F4A7C15, bits.RotateLeft64(b, 32)^0xD1B54A32D192ED03)
	return hi ^ lo
}

// Track is which series a detector tells apart, and of how many it knows.
type Track struct {
	By     []string // tags; nil: all of them
	Series int      // maximum
}

func declareTrack(s *declare.Map) Track {
	return Track{By: s.Strings("by"), Series: s.Int("series", DefaultSeries, 1)}
}
