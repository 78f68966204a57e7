// Package manifest owns the list of what a shard consists of: its segments,
// their partitions, the tombstones that still hide rows in them, and up to
// which position of the log all that came into them.
//
// A state lies on disk twice: in a manifest file that a small root names, and
// in a copy that stands for itself. A commit goes:
//
//  1. fence: refuse if root or copy is of a later owner or of another state
//     than the parent.
//  2. write manifest, copy and root to temporary names and sync them.
//  3. rename manifest and copy, sync the folder.
//  4. rename the root, sync the folder; the commit returns.
//  5. remove manifests before the parent.
//
// The state is the later one of root and copy. Invariants:
//
//   - The copy is of the state of the root or a later one. So while the copy
//     can be read the root is not needed.
//   - What a commit has returned for is in both. So a root whose copy cannot be
//     read is of the newest state that anything was built on: a copy that was
//     later than it belonged to a commit that nobody was told of, whose parent
//     has all its segments and all its log.
//   - A root whose manifest cannot be read and whose copy is older is never
//     given up for the copy: that would be a step back.
//
// So any one of the three files may be flipped, torn or missing. An owner
// commits under a higher epoch before it removes anything, which makes root and
// copy alike again.
//
// Rejected: to go by the newest manifest file without a root or a copy. A
// manifest whose commit failed may lie there, and its segments may be gone.
//
// The shard is the only caller; a Manifest is never changed once it was
// committed, so that snapshots share it.
package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/varvedb/varve/tombstone"
)

// Manifest is one state of a shard.
type Manifest struct {
	// Epoch is raised by each owner of the shard before its first commit. A
	// root with a higher epoch than the owner's own means that it was
	// replaced.
	Epoch uint64 `json:"epoch"`
	// Number counts commits; Parent is the number of the state before.
	Number uint64 `json:"number"`
	Parent uint64 `json:"parent"`
	// Flushed is the position in the log up to which every record is in
	// Segments or Tombstones.
	Flushed Position `json:"flushed"`
	// NextSegment is larger than the id of every segment that ever was; ids
	// are never used again.
	NextSegment uint64                 `json:"next_segment"`
	Partitions  []Partition            `json:"partitions"`        // ascending by bucket and time
	Segments    []Segment              `json:"segments"`          // ascending by bucket, partition and sequence
	Tombstones  []*tombstone.Tombstone `json:"tombstones"`        // ascending by sequence
	Cursors     []Cursor               `json:"cursors,omitempty"` // ascending by name
}

// Position is a place in the log.
type Position struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// Cursor is a place in the log with a name, from which on the log is kept.
type Cursor struct {
	Name     string   `json:"name"`
	Next     Position `json:"next"`                // the first record that it needs
	MaxBytes int64    `json:"max_bytes,omitempty"` // of the log that it may hold; 0: any
	Dropped  string   `json:"dropped,omitempty"`   // why it holds nothing any more
}

// Partition is a stretch of time of a bucket whose rows lie together. Bounds
// are inclusive nanoseconds. They are what they were when the partition was
// made, whatever the configuration says today.
type Partition struct {
	Bucket uint64 `json:"bucket"`
	Min    int64  `json:"min"`
	Max    int64  `json:"max"`
}

// Segment is one immutable file.
type Segment struct {
	ID       uint64 `json:"id"`
	Bucket   uint64 `json:"bucket"`
	PartMin  int64  `json:"part_min"`
	PartMax  int64  `json:"part_max"`
	MinTime  int64  `json:"min_time"` // of its rows
	MaxTime  int64  `json:"max_time"`
	MinSeq   uint64 `json:"min_seq"`
	MaxSeq   uint64 `json:"max_seq"`
	Applied  uint64 `json:"applied"` // tombstones up to this sequence are applied in the file
	Rows     int64  `json:"rows"`
	Values   int64  `json:"values"`
	Size     int64  `json:"size"`
	Checksum uint64 `json:"checksum"` // of the whole file
	Kind     string `json:"kind"`     // KindRaw
	Encoding int    `json:"encoding"` // version of the segment format
}

// KindRaw is a segment of rows as they were written. Rollups will be another.
const KindRaw = "raw"

// Partition returns the partition that the segment lies in.
func (s *Segment) Partition() Partition { return Partition{s.Bucket, s.PartMin, s.PartMax} }

