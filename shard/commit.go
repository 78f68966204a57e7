package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/trace"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// recordBytes is how large a record of the log gets: small enough that a torn
// one loses little and that it fits a message of a replicated log, large
// enough that the dictionary of series in each is spread over many rows.
const recordBytes = 256 << 10

// Write makes b durable and visible. The batch may be used again when it
// returns. Times outside column.MinTime and column.MaxTime are refused.
func (s *Shard) Write(ctx context.Context, bucket uint64, b *column.Batch) (err error) {
	ctx, span := trace.Start(ctx, "shard write")
	defer func() { span.End(err) }()
	span.Int("shard", int64(s.cfg.ID))
	s.busy.Add(1)
	defer s.busy.Add(-1)
	if err := checkTimes(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := s.admit(ctx, true); err != nil {
		return err
	}
	now := s.cfg.Now().UnixNano()
	e := s.stats.encoders.Get().(*column.Encoder)
	defer s.stats.encoders.Put(e)
	var recs []wlog.Record
	e.Encode(b, recordBytes, func(payload []byte) {
		recs = append(recs, wlog.Record{Kind: wlog.KindWrite, Shard: s.cfg.ID, Bucket: bucket, CommitTime: now, Payload: payload})
	})
	if len(recs) == 0 {
		return nil
	}
	err = s.log.Append(ctx, recs, func(first, last wlog.Position) {
		_, applying := trace.Start(ctx, "apply")
		s.apply(bucket, b, first, last)
		applying.End(nil)
	})
	for i := range recs {
		e.Recycle(recs[i].Payload) // the log is done with it
	}
	return s.appendError(err)
}

func checkTimes(b *column.Batch) error {
	for _, t := range b.Tables {
		for _, at := range t.Time {
			if at < column.MinTime || at > column.MaxTime {
				return fmt.Errorf("measurement %q: time %d is outside the range from %d to %d", t.Measurement, at, column.MinTime, column.MaxTime)
			}
		}
	}
	return nil
}

// Delete makes a tombstone durable and applies it. It sets t.Seq.
func (s *Shard) Delete(ctx context.Context, t *tombstone.Tombstone) (err error) {
	ctx, span := trace.Start(ctx, "shard delete")
	defer func() { span.End(err) }()
	span.Int("shard", int64(s.cfg.ID))
	s.busy.Add(1)
	defer s.busy.Add(-1)
	payload, err := t.Encode()
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	// A full disk is a reason to delete: what is kept free is enough for it.
	if err := s.admit(ctx, false); err != nil {
		return err
	}
	rec := wlog.Record{Kind: wlog.KindDelete, Shard: s.cfg.ID, Bucket: t.Bucket, CommitTime: s.cfg.Now().UnixNano(), Payload: payload}
	err = s.log.Append(ctx, []wlog.Record{rec}, func(_, last wlog.Position) {
		t.Seq = last.Seq
		s.applyDelete(t, last)
	})
	return s.appendError(err)
}

// appendError turns an error of the log into what the client is told.
func (s *Shard) appendError(err error) error {
	switch {
	case err == nil:
		return nil
	case vfs.IsNoSpace(err):
		s.wakeCompactors()
		return &UnavailableError{Reason: "the disk is full", RetryAfter: 10 * time.Second, Err: err}
	case errors.Is(err, wlog.ErrFailed):
		return &UnavailableError{Reason: "the log cannot be written", RetryAfter: 5 * time.Second, Err: err}
	case errors.Is(err, wlog.ErrClosed):
		return ErrClosed
	}
	return fmt.Errorf("append to log: %w", err)
}

// maxSealed is how many sealed memtables may wait for the flush. Deletes seal
// small ones, each of which the flush commits by itself; without a bound, their
// number would grow for as long as deletes come faster than that.
const maxSealed = 256

// admit waits until there is room in memory for another batch, and if it
// grows, on disk.
func (s *Shard) admit(ctx context.Context, grows bool) error {
	var timeout <-chan time.Time
	for {
		s.mu.Lock()
		closed, full, room, flushErr := s.closed, s.full, s.room, s.flushErr
		over := s.current.memtableBytes() >= s.cfg.MaxMemtableBytes || len(s.current.sealed) >= maxSealed
		s.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case full != "" && grows:
			s.stats.refused.Add(1)
			return &UnavailableError{Reason: full, RetryAfter: 10 * time.Second}
		case !over:
			return nil
		}
		s.stats.stalls.Add(1)
		if timeout == nil {
			t := time.NewTimer(s.cfg.WriteWait)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		case <-timeout:
			s.stats.refused.Add(1)
			return &UnavailableError{Reason: "memtables are full and the flush does not keep up", RetryAfter: 5 * time.Second, Err: flushErr}
		}
	}
}

// apply makes a durable batch visible.
func (s *Shard) apply(bucket uint64, b *column.Batch, first, last wlog.Position) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	s.mu.Lock()
	active := s.current.active
	s.mu.Unlock()
	active.Apply(bucket, b, first.Seq, last.Seq)
	s.mu.Lock()
	s.applied = last
	s.mu.Unlock()
	s.stats.rows.Add(uint64(b.Rows()))
	if active.Bytes() >= s.cfg.MemtableBytes {
		s.seal(last, nil)
	}
}

// applyDelete makes a durable delete visible.
func (s *Shard) applyDelete(t *tombstone.Tombstone, at wlog.Position) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	s.seal(at, t)
	s.stats.deletes.Add(1)
}

// seal puts a fresh memtable in the place of the active one. t, if not nil,
// is a delete at position at that comes directly behind it. The caller holds
// applyMu.
func (s *Shard) seal(at wlog.Position, t *tombstone.Tombstone) {
	s.mu.Lock()
	cur := s.current
	full := &sealed{table: cur.active, upTo: manifest.Position(at)}
	tombstones := cur.tombstones
	if t != nil {
		full.tombstones = []*tombstone.Tombstone{t}
		tombstones = withTombstone(tombstones, t)
	}
	seals := append(append(make([]*sealed, 0, len(cur.sealed)+1), cur.sealed...), full)
	s.applied = at
	release := s.install(newVersion(cur.manifest, cur.segments, seals, memtable.New(), tombstones))
	s.mu.Unlock()
	release()
	wake(s.wakeFlush)
}

// sealActive seals the memtable if it has rows.
func (s *Shard) sealActive() {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	s.mu.Lock()
	empty, at := s.current.active.Rows() == 0, s.applied
	s.mu.Unlock()
	if !empty {
		s.seal(at, nil)
	}
}
