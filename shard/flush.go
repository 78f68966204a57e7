package shard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/compact"
	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/merge"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
)

// flushLoop flushes sealed memtables, oldest first, until the shard closes.
func (s *Shard) flushLoop() {
	defer s.wg.Done()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wakeFlush:
		}
		for s.ctx.Err() == nil {
			more, err := s.flushOldest()
			s.flushDone(err)
			if err != nil {
				select {
				case <-s.ctx.Done():
				case <-time.After(s.cfg.RetryAfter):
				}
				continue
			}
			if !more {
				break
			}
		}
	}
}

// flushDone tells everyone who waits how a flush went.
func (s *Shard) flushDone(err error) {
	if err != nil && s.ctx.Err() == nil {
		s.stats.flushFailures.Add(1)
		s.cfg.Logger.Error("flush failed; it will be tried again", "shard", s.cfg.ID, "error", err)
	}
	s.tellFlush(err)
}

// tellFlush wakes those who wait for a flush.
func (s *Shard) tellFlush(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushErr = err
	close(s.flushed)
	s.flushed = make(chan struct{})
	if err == nil {
		close(s.room)
		s.room = make(chan struct{})
	}
}

// flushOldest writes the oldest sealed memtable to segments, one for each
// bucket and partition, and commits them. Memtables without rows, which deletes
// in a row leave behind, go along with it. more reports whether there may be
// another.
func (s *Shard) flushOldest() (more bool, err error) {
	snap, err := s.snapshot()
	if errors.Is(err, ErrClosed) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer snap.Close()
	if len(snap.v.sealed) == 0 {
		return false, nil
	}
	began := s.cfg.Now()
	full, table := oldest(snap.v.sealed)
	files, err := s.writeTable(table, snap.v)
	if err != nil {
		s.discard(files)
		return false, fmt.Errorf("flush: %w", err)
	}
	upTo := full[len(full)-1].upTo
	err = s.commit(func(cur *version, m *manifest.Manifest) draft {
		m.Flushed = upTo
		for _, f := range full {
			m.Tombstones = append(m.Tombstones, f.tombstones...)
		}
		for _, f := range files {
			m.Segments = append(m.Segments, f.entry)
		}
		s.limitCursors(m)
		return newDraft(m, append(slices.Clone(cur.segments), files...), len(full))
	})
	if err != nil {
		s.discardUncommitted(files, err)
		return false, fmt.Errorf("flush: %w", err)
	}
	s.flushCommitted(table, files, began)
	return true, nil
}

// oldest returns the first of seals up to, not including, the second that has
// rows, and the table of the one that does.
func oldest(seals []*sealed) ([]*sealed, *memtable.Memtable) {
	table := seals[0].table
	for i, f := range seals {
		if f.table.Rows() == 0 {
			continue
		}
		if table.Rows() > 0 && table != f.table {
			return seals[:i], table
		}
		table = f.table
	}
	return seals, table
}

func (s *Shard) flushCommitted(table *memtable.Memtable, files []*segmentFile, began time.Time) {
	now := s.cfg.Now()
	s.mu.Lock()
	for _, f := range files {
		s.lastNew[f.entry.Partition()] = now
		s.stats.flushedBytes.Add(uint64(f.entry.Size))
	}
	s.mu.Unlock()
	s.stats.flushes.Add(1)
	s.stats.flushedRows.Add(uint64(table.Rows()))
	s.stats.flushTime.Add(int64(now.Sub(began)))
	s.tellDropped()
	s.trim()
	s.cfg.Logger.Debug("flushed", "shard", s.cfg.ID, "rows", table.Rows(), "segments", len(files), "duration", now.Sub(began).String())
	s.wakeCompactors()
}

// writeTable writes the rows of a memtable to segment files. The files are
// returned on an error too, for the caller to discard.
func (s *Shard) writeTable(table *memtable.Memtable, v *version) ([]*segmentFile, error) {
	var files []*segmentFile
	first, last := table.Seqs()
	for _, id := range table.Buckets() {
		b, ok := s.cfg.Bucket(id)
		if !ok {
			continue // deleted: its rows go nowhere
		}
		job, err := s.flushJob(v, table, id, b)
		if err != nil {
			return files, err
		}
		made, err := s.runJob(job, manifest.Segment{Bucket: id, MinSeq: first, MaxSeq: last, Applied: lastTombstone(v)}, b)
		files = append(files, made...)
		if err != nil {
			return files, err
		}
	}
	return files, nil
}

