package shard

import (
	"testing"
	"time"

	"github.com/varvedb/varve/compact"
	"github.com/varvedb/varve/manifest"
)

// TestSecondWorkerKeepsPartitionsThin gives a partition of which the largest
// segments are being merged and the next merge by level is too large for the
// second worker: it must merge something smaller instead of nothing.
func TestSecondWorkerKeepsPartitionsThin(t *testing.T) {
	s := &Shard{cfg: Config{Compaction: compact.Default(), Now: time.Now}, claimed: map[uint64]bool{}}
	part := manifest.Partition{Bucket: 1, Min: 0, Max: 1000}
	v := &version{manifest: &manifest.Manifest{Partitions: []manifest.Partition{part}}}
	add := func(n int, size int64, claimed bool) {
		for range n {
			id := uint64(len(v.segments) + 1)
			e := manifest.Segment{ID: id, Bucket: 1, PartMin: 0, PartMax: 1000, MinSeq: id, MaxSeq: id, Size: size}
			v.manifest.Segments = append(v.manifest.Segments, e)
			v.segments = append(v.segments, &segmentFile{entry: e})
			s.claimed[id] = claimed
		}
	}
	add(5, 400<<20, true)
	add(5, 20<<20, false)
	if task, ok := s.nextTask(v, 1); ok {
		t.Errorf("of ten segments the second worker merges %d (%s)", len(task.segments), task.Reason)
	}
	add(2, 1<<20, false)
	task, ok := s.nextTask(v, 1)
	if !ok {
		t.Fatal("of twelve segments the second worker merges none")
	}
	var size int64
	for _, f := range task.segments {
		if s.claimed[f.entry.ID] {
			t.Errorf("segment %d is merged already", f.entry.ID)
		}
		size += f.entry.Size
	}
	if size > smallMerge || len(task.segments) < 3 {
		t.Errorf("%d segments of %d MiB are merged (%s)", len(task.segments), size>>20, task.Reason)
	}
	if task, ok := s.nextTask(v, 0); !ok || task.Reason == "too many segments" {
		t.Errorf("the first worker keeps to the levels: %v %q", ok, task.Reason)
	}
}
