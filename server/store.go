package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

// store is the shards of this machine.
type store struct {
	shards    []*shard.Shard
	keepFree  uint64 // bytes of the volume, see shard.Config
	memtables int64  // bytes that those of one shard may have
}

// storeConfig is what opening the shards takes.
type storeConfig struct {
	disk          vfs.FS
	dir           string
	shards        int
	buckets       *meta.Store
	memtableBytes int64 // of all shards together
	caches        segment.Caches
	observeSync   func(time.Duration)
	now           func() time.Time
	log           *slog.Logger
}

// openStore opens all shards, at once: each replays its own log.
func openStore(ctx context.Context, c storeConfig) (*store, error) {
	sc := c.shard(0)
	s := &store{shards: make([]*shard.Shard, c.shards), keepFree: sc.MinFreeBytes, memtables: sc.MaxMemtableBytes}
	opening, ctx := errgroup.WithContext(ctx)
	for i := range s.shards {
		opening.Go(func() (err error) {
			s.shards[i], err = shard.Open(ctx, c.shard(i))
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// memtablesPerLimit is how many memtables of full size fit into what writers
// may fill before they wait: one that fills, one that is flushed, and half of
// one for what arrives while a flush is late.
const memtablesPerLimit = 2.5

func (c *storeConfig) shard(i int) shard.Config {
	sc := shard.Default()
	sc.FS, sc.Dir, sc.ID = c.disk, filepath.Join(c.dir, shardFolder(i)), uint32(i)
	sc.Now, sc.Logger = c.now, c.log
	sc.Caches = c.caches
	sc.MaxMemtableBytes = min(sc.MaxMemtableBytes, c.memtableBytes/int64(c.shards))
	sc.MemtableBytes = min(sc.MemtableBytes, int64(float64(sc.MaxMemtableBytes)/memtablesPerLimit))
	sc.OpenLog = func(dir string, start wlog.Position) (wlog.Log, error) {
		fc := file.Default(c.disk, dir)
		fc.Start, fc.Now, fc.ObserveSync = start, c.now, c.observeSync
		l, err := file.Open(fc)
		if err != nil {
			return nil, err // not l, which would be an interface that is not nil
		}
		return l, nil
	}
	sc.Bucket = func(id uint64) (shard.Bucket, bool) {
		b, ok := c.buckets.Bucket(meta.ID(id))
		if !ok {
			return shard.Bucket{}, false
		}
		return shard.Bucket{Retention: b.Retention, Floor: b.Floor, Partition: b.Partition(), Level: level(b.Compression())}, true
	}
	return sc
}

func level(l meta.Level) encoding.Level {
	switch l {
	case meta.LevelNone:
		return encoding.LevelNone
	case meta.LevelFast:
		return encoding.LevelFast
	case meta.LevelBest:
		return encoding.LevelBest
	}
	return encoding.LevelBalanced
}

func (s *store) close() error {
	var all []error
	for _, sh := range s.shards {
		if sh != nil {
			all = append(all, sh.Close())
		}
	}
	return errors.Join(all...)
}

// Shards implements ingest.Sink.
func (s *store) Shards() int { return len(s.shards) }

// Write implements ingest.Sink.
func (s *store) Write(ctx context.Context, i int, bucket uint64, b *column.Batch) error {
	return s.shards[i].Write(ctx, bucket, b)
}

// Delete implements httpapi.Deleter: every shard has rows of every bucket.
// If it fails for one of them the client repeats the whole, which does no
// harm.
func (s *store) Delete(ctx context.Context, t *tombstone.Tombstone) error {
	for _, sh := range s.shards {
		own := *t // the shard sets the sequence
		if err := sh.Delete(ctx, &own); err != nil {
			return passing(err)
		}
	}
	return nil
}

// Settle flushes and compacts until nothing is left to do.
func (s *store) Settle(ctx context.Context) error {
	for _, sh := range s.shards {
		if err := sh.Settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pin pins the present state of every shard until release is called.
func (s *store) pin() (all []*shard.Snapshot, release func(), err error) {
	release = func() {
		for _, n := range all {
			n.Close()
		}
	}
	for _, sh := range s.shards {
		n, err := sh.Snapshot()
		if err != nil {
			release()
			return nil, nil, err
		}
		all = append(all, n)
	}
	return all, release, nil
}

// Snapshots implements query.Store.
func (s *store) Snapshots() (all []query.Snapshot, release func(), err error) {
	pinned, release, err := s.pin()
	for _, n := range pinned {
		all = append(all, n)
	}
	return all, release, err
}

// removals counts what may have made values physically go.
func (s *store) removals() uint64 {
	var n uint64
	for _, sh := range s.shards {
		st := sh.Stats()
		n += st.Flushes + st.Compactions + st.ExpiredSegments
	}
	return n
}

// readError makes of an error of a query what clients are told: of damage,
// which file it is in and what finds the rest of it.
func (s *store) readError(err error) error {
	const advice = "; `varve check` lists all that is damaged"
	var c *segment.CorruptError
	var p *fs.PathError
	switch {
	case errors.As(err, &c):
		for _, sh := range s.shards {
			sh.Damaged(c)
		}
		return &httpapi.Error{Code: httpapi.Internal, Message: "the answer needs damaged data: " + c.Error() + advice, Err: err}
	case errors.As(err, &p):
		return &httpapi.Error{Code: httpapi.Internal, Message: "the answer needs a file that cannot be read: " + p.Error() + advice, Err: err}
	}
	return passing(err)
}

// passing makes of an error of the engine that will pass what clients are
// told, and leaves others as they are.
func passing(err error) error {
	var su *shard.UnavailableError
	if errors.As(err, &su) {
		return &httpapi.Error{Code: httpapi.Unavailable, Message: su.Reason, RetryAfter: su.RetryAfter, Err: err}
	}
	var iu *ingest.UnavailableError
	if errors.As(err, &iu) {
		return &httpapi.Error{Code: httpapi.Unavailable, Message: iu.Reason, RetryAfter: iu.RetryAfter, Err: err}
	}
	var qu *query.UnavailableError
	if errors.As(err, &qu) {
		return &httpapi.Error{Code: httpapi.Unavailable, Message: qu.Reason, RetryAfter: qu.RetryAfter, Err: err}
	}
	if errors.Is(err, shard.ErrClosed) || errors.Is(err, wlog.ErrClosed) || errors.Is(err, memory.ErrFull) {
		return &httpapi.Error{Code: httpapi.Unavailable, Message: err.Error(), Err: err}
	}
	return err
}

// schema implements httpapi.Schema on package meta.
type schema struct{ meta *meta.Schema }

// FieldTypes implements httpapi.Schema.
func (s schema) FieldTypes(bucket uint64) jsonpoints.Types {
	return func(measurement, field string) column.Type {
		t, ok := s.meta.Measurement(bucket, measurement).Kind(field).Type()
		if !ok {
			return 0 // a tag, or not there
		}
		return t
	}
}

// dropKind returns what a contradiction within a body counts as.
func dropKind(c *lineproto.Conflict) ingest.DropKind {
	if c.Kind == lineproto.TypeConflict {
		return ingest.DropType
	}
	return ingest.DropName
}

// writer implements httpapi.Writer on package ingest.
type writer struct {
	buckets *meta.Store
	ingest  *ingest.Writer
}

// Unread implements httpapi.Writer: its sender is told, and that is all.
func (w *writer) Unread(context.Context, []byte, error) error { return nil }

func (w *writer) Write(ctx context.Context, bucket uint64, b *column.Batch, left lineproto.Left) (httpapi.Refused, error) {
	settings, ok := w.buckets.Bucket(meta.ID(bucket))
	if !ok {
		return httpapi.Refused{}, &httpapi.Error{Code: httpapi.NotFound, Message: "bucket not found"}
	}
	var dropped []ingest.Dropped
	further := left.Rows // beyond the kinds that are told
	for i := range left.Conflicts {
		c := &left.Conflicts[i]
		dropped = append(dropped, ingest.Dropped{Kind: dropKind(c), Reason: c.String(), Rows: c.Rows})
		further -= c.Rows
	}
	if n := len(dropped); n > 0 {
		dropped[n-1].Rows += further
	}
	err := w.ingest.Write(ctx, settings, b, dropped...)
	var partial *ingest.PartialWriteError
	if errors.As(err, &partial) {
		return httpapi.Refused{Points: partial.Dropped, Reason: partial.Reason}, nil
	}
	return httpapi.Refused{}, passing(err)
}