// flushJob describes the flush of one bucket of a memtable.
func (s *Shard) flushJob(v *version, table *memtable.Memtable, bucket uint64, b Bucket) (*compact.Job, error) {
	_, last := table.Seqs()
	job := &compact.Job{Horizon: s.horizon(b), Pause: func(ctx context.Context) error { return ctx.Err() }}
	for _, name := range table.Measurements(bucket) {
		view := table.View(bucket, name, last)
		if view == nil {
			continue
		}
		meta := view.Meta()
		hidden, err := tombstone.Select(v.tombstones, bucket, name, meta.MinTime, meta.MaxTime, meta.MaxSeq)
		if err != nil {
			return nil, err
		}
		job.Sections = append(job.Sections, compact.Section{Measurement: name, Inputs: []merge.Input{{Run: view, Hidden: hidden}}})
	}
	plan := newPartitioner(v.manifest.Partitions, bucket, b.Partition)
	job.Open = func(t int64) (*compact.Output, error) {
		p := plan.at(t)
		return &compact.Output{Min: p.Min, Max: p.Max}, nil
	}
	return job, nil
}

// runJob runs a job whose outputs become new segments like the template.
// Files are returned on an error too.
func (s *Shard) runJob(job *compact.Job, template manifest.Segment, b Bucket) ([]*segmentFile, error) {
	type open struct {
		out   *compact.Output
		file  vfs.File
		entry manifest.Segment
	}
	var opened []open
	var files []*segmentFile
	place := job.Open
	job.Open = func(t int64) (*compact.Output, error) {
		o, err := place(t)
		if err != nil {
			return nil, err
		}
		e := template
		e.ID, e.PartMin, e.PartMax, e.Kind, e.Encoding = s.nextSegmentID(), o.Min, o.Max, manifest.KindRaw, segmentEncoding
		file, err := s.cfg.FS.Create(s.segmentName(e.ID))
		if err != nil {
			return nil, fmt.Errorf("create segment: %w", err)
		}
		opened = append(opened, open{o, file, e})
		files = append(files, &segmentFile{entry: e, name: s.segmentName(e.ID)})
		o.Writer = segment.NewWriter(file, segment.WriterOptions{
			Level: b.Level, Bucket: e.Bucket, PartMin: e.PartMin, PartMax: e.PartMax, MinSeq: e.MinSeq, MaxSeq: e.MaxSeq,
		})
		return o, nil
	}
	err := job.Run(s.ctx)
	for i, o := range opened {
		if ferr := finishSegment(o.out.Writer, o.file, &files[i].entry, err == nil); err == nil {
			err = ferr
		}
	}
	if err == nil && len(files) > 0 {
		err = vfs.SyncDir(s.cfg.FS, filepath.Join(s.cfg.Dir, segmentDir))
	}
	if err != nil {
		return files, err
	}
	for _, f := range files {
		if err := f.open(s.cfg.FS, s.cfg.Caches); err != nil {
			return files, err
		}
	}
	return files, nil
}

// finishSegment completes a file, makes it durable if good, and closes it.
func finishSegment(w *segment.Writer, file vfs.File, e *manifest.Segment, good bool) error {
	var err error
	if good {
		var info segment.Info
		if info, err = w.Finish(); err == nil {
			e.MinTime, e.MaxTime = info.MinTime, info.MaxTime
			e.Rows, e.Values, e.Size, e.Checksum = info.Rows, info.Values, info.Size, info.Checksum
			err = file.Sync()
		}
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write segment %016x: %w", e.ID, err)
	}
	return nil
}

// segmentEncoding is the version of the segment format that is written.
const segmentEncoding = 1

// discard removes files that no manifest names.
func (s *Shard) discard(files []*segmentFile) {
	for _, f := range files {
		s.removeSegment(f)
	}
}

// discardUncommitted removes files whose commit failed with err. If nobody
// knows whether it did, they stay: the manifest may name them. Should it not,
// the next start finds them as orphans.
func (s *Shard) discardUncommitted(files []*segmentFile, err error) {
	if !errors.Is(err, errInDoubt) {
		s.discard(files)
		return
	}
	for _, f := range files {
		_ = f.file.Close() // opened for reading: there is nothing to lose
	}
}

// nextSegmentID returns an id that no segment ever had. It counts on from the
// manifest, which records it with the next commit.
func (s *Shard) nextSegmentID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID = max(s.lastID+1, s.current.manifest.NextSegment)
	return s.lastID
}

// horizon is the oldest time that a bucket keeps.
func (s *Shard) horizon(b Bucket) int64 {
	h := int64(math.MinInt64)
	if b.Floor != 0 {
		h = b.Floor
	}
	if b.Retention > 0 {
		h = max(h, s.cfg.Now().Add(-b.Retention).UnixNano())
	}
	return h
}

// lastTombstone returns the sequence of the newest tombstone of v.
func lastTombstone(v *version) uint64 {
	if n := len(v.tombstones); n > 0 {
		return v.tombstones[n-1].Seq
	}
	return 0
}

// commit changes the manifest and installs the version that goes with it.
// change gets the current version and a copy of its manifest to edit.
func (s *Shard) commit(change func(cur *version, m *manifest.Manifest) draft) error {
	return s.tryCommit(func(cur *version, m *manifest.Manifest) (draft, error) { return change(cur, m), nil })
}

