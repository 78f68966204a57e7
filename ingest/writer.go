// Package ingest is the write driver: between a decoder, which knows bytes,
// and the shards, which store what they are given. Protocol adapters and
// importers call it.
//
// A write goes:
//
//  1. Rows older than the retention of the bucket, or too far ahead of the
//     clock, are left out.
//  2. The schema is held (see meta.Schema), and every column is looked up in
//     it. Rows whose field has another type, or whose name is taken by a tag
//     or field, are left out.
//  3. Columns that nobody has seen are registered, all in one commit, before
//     the first row of them is appended. Who loses a race for a name is
//     treated as in step 2.
//  4. The rest goes to its shards, and the schema is let go.
//  5. Who listens to the bucket is shown what was stored.
//
// Nothing after step 3 depends on clock, configuration or schema, so that the
// log can be replayed.
//
// A batch with nothing to leave out, on one shard, is passed on as it is; the
// caller's batch is never changed. Rejected: to strip the field in conflict
// and keep the rest of the row. InfluxDB drops the row, and half a reading is
// rarely what its sender wants to find.
//
// A Writer is safe for concurrent use.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/trace"
	"github.com/varvedb/varve/vfs"
)

// Sink stores batches: the shards of this machine, or of many.
type Sink interface {
	// Shards returns their number, which never changes.
	Shards() int
	// Write returns when b is durable and visible in a shard. It keeps
	// nothing of b. If a write cannot be taken now but may be later, the error
	// is an *UnavailableError.
	Write(ctx context.Context, shard int, bucket uint64, b *column.Batch) error
}

// Observer is shown what was stored: package live.
type Observer interface {
	// Wants reports whether anybody listens to a bucket. It is asked for each
	// batch.
	Wants(bucket uint64) bool
	// Observe is shown a batch that is durable and visible, before it is
	// acknowledged. It neither waits nor changes b, and keeps nothing of it.
	// Batches of several writers come side by side. A batch of which one shard
	// failed is not shown; its writer sends it again.
	Observe(bucket uint64, b *column.Batch)
}

// Config sets the limits of a Writer.
type Config struct {
	// MaxFuture is how far ahead of the clock a timestamp may be; 0 means any
	// distance.
	MaxFuture time.Duration
	// Observer is shown what was stored; nil: nobody is.
	Observer Observer
}

// Validate reports a limit that makes no sense.
func (c Config) Validate() error {
	if c.MaxFuture < 0 {
		return fmt.Errorf("ingest: MaxFuture is %v, want 0 (off) or more", c.MaxFuture)
	}
	return nil
}

// Writer checks and routes batches.
type Writer struct {
	cfg    Config
	schema *meta.Schema
	sink   Sink
	now    func() time.Time
	counts counts
}

// New returns a writer into sink.
func New(cfg Config, schema *meta.Schema, sink Sink, now func() time.Time) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Writer{cfg: cfg, schema: schema, sink: sink, now: now}, nil
}

// Write stores the rows of b that may be stored and returns when they are
// durable and visible. If others were left out, here or by the decoder
// (parsed), it returns a *PartialWriteError after that. Any other error means
// that some or all rows may not be stored; to write b again does no harm.
func (w *Writer) Write(ctx context.Context, bucket meta.Bucket, b *column.Batch, parsed ...Dropped) (err error) {
	ctx, span := trace.Start(ctx, "ingest")
	defer func() { span.End(err) }()
	var drops drops
	for _, d := range parsed {
		drops.add(d.Kind, d.Rows, func() string { return d.Reason })
	}
	points, err := w.write(ctx, &bucket, b, &drops)
	if err != nil {
		return err
	}
	span.Int("points", int64(points))
	return drops.err()
}

// write stores the rows of b that may be stored, and adds the others to drops.
// It returns the number of rows stored.
func (w *Writer) write(ctx context.Context, bucket *meta.Bucket, b *column.Batch, drops *drops) (points int, err error) {
	stored, err := w.store(ctx, uint64(bucket.ID), b, w.clip(bucket, b, drops), drops)
	if err != nil {
		return 0, err
	}
	if o := w.cfg.Observer; o != nil && len(stored.Tables) > 0 && o.Wants(uint64(bucket.ID)) {
		o.Observe(uint64(bucket.ID), stored)
	}
	w.counts.add(stored, drops)
	return stored.Rows(), nil
}

