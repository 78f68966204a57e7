package shard

import (
	"fmt"
	"slices"
	"sync"

	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/tombstone"
)

// Snapshot is the state of a shard at one sequence, whatever is written,
// deleted, flushed or compacted after it. It is made in constant time and
// costs the disk and memory of what it pins until it is closed. It is safe
// for concurrent use.
type Snapshot struct {
	s     *Shard
	v     *version
	epoch uint64 // of the log
	seq   uint64
	once  sync.Once
}

// Snapshot pins the present state.
func (s *Shard) Snapshot() (*Snapshot, error) { return s.snapshot() }

func (s *Shard) snapshot() (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.current.refs.Add(1)
	return &Snapshot{s: s, v: s.current, epoch: s.applied.Epoch, seq: s.applied.Seq}, nil
}

// Close lets go of what the snapshot pins. Runs that came from it are not
// used any more.
func (n *Snapshot) Close() { n.once.Do(func() { n.s.release(n.v) }) }

// Seq is the sequence of the newest record that the snapshot sees.
func (n *Snapshot) Seq() uint64 { return n.seq }

// Manifest is the state of the segments. It is not changed by anyone.
func (n *Snapshot) Manifest() *manifest.Manifest { return n.v.manifest }

// File is a segment that a snapshot pins.
type File struct {
	Name  string
	Entry manifest.Segment
}

// Files returns the segments, in the order of the manifest.
func (n *Snapshot) Files() []File {
	out := make([]File, len(n.v.segments))
	for i, f := range n.v.segments {
		out[i] = File{f.name, f.entry}
	}
	return out
}

// Input is a sorted run, where its rows lie, and the tombstones that hide
// some of them.
type Input struct {
	Run              run.Run
	Hidden           *tombstone.Set
	PartMin, PartMax int64 // inclusive
}

// Runs returns what may hold rows of a measurement with min <= time <= max:
// segments by partition, oldest first, then memtables; within a partition and
// among memtables, ascending by sequence.
func (n *Snapshot) Runs(bucket uint64, measurement string, min, max int64) ([]Input, error) {
	var out []Input
	for _, f := range n.segments(bucket, min, max) {
		if f.err != nil {
			return nil, fmt.Errorf("bucket %016x between %d and %d: %w", bucket, f.entry.MinTime, f.entry.MaxTime, f.err)
		}
		sec, ok := f.reader.Section(measurement)
		if !ok {
			continue
		}
		in, err := n.input(sec, bucket, measurement, max64(f.entry.MaxSeq, f.entry.Applied), min, max)
		if err != nil {
			return nil, err
		}
		if in.Run != nil {
			in.PartMin, in.PartMax = f.entry.PartMin, f.entry.PartMax
			out = append(out, in)
		}
	}
	for _, t := range n.tables() {
		view := t.View(bucket, measurement, n.seq)
		if view == nil {
			continue
		}
		in, err := n.input(view, bucket, measurement, view.Meta().MaxSeq, min, max)
		if err != nil {
			return nil, err
		}
		if in.Run != nil {
			in.PartMin, in.PartMax = view.Meta().MinTime, view.Meta().MaxTime
			out = append(out, in)
		}
	}
	return out, nil
}

// input returns the Input of r, or one without a Run if r has no rows between
// min and max.
func (n *Snapshot) input(r run.Run, bucket uint64, measurement string, seq uint64, min, max int64) (Input, error) {
	meta := r.Meta()
	if meta.Rows == 0 || meta.MinTime > max || meta.MaxTime < min {
		return Input{}, nil
	}
	hidden, err := tombstone.Select(n.v.tombstones, bucket, measurement, meta.MinTime, meta.MaxTime, seq)
	return Input{Run: r, Hidden: hidden}, err
}

// segments returns the files of a bucket with rows between min and max.
func (n *Snapshot) segments(bucket uint64, min, max int64) []*segmentFile {
	var out []*segmentFile
	for _, f := range n.v.segments {
		if f.entry.Bucket == bucket && f.entry.MinTime <= max && f.entry.MaxTime >= min {
			out = append(out, f)
		}
	}
	return out
}

// tables returns the memtables, oldest first.
func (n *Snapshot) tables() []*memtable.Memtable {
	out := make([]*memtable.Memtable, 0, len(n.v.sealed)+1)
	for _, t := range n.v.sealed {
		out = append(out, t.table)
	}
	return append(out, n.v.active)
}

// Measurements returns the measurements that may have rows of a bucket with
// min <= time <= max, ascending.
func (n *Snapshot) Measurements(bucket uint64, min, max int64) ([]string, error) {
	var out []string
	for _, f := range n.segments(bucket, min, max) {
		if f.err != nil {
			return nil, fmt.Errorf("bucket %016x: %w", bucket, f.err)
		}
		out = append(out, f.reader.Measurements()...)
	}
	for _, t := range n.tables() {
		for _, name := range t.Measurements(bucket) {
			if v := t.View(bucket, name, n.seq); v != nil && v.Meta().MinTime <= max && v.Meta().MaxTime >= min {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func max64(a, b uint64) uint64 {
	if a > b {
		return a
	}
	return b
}

var _ run.Run = (*segment.Section)(nil)
