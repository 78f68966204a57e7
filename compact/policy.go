// Package compact decides which segments of a partition are merged, and
// writes sorted runs into new segments, for compaction and for flush alike.
// The shard calls it and commits what it made.
//
// The policy is tiered: a level holds segments of about the same size, and as
// soon as Fanout neighbours (in sequence) have reached a level they become one
// segment of the next. So a row is rewritten about log(size of the partition /
// size of a flush) / log(Fanout) times, however long the backlog was. Rejected:
// levels with sorted key ranges, which rewrite every row once a level whether
// or not anything overlaps; and merging by age alone, which makes late rows
// drag large segments along.
//
// Functions here keep no state and may be called from anywhere.
package compact

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/tombstone"
)

// Config says when segments are merged.
type Config struct {
	// Fanout is how many neighbours of one level make one of the next.
	Fanout int
	// MaxSegments is how many segments a partition may have before the
	// cheapest neighbours are merged, levels or not.
	MaxSegments int
	// MaxBytes is the size from which on a segment is not merged any more.
	MaxBytes int64
}

// Default returns the configuration that the figures in the documentation
// were measured with.
func Default() Config {
	return Config{
		// 5 keeps a partition at ten segments or fewer through five minutes of
		// ingest at full rate and writes each byte of a flush two to three times
		// more in that time.
		Fanout:      5,
		MaxSegments: 10,
		// Rewriting this much takes one core a minute or two (BenchmarkCompact
		// of package shard); what is larger would hold back what is urgent.
		MaxBytes: 2 << 30,
	}
}

// Validate reports what in c cannot work.
func (c Config) Validate() error {
	switch {
	case c.Fanout < 2:
		return fmt.Errorf("compaction fanout is %d: it must be at least 2", c.Fanout)
	case c.MaxSegments < c.Fanout:
		return fmt.Errorf("compaction allows %d segments a partition: fewer than its fanout, %d", c.MaxSegments, c.Fanout)
	case c.MaxBytes < 1:
		return fmt.Errorf("compaction stops at segments of %d bytes: it must be a positive size", c.MaxBytes)
	}
	return nil
}

// Range is a stretch of neighbouring segments: from Lo up to, not including,
// Hi. The empty Range means that there is nothing to do.
type Range struct {
	Lo, Hi int
	Reason string
}

// Empty reports whether r holds no segment.
func (r Range) Empty() bool { return r.Lo == r.Hi }

// Pick returns which segments of a partition, given in ascending order of
// sequence, to merge next.
func (c Config) Pick(segments []manifest.Segment) Range {
	if r := c.pickLevel(segments); !r.Empty() {
		return r
	}
	return c.PickCrowded(segments)
}

// PickCrowded returns the cheapest neighbours to merge in a partition that has
// too many segments, whatever their levels.
func (c Config) PickCrowded(segments []manifest.Segment) Range {
	if len(segments) <= c.MaxSegments {
		return Range{}
	}
	return c.pickCheapest(segments, min(len(segments)-c.MaxSegments, maxInputs-2)+1)
}

// PickIdle returns which segments of a partition to merge when nothing was
// written to it for a while. Small segments beside a large one are left alone
// until they are worth a tenth of it, so that a trickle of late rows does not
// rewrite everything again and again.
func (c Config) PickIdle(segments []manifest.Segment) Range {
	lo, hi := c.longest(segments)
	if hi-lo < 2 {
		return Range{}
	}
	var sum, largest int64
	for _, s := range segments[lo:hi] {
		sum += s.Size
		largest = max(largest, s.Size)
	}
	if sum-largest < largest/10 {
		return Range{}
	}
	return Range{lo, hi, "idle partition"}
}

// PickDeleted returns a segment whose rows a tombstone hides.
func (c Config) PickDeleted(segments []manifest.Segment, tombstones []*tombstone.Tombstone) Range {
	for i := range segments {
		for _, t := range tombstones {
			if segments[i].HiddenBy(t) {
				return Range{i, i + 1, "deleted rows"}
			}
		}
	}
	return Range{}
}

// maxInputs is how many segments are merged at once at most, however many wait:
// each costs the decoded columns of a block, half a megabyte for ten fields.
const maxInputs = 32

// pickLevel looks, from the smallest level up, for Fanout segments of one
// level with nothing larger between them. Smaller ones between them go along.
func (c Config) pickLevel(segments []manifest.Segment) Range {
	least, most := math.MaxInt, math.MinInt
	for _, s := range segments {
		if l := c.level(s.Size); s.Size < c.MaxBytes {
			least, most = min(least, l), max(most, l)
		}
	}
	for level := least; level <= most; level++ {
		for lo := 0; lo < len(segments); {
			hi, same := lo, 0
			for hi < len(segments) && segments[hi].Size < c.MaxBytes && c.level(segments[hi].Size) <= level {
				if c.level(segments[hi].Size) == level {
					same++
				}
				hi++
			}
			if same >= c.Fanout {
				hi = min(hi, lo+max(maxInputs, c.Fanout))
				return Range{lo, hi, fmt.Sprintf("level %d", level)}
			}
			lo = max(hi, lo+1)
		}
	}
	return Range{}
}

// level grows by one with each factor of Fanout in size. Rounding leaves room
// for segments that compress better or worse than their neighbours.
func (c Config) level(size int64) int {
	return int(math.Round(math.Log(float64(max(size, 1))) / math.Log(float64(c.Fanout))))
}

// pickCheapest returns the n+1 neighbours whose sum of sizes is smallest.
func (c Config) pickCheapest(segments []manifest.Segment, n int) Range {
	best, cost := Range{}, int64(math.MaxInt64)
	for lo := 0; lo+n < len(segments); lo++ {
		var sum int64
		for _, s := range segments[lo : lo+n+1] {
			if s.Size >= c.MaxBytes {
				sum = math.MaxInt64
				break
			}
			sum += s.Size
		}
		if sum < cost {
			best, cost = Range{lo, lo + n + 1, "too many segments"}, sum
		}
	}
	return best
}

// longest returns the longest stretch without a segment that is full.
func (c Config) longest(segments []manifest.Segment) (lo, hi int) {
	for from := 0; from < len(segments); {
		to := from
		for to < len(segments) && segments[to].Size < c.MaxBytes {
			to++
		}
		if to-from > hi-lo {
			lo, hi = from, to
		}
		from = to + 1
	}
	return lo, hi
}
