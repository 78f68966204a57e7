package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/varvedb/varve/compact"
	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/merge"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/wlog"
)

// compactEvery is how often the compactor looks for work that no flush
// announces: partitions that fell idle, rows that grew too old.
const compactEvery = 5 * time.Second

// compactors is how many goroutines merge. While the first is busy with
// large segments for long, the second merges the small ones that flushes go on
// adding.
const compactors = 2

// smallMerge is the size up to which the second merges: a second of work.
const smallMerge = 64 << 20

// compactLoop merges segments until the shard closes.
func (s *Shard) compactLoop(worker int) {
	defer s.wg.Done()
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wakeCompact[worker]:
		case <-tick.C:
		}
		for s.ctx.Err() == nil {
			more, err := s.compactOnce(worker)
			if err != nil && s.ctx.Err() == nil {
				s.stats.compactionFailures.Add(1)
				s.cfg.Logger.Error("compaction failed; it will be tried again", "shard", s.cfg.ID, "error", err)
			}
			if !more {
				break
			}
		}
	}
}

// setback says how often the merge of a partition failed and when it may be
// tried again.
type setback struct {
	failures int
	until    time.Time
}

// maxSetbacks bounds the doubling of the time between attempts: with a second
// for the first, two minutes.
const maxSetbacks = 8