// store is steps 2 to 4 for what step 1 left of original. It returns what was
// stored.
func (w *Writer) store(ctx context.Context, bucket uint64, original, clipped *column.Batch, drops *drops) (*column.Batch, error) {
	w.schema.Hold()
	defer w.schema.Release()
	fit, err := w.fit(ctx, bucket, original, clipped, drops)
	if err != nil || len(fit.Tables) == 0 {
		return fit, err
	}
	return fit, w.route(ctx, bucket, fit)
}

// clip leaves out rows by their time. A table of which nothing is left is nil,
// so that the others keep their places.
func (w *Writer) clip(bucket *meta.Bucket, b *column.Batch, drops *drops) *column.Batch {
	hi := int64(math.MaxInt64)
	now := w.now()
	lo := bucket.Horizon(now)
	if at := now.UnixNano(); w.cfg.MaxFuture > 0 && at < math.MaxInt64-int64(w.cfg.MaxFuture) {
		hi = at + int64(w.cfg.MaxFuture)
	}
	if lo == math.MinInt64 && hi == math.MaxInt64 {
		return b
	}
	out := b
	for i, t := range b.Tables {
		if within(t.Time, lo, hi) {
			continue
		}
		drop := make([]bool, len(t.Time))
		old, ahead := 0, 0
		for r, at := range t.Time {
			switch {
			case at < lo:
				drop[r] = true
				old++
				if drops.each != nil {
					drops.each.add(i, r, DropRetention, fmt.Sprintf("point beyond retention policy: its time is %s, and bucket %q keeps nothing older than %s",
						instant(at), bucket.Name, instant(lo)))
				}
			case at > hi:
				drop[r] = true
				ahead++
				if drops.each != nil {
					drops.each.add(i, r, DropFuture, fmt.Sprintf("point more than %v ahead of the server's clock: its time is %s, and the server's %s",
						w.cfg.MaxFuture, instant(at), instant(now.UnixNano())))
				}
			}
		}
		drops.add(DropRetention, old, func() string { return "points beyond retention policy" })
		drops.add(DropFuture, ahead, func() string {
			return fmt.Sprintf("points more than %v ahead of the server's clock", w.cfg.MaxFuture)
		})
		out = replace(out, b, i, drops.without(i, t, drop))
	}
	return out
}

