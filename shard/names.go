package shard

import (
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/run"
)

// Sections calls use with every run of a bucket that the snapshot sees, but
// for those of segments that skip says to leave out. A segment that cannot be
// read ends it with an error.
func (n *Snapshot) Sections(bucket uint64, skip func(segment uint64) bool, use func(measurement string, r run.Run) error) error {
	for _, f := range n.segments(bucket, math.MinInt64, math.MaxInt64) {
		if skip(f.entry.ID) {
			continue
		}
		if f.err != nil {
			return fmt.Errorf("bucket %016x: %w", bucket, f.err)
		}
		for _, name := range f.reader.Measurements() {
			if sec, ok := f.reader.Section(name); ok {
				if err := use(name, sec); err != nil {
					return err
				}
			}
		}
	}
	for _, t := range n.tables() {
		for _, name := range t.Measurements(bucket) {
			if view := t.View(bucket, name, n.seq); view != nil {
				if err := use(name, view); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Has reports whether the snapshot may have rows of a bucket.
func (n *Snapshot) Has(bucket uint64) bool {
	if len(n.segments(bucket, math.MinInt64, math.MaxInt64)) > 0 {
		return true
	}
	for _, t := range n.tables() {
		if slices.Contains(t.Buckets(), bucket) {
			return true
		}
	}
	return false
}