// putAside makes a failed merge give way, so that what cannot be merged keeps
// nothing else from it. A damaged segment is reported and not merged again;
// damage does not go away. After any other error, which may pass, the
// partition rests for a while.
func (s *Shard) putAside(t task, err error) (damaged bool) {
	var c *segment.CorruptError
	if errors.As(err, &c) {
		for _, f := range t.segments {
			if f.name == c.File {
				f.damaged.Store(true)
				s.problems.add(c.File, c)
				return true
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.aside[t.part].failures+1, maxSetbacks)
	s.aside[t.part] = setback{n, s.cfg.Now().Add(s.cfg.RetryAfter << (n - 1))}
	return false
}

// isAside reports whether a partition is left alone.
func (s *Shard) isAside(p manifest.Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.aside[p]
	return ok && s.cfg.Now().Before(b.until)
}

// task is a merge that was decided on.
type task struct {
	compact.Range
	part     manifest.Partition
	segments []*segmentFile // of the range
}

// compactOnce drops what retention or a deleted bucket lets go, or does the
// most urgent merge. more reports whether to look for another at once.
func (s *Shard) compactOnce(worker int) (more bool, err error) {
	if worker == 0 {
		if err := s.dropExpired(); err != nil {
			return false, err
		}
		if err := s.passDeletes(); err != nil {
			return false, err
		}
	}
	snap, t, ok, err := s.claimTask(worker)
	if err != nil || !ok {
		return false, err
	}
	defer snap.Close()
	err = s.compact(snap.v, t)
	s.yieldTask(t)
	if err != nil {
		return s.ctx.Err() == nil && s.putAside(t, err), fmt.Errorf("compact %d segments of bucket %016x (%s): %w", len(t.segments), t.part.Bucket, t.Reason, err)
	}
	s.mu.Lock()
	delete(s.aside, t.part)
	s.mu.Unlock()
	return true, nil
}

// claimTask decides on a merge and keeps other workers from its segments. The
// snapshot, which is the caller's to close, is taken under the same lock as
// the segments are claimed and yielded, so that no worker goes by a state from
// before another's commit without seeing that other's claim.
func (s *Shard) claimTask(worker int) (*Snapshot, task, bool, error) {
	s.claimMu.Lock()
	defer s.claimMu.Unlock()
	snap, err := s.snapshot()
	if err != nil {
		return nil, task{}, false, err
	}
	t, ok := s.nextTask(snap.v, worker)
	if worker == 0 {
		s.stats.backlog.Store(int64(len(t.segments)))
	}
	if !ok {
		snap.Close()
		return nil, task{}, false, nil
	}
	for _, f := range t.segments {
		s.claimed[f.entry.ID] = true
	}
	return snap, t, true, nil
}

// yieldTask gives up the claim on the segments of a task that has ended.
func (s *Shard) yieldTask(t task) {
	s.claimMu.Lock()
	defer s.claimMu.Unlock()
	for _, f := range t.segments {
		delete(s.claimed, f.entry.ID)
	}
}

// nextTask looks through all partitions, those with most segments first. The
// caller holds claimMu.
func (s *Shard) nextTask(v *version, worker int) (task, bool) {
	parts := slices.DeleteFunc(slices.Clone(v.manifest.Partitions), s.isAside)
	files := byPartition(v)
	slices.SortStableFunc(parts, func(a, b manifest.Partition) int {
		return cmp.Compare(len(files[b]), len(files[a]))
	})
	applied := map[uint64]uint64{} // passDeletes raises it in the manifest alone
	for i := range v.manifest.Segments {
		applied[v.manifest.Segments[i].ID] = v.manifest.Segments[i].Applied
	}
	settle := s.settling.Load() > 0
	rules := []func(p manifest.Partition, entries []manifest.Segment) compact.Range{
		func(_ manifest.Partition, entries []manifest.Segment) compact.Range {
			return s.cfg.Compaction.Pick(entries)
		},
		func(_ manifest.Partition, entries []manifest.Segment) compact.Range {
			return s.cfg.Compaction.PickDeleted(entries, v.tombstones)
		},
		func(p manifest.Partition, entries []manifest.Segment) compact.Range {
			if !settle && !s.idle(p) {
				return compact.Range{}
			}
			return s.cfg.Compaction.PickIdle(entries)
		},
	}
	if worker > 0 {
		// Where what is due is too large for it, it keeps the partition from
		// growing crowded until the first worker comes to that.
		rules = []func(p manifest.Partition, entries []manifest.Segment) compact.Range{rules[0],
			func(_ manifest.Partition, entries []manifest.Segment) compact.Range {
				return s.cfg.Compaction.PickCrowded(entries)
			}}
	}
	for _, pick := range rules {
		for _, p := range parts {
			entries := make([]manifest.Segment, len(files[p]))
			for i, f := range files[p] {
				entries[i] = f.entry
				entries[i].Applied = applied[f.entry.ID]
				if f.err != nil || f.damaged.Load() || s.claimed[f.entry.ID] {
					// Merging around a file that cannot be read, or is being
					// merged, would give its neighbours a range of sequences
					// that contains its own. A full one without deleted rows
					// is what the policy leaves alone, on either side of which
					// it goes on.
					entries[i].Size, entries[i].Applied = math.MaxInt64, math.MaxUint64
				}
			}
			if r := pick(p, entries); !r.Empty() && (worker == 0 || sizeOf(entries[r.Lo:r.Hi]) <= smallMerge) {
				return task{r, p, files[p][r.Lo:r.Hi]}, true
			}
		}
	}
	return task{}, false
}

func sizeOf(entries []manifest.Segment) (n int64) {
	for _, e := range entries {
		n += e.Size
	}
	return n
}

func byPartition(v *version) map[manifest.Partition][]*segmentFile {
	out := map[manifest.Partition][]*segmentFile{}
	for _, f := range v.segments {
		p := f.entry.Partition()
		out[p] = append(out[p], f)
	}
	return out
}

// idle reports whether no flush has touched a partition for a while.
func (s *Shard) idle(p manifest.Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.lastNew[p]
	return !ok || s.cfg.Now().Sub(last) >= s.cfg.IdleAfter
}

// compact merges the segments of t into one and commits it in their place.
func (s *Shard) compact(v *version, t task) error {
	b, ok := s.cfg.Bucket(t.part.Bucket)
	if !ok {
		return nil // dropExpired removes it
	}
	began := s.cfg.Now()
	template := manifest.Segment{Bucket: t.part.Bucket, MinSeq: math.MaxUint64, Applied: lastTombstone(v)}
	var in int64
	for _, f := range t.segments {
		template.MinSeq = min(template.MinSeq, f.entry.MinSeq)
		template.MaxSeq = max(template.MaxSeq, f.entry.MaxSeq)
		in += f.entry.Size
	}
	job, err := s.compactJob(v, t, b)
	if err != nil {
		return err
	}
	files, err := s.runJob(job, template, b)
	if err != nil {
		s.discard(files)
		return err
	}
	if err := s.replace(t.segments, files); err != nil {
		s.discardUncommitted(files, err)
		return err
	}
	s.stats.compactions.Add(1)
	s.stats.compactedRows.Add(uint64(job.Rows))
	s.stats.compactionTime.Add(int64(s.cfg.Now().Sub(began)))
	var out int64
	for _, f := range files {
		out += f.entry.Size
	}
	s.stats.compactedBytes.Add(uint64(out))
	s.cfg.Logger.Debug("compacted", "shard", s.cfg.ID, "reason", t.Reason, "segments", len(t.segments), "bytes_in", in, "bytes_out", out,
		"rows", job.Rows, "duration", s.cfg.Now().Sub(began).String())
	return nil
}

// compactJob describes the merge of all measurements of t's segments.
func (s *Shard) compactJob(v *version, t task, b Bucket) (*compact.Job, error) {
	job := &compact.Job{Horizon: s.horizon(b), Pause: s.pacer(t.part)}
	var names []string
	for _, f := range t.segments {
		names = append(names, f.reader.Measurements()...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		sec := compact.Section{Measurement: name}
		for _, f := range t.segments {
			r, ok := f.reader.Section(name)
			if !ok {
				continue
			}
			hidden, err := tombstone.Select(v.tombstones, f.entry.Bucket, name, f.entry.MinTime, f.entry.MaxTime,
				max(f.entry.MaxSeq, f.entry.Applied))
			if err != nil {
				return nil, err
			}
			sec.Inputs = append(sec.Inputs, merge.Input{Run: r.Once(), Hidden: hidden})
		}
		job.Sections = append(job.Sections, sec)
	}
	job.Open = func(int64) (*compact.Output, error) {
		return &compact.Output{Min: t.part.Min, Max: t.part.Max}, nil
	}
	return job, nil
}

// pacer returns a function that lets others go first: compaction rests for
// part of the time that it works while writes or deletes are under way, and
// not at all while nobody else wants the processor, someone waits for it, or
// it falls behind in the partition.
func (s *Shard) pacer(p manifest.Partition) func(ctx context.Context) error {
	last := time.Now()
	calls, behind := 0, false
	return func(ctx context.Context) error {
		if calls%lookEvery == 0 {
			behind = s.isBehind(p)
		}
		calls++
		if !behind && s.busy.Load() > 0 && s.settling.Load() == 0 {
			worked := time.Since(last)
			time.Sleep(min(worked/restShare, maxRest))
		}
		last = time.Now()
		return ctx.Err()
	}
}

// isBehind reports whether a partition has more than half the segments that it
// may have.
func (s *Shard) isBehind(p manifest.Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i := range s.current.manifest.Segments {
		if s.current.manifest.Segments[i].Partition() == p {
			n++
		}
	}
	return n > s.cfg.Compaction.MaxSegments/2
}

const (
	// restShare is the part of its working time that compaction rests: a
	// fifth, so that it still keeps up with ingest at full rate.
	restShare = 4
	// maxRest bounds a rest that a slow disk, not work, has made long.
	maxRest = 5 * time.Millisecond
	// lookEvery is how many calls of Pause, of about a millisecond each, pass
	// between two looks at the number of segments.
	lookEvery = 64
)

// replace commits files in the place of old.
func (s *Shard) replace(old, files []*segmentFile) error {
	gone := map[uint64]bool{}
	for _, f := range old {
		gone[f.entry.ID] = true
	}
	return s.commit(func(cur *version, m *manifest.Manifest) draft {
		m.Segments = slices.DeleteFunc(m.Segments, func(e manifest.Segment) bool { return gone[e.ID] })
		keep := slices.DeleteFunc(slices.Clone(cur.segments), func(f *segmentFile) bool { return gone[f.entry.ID] })
		for _, f := range files {
			m.Segments = append(m.Segments, f.entry)
		}
		return newDraft(m, append(keep, files...), 0)
	})
}

// dropExpired removes segments whose rows are all older than retention or
// whose bucket was deleted. Segments that are partly too old lose those rows
// when they are next merged; queries do not see them in any case.
func (s *Shard) dropExpired() error {
	s.mu.Lock()
	v := s.current
	v.refs.Add(1)
	s.mu.Unlock()
	defer s.release(v)
	old := s.expired(v)
	if len(old) == 0 {
		return nil
	}
	if err := s.replace(old, nil); err != nil {
		return fmt.Errorf("drop expired segments: %w", err)
	}
	s.stats.expired.Add(uint64(len(old)))
	s.cfg.Logger.Info("dropped segments that retention lets go", "shard", s.cfg.ID, "segments", len(old))
	return nil
}

// expired returns the segments that dropExpired removes.
func (s *Shard) expired(v *version) []*segmentFile {
	var old []*segmentFile
	for _, f := range v.segments {
		if b, ok := s.cfg.Bucket(f.entry.Bucket); !ok || f.entry.MaxTime < s.horizon(b) {
			old = append(old, f)
		}
	}
	return old
}

// Flush seals the memtable and returns when all that was visible is in
// segments. It does not wait for what is written meanwhile.
func (s *Shard) Flush(ctx context.Context) error {
	s.sealActive()
	s.mu.Lock()
	goal := manifest.Position{}
	if n := len(s.current.sealed); n > 0 {
		goal = s.current.sealed[n-1].upTo
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		at, done, closed := s.current.manifest.Flushed, s.flushed, s.closed
		s.mu.Unlock()
		if closed {
			return ErrClosed
		}
		if wlog.Position(at).Compare(wlog.Position(goal)) >= 0 {
			return nil
		}
		wake(s.wakeFlush)
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		}
		s.mu.Lock()
		err := s.flushErr
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// settlePoll is how often Settle looks whether the compactor has found its
// end.
const settlePoll = 10 * time.Millisecond

// Settle flushes and merges until there is nothing left to do, as it would be
// after a time without writes.
func (s *Shard) Settle(ctx context.Context) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	s.settling.Add(1)
	defer s.settling.Add(-1)
	for {
		snap, err := s.snapshot()
		if err != nil {
			return err
		}
		s.claimMu.Lock()
		_, more := s.nextTask(snap.v, 0)
		more = more || len(s.claimed) > 0
		s.claimMu.Unlock()
		more = more || len(s.expired(snap.v)) > 0
		snap.Close()
		if !more {
			return nil
		}
		failed := s.stats.failures()
		s.wakeCompactors()
		select {
		case <-time.After(settlePoll):
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		}
		if s.stats.failures() > failed {
			return fmt.Errorf("settle: compaction failed; the log of the server says why")
		}
	}
}