// instant writes a time for people.
func instant(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// within reports whether every time is from lo to hi. It takes no branch per
// row, since nearly every batch has to be walked to its end.
func within(times []int64, lo, hi int64) bool {
	lowest, highest := int64(math.MaxInt64), int64(math.MinInt64)
	for _, t := range times {
		lowest = min(lowest, t)
		highest = max(highest, t)
	}
	return len(times) == 0 || lowest >= lo && highest <= hi
}

// fit leaves out rows that contradict the schema and registers new columns.
// b is what clip left of original.
func (w *Writer) fit(ctx context.Context, bucket uint64, original, b *column.Batch, drops *drops) (*column.Batch, error) {
	out := b
	var fresh []meta.Column
	var again []int // tables with new columns
	for i, t := range b.Tables {
		if t == nil || w.known(bucket, t) {
			continue
		}
		t = w.settle(bucket, i, t, false, drops)
		out = replace(out, original, i, t)
		if t == nil {
			continue
		}
		n := len(fresh)
		if fresh = w.missing(bucket, t, fresh); len(fresh) > n {
			again = append(again, i)
		}
	}
	if len(fresh) > 0 {
		if err := w.schema.Register(ctx, bucket, fresh); err != nil {
			if vfs.IsNoSpace(err) {
				return nil, &UnavailableError{Reason: "no space to store the schema of new fields", RetryAfter: noSpaceRetry, Err: err}
			}
			return nil, err
		}
		for _, i := range again {
			if t := out.Tables[i]; !w.known(bucket, t) {
				out = replace(out, original, i, w.settle(bucket, i, t, true, drops))
			}
		}
	}
	return compact(out, original), nil
}

// known reports whether every column of t is registered as it is.
func (w *Writer) known(bucket uint64, t *column.Table) bool {
	if len(t.Time) == 0 {
		return false // it is taken out, so that nothing behind has to think of it
	}
	kinds := w.schema.Measurement(bucket, t.Measurement).Columns()
	for _, key := range t.TagKeys {
		if kinds[key] != meta.Tag {
			return false
		}
	}
	for i := range t.Fields {
		if kinds[t.Fields[i].Name] != meta.FieldKind(t.Fields[i].Type) {
			return false
		}
	}
	return true
}

// missing appends those columns of t that are not registered.
func (w *Writer) missing(bucket uint64, t *column.Table, all []meta.Column) []meta.Column {
	m := w.schema.Measurement(bucket, t.Measurement)
	add := func(name string, kind meta.Kind) {
		if m.Kind(name) == 0 {
			all = append(all, meta.Column{Measurement: t.Measurement, Name: name, Kind: kind})
		}
	}
	for _, key := range t.TagKeys {
		add(key, meta.Tag)
	}
	for i := range t.Fields {
		add(t.Fields[i].Name, meta.FieldKind(t.Fields[i].Type))
	}
	return all
}

// timeName is a name that neither a tag nor a field may have, as in InfluxDB:
// no query language could tell it from the timestamp.
const timeName = "time"

// settle returns t, table i of its batch, without the rows that contradict the
// schema, or nil if none is left. If final, columns that are not registered
// contradict it too: they were refused.
func (w *Writer) settle(bucket uint64, i int, t *column.Table, final bool, drops *drops) *column.Table {
	m := w.schema.Measurement(bucket, t.Measurement)
	drop := make([]bool, len(t.Time))
	n := 0
	refuse := func(kind DropKind, has func(row int) bool, reason func() string) {
		rows, why := 0, ""
		for r := range drop {
			if drop[r] || !has(r) {
				continue
			}
			drop[r] = true
			rows++
			if drops.each != nil {
				if rows == 1 {
					why = reason()
				}
				drops.each.add(i, r, kind, why)
			}
		}
		n += rows
		drops.add(kind, rows, reason)
	}
	full := func() string {
		return fmt.Sprintf("measurement %q has %d tags and fields, which is the limit (--schema-max-columns)", t.Measurement, w.schema.MaxColumns())
	}
	both := func(name string) func() string {
		return func() string {
			return fmt.Sprintf("name conflict: %q on measurement %q is both a tag and a field", name, t.Measurement)
		}
	}
	for _, key := range t.TagKeys {
		switch have := m.Kind(key); {
		case key == timeName:
			refuse(DropName, hasTag(t, key), func() string {
				return fmt.Sprintf("invalid tag key: input tag %q on measurement %q is invalid", key, t.Measurement)
			})
		case have == 0 && final:
			refuse(DropColumns, hasTag(t, key), full)
		case have != 0 && have != meta.Tag:
			refuse(DropName, hasTag(t, key), both(key))
		}
	}
	for c := range t.Fields {
		f := &t.Fields[c]
		has := f.Valid.Get
		switch have := m.Kind(f.Name); {
		case f.Name == timeName:
			refuse(DropName, has, func() string {
				return fmt.Sprintf("invalid field name: input field %q on measurement %q is invalid", f.Name, t.Measurement)
			})
		case have == 0 && final:
			refuse(DropColumns, has, full)
		case have == meta.Tag:
			refuse(DropName, has, both(f.Name))
		case have != 0 && have != meta.FieldKind(f.Type):
			refuse(DropType, has, func() string {
				return fmt.Sprintf("field type conflict: input field %q on measurement %q is type %s, already exists as type %s",
					f.Name, t.Measurement, f.Type, have)
			})
		}
	}
	if n == 0 && len(t.Time) > 0 && !empties(t) {
		return t
	}
	return drops.without(i, t, drop)
}

// empties reports whether t has a field without any value, which must not
// become part of the schema.
func empties(t *column.Table) bool {
	for i := range t.Fields {
		if t.Fields[i].Valid.Count(len(t.Time)) == 0 {
			return true
		}
	}
	return false
}

// route hands b to its shards, and waits for all of them.
func (w *Writer) route(ctx context.Context, bucket uint64, b *column.Batch) error {
	n := w.sink.Shards()
	if n == 1 {
		return w.sink.Write(ctx, 0, bucket, b)
	}
	parts := split(bucket, b, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for shard, part := range parts {
		if len(part.Tables) > 0 {
			wg.Go(func() { errs[shard] = w.sink.Write(ctx, shard, bucket, part) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}
