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
// that an owner before this one can commit nothing more.
func (s *Shard) takeOver() (*manifest.Manifest, error) {
	m, err := s.store.Load()
	if err != nil {
		return nil, err
	}
	m = m.Clone()
	m.Epoch++
	if err := s.store.Commit(m); err != nil {
		return nil, err
	}
	return m, nil
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
		if known[name] || !strings.HasSuffix(name, ".seg") && !strings.HasSuffix(name, vfs.TempSuffix) {
			continue
		}
		if err := s.cfg.FS.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove orphan: %w", err)
		}
		s.stats.orphans.Add(1)
	}
	return nil
}

// replay applies what the log holds behind the flushed position. Damaged
// records are reported and left out; all others come back.
func (s *Shard) replay(ctx context.Context) error {
	from := s.applied.Next()
	if from.Epoch == 0 {
		from = wlog.Position{}
	}
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
	if last := s.log.Last(); last.Compare(s.applied) > 0 {
		s.applied = last // damaged records at the end
	}
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

// waitForRoom waits, without a limit in time, until memtables are below their
// limit: replay has nobody to refuse.
func (s *Shard) waitForRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		over := s.current.memtableBytes() >= s.cfg.MaxMemtableBytes
		room := s.room
		s.mu.Unlock()
		if !over {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