// HiddenBy reports whether t may hide rows of the segment.
func (s *Segment) HiddenBy(t *tombstone.Tombstone) bool {
	return t.Bucket == s.Bucket && t.Seq > s.MaxSeq && t.Seq > s.Applied &&
		t.Min <= s.MaxTime && t.Max >= s.MinTime
}

// Clone returns a copy of m that may be changed and committed after it.
func (m *Manifest) Clone() *Manifest {
	c := *m
	c.Parent = m.Number
	c.Partitions = slices.Clone(m.Partitions)
	c.Segments = slices.Clone(m.Segments)
	c.Tombstones = slices.Clone(m.Tombstones)
	c.Cursors = slices.Clone(m.Cursors)
	return &c
}

// Normalize puts everything in order and drops what nothing needs any more:
// partitions without segments, and tombstones once every segment that they
// cover is rewritten.
func (m *Manifest) Normalize() {
	slices.SortFunc(m.Segments, func(a, b Segment) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.PartMin, b.PartMin),
			cmp.Compare(a.MinSeq, b.MinSeq), cmp.Compare(a.ID, b.ID))
	})
	m.Partitions = m.Partitions[:0]
	for i := range m.Segments {
		p := m.Segments[i].Partition()
		if n := len(m.Partitions); n == 0 || m.Partitions[n-1] != p {
			m.Partitions = append(m.Partitions, p)
		}
	}
	m.Tombstones = slices.DeleteFunc(m.Tombstones, func(t *tombstone.Tombstone) bool {
		return !slices.ContainsFunc(m.Segments, func(s Segment) bool { return s.HiddenBy(t) })
	})
	slices.SortFunc(m.Cursors, func(a, b Cursor) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Tombstones, func(a, b *tombstone.Tombstone) int { return cmp.Compare(a.Seq, b.Seq) })
}

// Check reports what in m cannot be true.
func (m *Manifest) Check() error {
	ids := map[uint64]bool{}
	for i := range m.Segments {
		s := &m.Segments[i]
		switch {
		case ids[s.ID]:
			return fmt.Errorf("segment %d stands twice", s.ID)
		case s.ID >= m.NextSegment:
			return fmt.Errorf("segment %d, but the next one is %d", s.ID, m.NextSegment)
		case s.MinTime > s.MaxTime || s.MinTime < s.PartMin || s.MaxTime > s.PartMax:
			return fmt.Errorf("segment %d: times %d to %d in a partition from %d to %d",
				s.ID, s.MinTime, s.MaxTime, s.PartMin, s.PartMax)
		case s.MinSeq > s.MaxSeq || s.MaxSeq > m.Flushed.Seq:
			return fmt.Errorf("segment %d: sequences %d to %d, flushed up to %d", s.ID, s.MinSeq, s.MaxSeq, m.Flushed.Seq)
		case s.Kind != KindRaw:
			return fmt.Errorf("segment %d has the unknown kind %q", s.ID, s.Kind)
		}
		ids[s.ID] = true
		if i == 0 {
			continue
		}
		p := &m.Segments[i-1]
		if p.Partition() == s.Partition() && p.MaxSeq >= s.MinSeq {
			return fmt.Errorf("segments %d and %d of one partition have sequences %d to %d and %d to %d, which overlap",
				p.ID, s.ID, p.MinSeq, p.MaxSeq, s.MinSeq, s.MaxSeq)
		}
	}
	if slices.Contains(m.Tombstones, nil) {
		return fmt.Errorf("an empty tombstone")
	}
	for i, c := range m.Cursors {
		if c.Name == "" || c.Next.Seq == 0 || i > 0 && m.Cursors[i-1].Name >= c.Name {
			return fmt.Errorf("cursor %q at %d:%d does not fit the others", c.Name, c.Next.Epoch, c.Next.Seq)
		}
	}
	for i, p := range m.Partitions {
		if p.Min > p.Max {
			return fmt.Errorf("partition from %d to %d of bucket %016x", p.Min, p.Max, p.Bucket)
		}
		if i > 0 && m.Partitions[i-1].Bucket == p.Bucket && m.Partitions[i-1].Max >= p.Min {
			return fmt.Errorf("partitions of bucket %016x overlap at %d", p.Bucket, p.Min)
		}
	}
	return nil
}
