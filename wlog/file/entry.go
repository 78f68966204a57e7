package file

import (
	"context"
	"fmt"
	"time"

	"github.com/varvedb/varve/trace"
	"github.com/varvedb/varve/wlog"
)

// maxEntryBytes is the largest buffer that is kept for the next append. A body
// of ten thousand lines makes some 1 MB of frames; the few larger ones are
// better left to the collector than kept for ever.
const maxEntryBytes = 4 << 20

// entry is one append on its way to the disk.
type entry struct {
	frames  []byte
	records int
	raw     uint64 // bytes of payloads before compression
	weight  int64  // what it took of the queue's room
	deliver func(first, last wlog.Position)
	first   uint64 // set by the writer
	synced  synced // the same
	done    chan error
}

// synced is the fsync that made an append durable.
type synced struct {
	from, to time.Time
	appends  int // that it was for
}

// Append implements wlog.Log.
func (l *Log) Append(ctx context.Context, recs []wlog.Record, deliver func(first, last wlog.Position)) (err error) {
	ctx, span := trace.Start(ctx, "log append")
	defer func() { span.End(err) }()
	if len(recs) == 0 {
		return fmt.Errorf("append to log %s: no records", l.cfg.Dir)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e := l.pool.Get().(*entry)
	defer l.recycle(e)
	for i := range recs {
		if n := len(recs[i].Payload); n > wlog.MaxPayload {
			return fmt.Errorf("append to log %s: payload of %d bytes, at most %d: %w", l.cfg.Dir, n, wlog.MaxPayload, wlog.ErrTooLarge)
		}
		e.frames = appendFrame(e.frames, &recs[i])
		e.raw += uint64(len(recs[i].Payload))
	}
	e.records, e.deliver = len(recs), deliver
	// An append larger than the queue goes alone.
	e.weight = min(int64(len(e.frames)), l.cfg.QueueBytes)
	if err := l.room.Acquire(ctx, e.weight); err != nil {
		return err
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		l.room.Release(e.weight)
		return wlog.ErrClosed
	}
	l.queue = append(l.queue, e)
	l.mu.Unlock()
	l.signal()
	if err := <-e.done; err != nil {
		return err
	}
	span.Int("records", int64(e.records))
	span.Int("bytes", int64(len(e.frames)))
	span.Timed("fsync", e.synced.from, e.synced.to, trace.Number{Key: "appends", Value: int64(e.synced.appends)})
	return nil
}

func (l *Log) recycle(e *entry) {
	if cap(e.frames) > maxEntryBytes {
		return
	}
	*e = entry{frames: e.frames[:0], done: e.done}
	l.pool.Put(e)
}

// deliverGroups runs the callbacks in order and lets the callers go.
func (l *Log) deliverGroups() {
	for group := range l.delivery {
		for _, e := range group {
			if e.deliver != nil {
				e.deliver(wlog.Position{Epoch: l.epoch, Seq: e.first},
					wlog.Position{Epoch: l.epoch, Seq: e.first + uint64(e.records) - 1})
			}
			e.done <- nil
		}
	}
}
