package shard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// takeOver loads the manifest and commits it anew under a higher epoch, so
// that an owner before this one can commit nothing more; then it removes what
// the manifest does not name.
//
// On a full disk that commit has to wait for the first one that finds room:
// what there is can be read until then. Files that the manifest does not name
// may be what fills the disk. They go before that commit if no damage to a
// single file could lead back to the state before, which may name them.
func (s *Shard) takeOver() (*manifest.Manifest, error) {
	st, err := s.store.Load()
	if err != nil {
		return nil, err
	}
	if err := s.expectSegments(st.Manifest); err != nil {
		return nil, err
	}
	for _, d := range st.Damaged {
		s.problems.add(d.File, fmt.Errorf("%w; the other copy was used and nothing is lost", d))
		s.cfg.Logger.Error("a file of the manifest is damaged; the other copy is used", "shard", s.cfg.ID, "error", d)
	}
	m := st.Manifest.Clone()
	m.Epoch++
	err = s.store.Commit(m)
	cleared := false
	if vfs.IsNoSpace(err) && st.Whole {
		if err := s.removeOrphans(m); err != nil {
			return nil, err
		}
		cleared = true
		err = s.store.Commit(m)
	}
	switch {
	case vfs.IsNoSpace(err) && st.Manifest.Number > 0:
		s.cfg.Logger.Error("the disk is full: what there is can be read, nothing can be written until there is room", "shard", s.cfg.ID, "error", err)
		took, terr := s.store.Took(m)
		if terr != nil {
			return nil, errors.Join(err, terr)
		}
		if !took {
			m.Number, m.Parent = st.Manifest.Number, st.Manifest.Parent
		}
		return m, nil
	case err != nil:
		return nil, err
	case !cleared:
		err = s.removeOrphans(m)
	}
	return m, err
}

// expectSegments refuses a folder that has segments but never had a manifest:
// it is not new, and they would be removed as orphans.
func (s *Shard) expectSegments(m *manifest.Manifest) error {
	if m.Number > 0 {
		return nil
	}
	dir := filepath.Join(s.cfg.Dir, segmentDir)
	names, err := s.cfg.FS.List(dir)
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			return fmt.Errorf("%s has no ROOT and no manifest, but segments (%s): nothing was changed; "+
				"put ROOT and manifest-* back, with segments and log from the same copy, or move the folder away to begin anew",
				s.cfg.Dir, filepath.Join(dir, name))
		}
	}
	return nil
}

// removeOrphans deletes segment files that the manifest does not name: of a
// flush or compaction that did not get to its commit, or whose inputs were
// still in use when the program ended.
func (s *Shard) removeOrphans(m *manifest.Manifest) error {
	dir := filepath.Join(s.cfg.Dir, segmentDir)
	names, err := s.cfg.FS.List(dir)
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	known := map[string]bool{}
	for i := range m.Segments {
		known[filepath.Base(s.segmentName(m.Segments[i].ID))] = true
	}
	for _, name := range names {
		if known[name] || !strings.HasSuffix(name, segmentSuffix) && !strings.HasSuffix(name, vfs.TempSuffix) {
			continue
		}
		if err := s.cfg.FS.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove orphan: %w", err)
		}
		s.stats.orphans.Add(1)
	}
	return nil
}

