package shard

import (
	"fmt"
	"maps"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/tombstone"
)

// passDeletes finds the segments in which new tombstones hide nothing, and
// notes in the manifest that they are done there: deleting what is hardly
// anywhere must not write everything anew.
func (s *Shard) passDeletes() error {
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	newest := lastTombstone(snap.v)
	if newest <= s.passed {
		return nil
	}
	free := map[uint64]bool{}
	for i, f := range snap.v.segments {
		if f.err != nil || f.damaged.Load() {
			continue
		}
		covered, touched := false, false
		for _, t := range snap.v.tombstones {
			if snap.v.manifest.Segments[i].HiddenBy(t) && !touched {
				covered, touched = true, f.touchedBy(t)
			}
		}
		free[f.entry.ID] = covered && !touched
	}
	if err := s.commitApplied(free, newest); err != nil {
		return fmt.Errorf("note deletes that touch nothing: %w", err)
	}
	s.passed = newest
	return nil
}

// touchedBy reports whether t may hide something of f. Where that cannot be
// told the merge will find out.
func (f *segmentFile) touchedBy(t *tombstone.Tombstone) bool {
	for _, name := range f.reader.Measurements() {
		if t.Measurement != "" && t.Measurement != name {
			continue
		}
		if sec, ok := f.reader.Section(name); ok {
			if touched, err := touches(t, sec); touched || err != nil {
				return true
			}
		}
	}
	return false
}

// commitApplied raises what is applied in some segments to seq.
func (s *Shard) commitApplied(which map[uint64]bool, seq uint64) error {
	if !slices.Contains(slices.Collect(maps.Values(which)), true) {
		return nil
	}
	return s.commit(func(cur *version, m *manifest.Manifest) draft {
		for i := range m.Segments {
			if e := &m.Segments[i]; which[e.ID] {
				e.Applied = max(e.Applied, seq)
			}
		}
		return newDraft(m, cur.segments, 0)
	})
}

// touches reports whether t may hide something of a run of its measurement:
// whether the run has rows in its time, one of its fields and a series that
// matches.
func touches(t *tombstone.Tombstone, r run.Run) (bool, error) {
	meta := r.Meta()
	if meta.MinTime > t.Max || meta.MaxTime < t.Min {
		return false, nil
	}
	named := func(f column.FieldInfo) bool { return slices.Contains(t.Fields, f.Name) }
	if len(t.Fields) > 0 && !slices.ContainsFunc(meta.Fields, named) {
		return false, nil
	}
	if covers := t.Covers(); covers != nil {
		return anySeries(r, covers)
	}
	m, err := predicate.Compile(t.Where)
	if err != nil || m == nil {
		return err == nil, err
	}
	series, err := r.Select(m)
	return len(series) > 0, err
}

// anySeries reports whether one of the series of r is.
func anySeries(r run.Run, is func(key []byte) bool) (bool, error) {
	all, err := r.Select(nil)
	if err != nil {
		return false, err
	}
	keys := r.Keys()
	for _, ord := range all {
		key, err := keys.Key(ord)
		if err != nil || is(key) {
			return err == nil, err
		}
	}
	return false, nil
}