// tryCommit is commit, unless change finds a reason against it.
func (s *Shard) tryCommit(change func(cur *version, m *manifest.Manifest) (draft, error)) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	cur := s.current
	cur.refs.Add(1)
	m := cur.manifest.Clone()
	m.NextSegment = max(m.NextSegment, s.lastID+1)
	s.mu.Unlock()
	defer s.release(cur)

	d, err := change(cur, m)
	if err != nil {
		return err
	}
	if err := s.commitDurably(m); err != nil {
		return err
	}

	// Memtables may have been sealed in the meantime, so what was not part of
	// the commit is taken from the version that is current now.
	s.mu.Lock()
	now := s.current
	seals := now.sealed[d.flushed:]
	tombstones := slices.Clone(m.Tombstones)
	for _, f := range seals {
		tombstones = append(tombstones, f.tombstones...)
	}
	release := s.install(newVersion(m, d.segments, seals, now.active, tombstones))
	s.mu.Unlock()
	release()
	return nil
}

// draft is what a commit makes of the current version.
type draft struct {
	segments []*segmentFile // in the order of the manifest
	flushed  int            // how many of the oldest sealed memtables it contains
}

// newDraft puts m into its final order and files into the same.
func newDraft(m *manifest.Manifest, files []*segmentFile, flushed int) draft {
	m.Normalize()
	byID := map[uint64]*segmentFile{}
	for _, f := range files {
		byID[f.entry.ID] = f
	}
	d := draft{flushed: flushed}
	for i := range m.Segments {
		d.segments = append(d.segments, byID[m.Segments[i].ID])
	}
	return d
}

// errInDoubt says that a commit may or may not have taken place.
var errInDoubt = errors.New("it is not known whether the commit took place")

// commitDurably commits m. When the store cannot say whether the commit took
// place, it finds out, and if it did, or nobody can tell, goes on trying to
// make it durable: until then neither the old state nor the new one may be
// built upon. An error that is not errInDoubt means that the old state stands.
func (s *Shard) commitDurably(m *manifest.Manifest) error {
	err := s.store.Commit(m)
	if err == nil {
		return nil
	}
	if errors.Is(err, manifest.ErrUnchanged) {
		return err
	}
	doubted := false
	for {
		took, then := s.store.Took(m)
		if errors.Is(then, manifest.ErrFenced) {
			// A newer owner, whose state may have been built upon this one.
			return fmt.Errorf("%w: %w", errInDoubt, err)
		}
		if then == nil && !took {
			return err // the old state stands
		}
		if then = s.store.Secure(m); then == nil {
			if doubted {
				s.tellFlush(nil) // what was said below is no longer so
			}
			return nil
		}
		s.cfg.Logger.Error("a commit is in doubt; it will be tried again", "shard", s.cfg.ID, "error", err, "then", then)
		s.stats.doubts.Add(1)
		s.tellFlush(err)
		doubted = true
		select {
		case <-s.ctx.Done():
			return fmt.Errorf("%w: %w", errInDoubt, err)
		case <-time.After(s.cfg.RetryAfter):
		}
	}
}

// partitioner decides in which partition rows of a bucket go.
type partitioner struct {
	known  []manifest.Partition // of the bucket, ascending
	bucket uint64
	length int64
	made   int
}

// maxThin is how many new partitions of the configured length one flush makes
// for a bucket. Rows that lie in further ones share longer partitions, so that
// an import of decades does not end in thousands of tiny segments.
const maxThin = 64

// coarser is by how much longer partitions get each time maxThin are made.
const coarser = 8

func newPartitioner(all []manifest.Partition, bucket uint64, length time.Duration) *partitioner {
	p := &partitioner{bucket: bucket, length: int64(length)}
	if p.length <= 0 {
		p.length = int64(7 * 24 * time.Hour) // the default of buckets without retention
	}
	for _, q := range all {
		if q.Bucket == bucket {
			p.known = append(p.known, q)
		}
	}
	return p
}

// at returns the partition for time t, a known one or a new one between its
// neighbours.
func (p *partitioner) at(t int64) manifest.Partition {
	i, found := slices.BinarySearchFunc(p.known, t, func(q manifest.Partition, t int64) int {
		switch {
		case q.Max < t:
			return -1
		case q.Min > t:
			return 1
		}
		return 0
	})
	if found {
		return p.known[i]
	}
	if p.made++; p.made%maxThin == 0 && p.length < math.MaxInt64/coarser {
		p.length *= coarser
	}
	q := manifest.Partition{Bucket: p.bucket, Min: floorTo(t, p.length)}
	q.Max = q.Min + p.length - 1
	if q.Max < q.Min || q.Max > column.MaxTime {
		q.Max = column.MaxTime
	}
	if i > 0 {
		q.Min = max(q.Min, p.known[i-1].Max+1)
	}
	if i < len(p.known) {
		q.Max = min(q.Max, p.known[i].Min-1)
	}
	p.known = slices.Insert(p.known, i, q)
	return q
}

// floorTo returns the multiple of length at or below t, or the least time
// there is.
func floorTo(t, length int64) int64 {
	r := t % length
	if r < 0 {
		r += length
	}
	if t < math.MinInt64+r {
		return math.MinInt64
	}
	return t - r
}