// openLog opens the log and returns from where on to replay it. It copes with
// a log that lost records to damage, and says so.
//
// The last group of a log may be torn where its records were flushed already,
// so that the log seems to end before the flushed position. Were it continued,
// positions would be given away a second time that the next start takes for
// flushed. So it is set aside, and one with a greater epoch begun.
func (s *Shard) openLog() (from wlog.Position, err error) {
	dir := LogDir(s.cfg.Dir)
	start := s.applied.Next()
	start.Epoch = max(start.Epoch, 1)
	if s.log, err = s.cfg.OpenLog(dir, start); err != nil {
		return from, err
	}
	if last := s.log.Last(); last.Seq < s.applied.Seq {
		lost := fmt.Errorf("log %s ends at record %s, but records up to %d are in segments: it is damaged at its end and was set aside as %s",
			dir, last, s.applied.Seq, dir+asideSuffix)
		s.problems.add(dir, lost)
		s.cfg.Logger.Error("the log lost its end; what was not flushed is lost", "error", lost)
		if err := s.log.Close(); err != nil {
			return from, err
		}
		if err := s.setLogAside(dir); err != nil {
			return from, err
		}
		start.Epoch = max(start.Epoch, last.Epoch) + 1
		if s.log, err = s.cfg.OpenLog(dir, start); err != nil {
			return from, err
		}
	}
	first := s.log.First()
	from = wlog.Position{Epoch: first.Epoch, Seq: start.Seq}
	if first.Seq > from.Seq {
		lost := fmt.Errorf("log %s begins with record %s, but segments end with record %d: what lies between is lost", dir, first, s.applied.Seq)
		s.problems.add(dir, lost)
		s.cfg.Logger.Error("the log lost its beginning", "error", lost)
		from = first
	}
	return from, nil
}

// asideSuffix ends the name of the folder where a damaged log is kept, for
// whoever wants to look at it. There is one at most.
const asideSuffix = ".damaged"

func (s *Shard) setLogAside(dir string) error {
	if err := s.cfg.FS.RemoveAll(dir + asideSuffix); err != nil {
		return fmt.Errorf("set log aside: %w", err)
	}
	if err := s.cfg.FS.Rename(dir, dir+asideSuffix); err != nil {
		return fmt.Errorf("set log aside: %w", err)
	}
	return vfs.MkdirAllSync(s.cfg.FS, dir)
}

// replay applies what the log holds from a position on. Damaged records are
// reported and left out; all others come back.
func (s *Shard) replay(ctx context.Context, from wlog.Position) error {
	r, err := s.log.Read(ctx, from, wlog.ReadOptions{OnCorrupt: func(c *wlog.CorruptError) {
		s.problems.add(c.File, c)
		s.cfg.Logger.Error("part of the log cannot be read: its records are lost", "error", c)
	}})
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	defer r.Close()
	began := s.cfg.Now()
	var b column.Batch
	records := 0
	for {
		rec, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if err := s.replayRecord(ctx, rec, &b); err != nil {
			return err
		}
		records++
	}
	s.mu.Lock()
	if last := s.log.Last(); last.Compare(s.applied) > 0 {
		s.applied = last // damaged records at the end
	}
	s.mu.Unlock()
	if records > 0 {
		s.cfg.Logger.Info("replayed the log", "shard", s.cfg.ID, "records", records, "rows", s.stats.rows.Load(),
			"duration", s.cfg.Now().Sub(began).String())
	}
	s.stats.replayed.Store(s.stats.rows.Load())
	return nil
}

func (s *Shard) replayRecord(ctx context.Context, rec wlog.Record, b *column.Batch) error {
	switch rec.Kind {
	case wlog.KindWrite:
		if err := column.DecodeBatch(b, rec.Payload); err != nil {
			return fmt.Errorf("replay record %s: %w", rec.Pos, err)
		}
		if err := s.waitForRoom(ctx); err != nil {
			return err
		}
		s.apply(rec.Bucket, b, rec.Pos, rec.Pos)
	case wlog.KindDelete:
		t, err := tombstone.Decode(rec.Payload)
		if err != nil {
			return fmt.Errorf("replay record %s: %w", rec.Pos, err)
		}
		t.Seq, t.Bucket = rec.Pos.Seq, rec.Bucket
		s.applyDelete(t, rec.Pos)
	default:
		return fmt.Errorf("replay record %s: unknown kind %d: the log is of a newer program", rec.Pos, rec.Kind)
	}
	return nil
}

// waitForRoom waits until memtables are below their limit: replay has nobody
// to refuse. If the flush fails, on a full disk for one, it goes on above the
// limit, so that what there is can be read: it is not much more than was in
// memory when the log was written.
func (s *Shard) waitForRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		over := s.current.memtableBytes() >= s.cfg.MaxMemtableBytes && s.flushErr == nil
		flushed := s.flushed
		s.mu.Unlock()
		if !over {
			return nil
		}
		select {
		case <-flushed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
