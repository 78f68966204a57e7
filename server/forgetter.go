package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/shard"
)

// forgetEvery is how soon a name is free once its last value is physically
// gone. Whoever cannot wait asks for Settle.
const forgetEvery = time.Minute

// forgetter frees the columns of which no value is left anywhere, so that
// their names may come back with another type.
type forgetter struct {
	store   *store
	buckets *meta.Store
	schema  *meta.Schema
	log     *slog.Logger

	mu sync.Mutex // one pass at a time; guards what follows
	// done says that the last pass was complete, seen what the store had done
	// by then that makes values go.
	done bool
	seen uint64

	stop context.CancelFunc // nil: it was not started
	wg   sync.WaitGroup
}

// start makes a pass every forgetEvery until close is called.
func (f *forgetter) start() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.wg.Go(func() {
		tick := time.NewTicker(forgetEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := f.pass(ctx); err != nil && ctx.Err() == nil {
				f.log.Warn("cannot look for names that are no longer used; it will be tried again", "error", err)
			}
		}
	})
}

func (f *forgetter) close() {
	if f.stop != nil {
		f.stop()
		f.wg.Wait()
	}
}

// pass frees what can be freed. What goes wrong with one bucket keeps no other
// from it.
func (f *forgetter) pass(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := f.store.removals()
	unchanged := f.done && f.seen == gone
	var all []error
	for _, bucket := range f.schema.Buckets() {
		if _, ok := f.buckets.Bucket(meta.ID(bucket)); !ok {
			all = append(all, f.forgetBucket(ctx, bucket))
		} else if !unchanged {
			all = append(all, f.forgetColumns(ctx, bucket))
		}
	}
	err := errors.Join(all...)
	f.done, f.seen = err == nil, gone
	return err
}

// forgetBucket frees all columns of a deleted bucket once nothing has rows of
// it.
func (f *forgetter) forgetBucket(ctx context.Context, bucket uint64) error {
	snapshots, release, err := f.store.pin()
	if err != nil {
		return err
	}
	defer release()
	if slices.ContainsFunc(snapshots, func(n *shard.Snapshot) bool { return n.Has(bucket) }) {
		return nil
	}
	return f.schema.ForgetBucket(ctx, bucket)
}

// columns is the kinds of some columns by measurement and name.
type columns map[string]map[string]meta.Kind

// forgetColumns looks twice: at everything while writers go on, and, for what
// it did not find, at what was made since, while they wait. Values move from
// memtables and segments to new segments only, so that the second look is
// short.
func (f *forgetter) forgetColumns(ctx context.Context, bucket uint64) error {
	left := columns{}
	for _, m := range f.schema.Measurements(bucket) {
		left[m] = maps.Clone(f.schema.Measurement(bucket, m).Columns())
	}
	looked := make([]map[uint64]bool, len(f.store.shards))
	for i := range looked {
		looked[i] = map[uint64]bool{}
	}
	err := f.strike(bucket, left, func(shard int, segment uint64) bool {
		looked[shard][segment] = true
		return false
	})
	if err != nil {
		return err
	}
	for _, m := range slices.Sorted(maps.Keys(left)) {
		if len(left[m]) == 0 {
			continue
		}
		again := sync.OnceValues(func() (map[string]meta.Kind, error) {
			l := columns{m: maps.Clone(left[m])}
			err := f.strike(bucket, l, func(shard int, segment uint64) bool { return looked[shard][segment] })
			return l[m], err
		})
		freed, err := f.schema.Forget(ctx, bucket, m, slices.Sorted(maps.Keys(left[m])), func(name string) (bool, error) {
			l, err := again()
			return l[name] != 0, err
		})
		if len(freed) > 0 {
			f.log.Info("names are free again: no value of them is left", "bucket", meta.ID(bucket), "measurement", m, "names", freed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// strike takes out of left what has a value somewhere, but for segments to
// skip.
func (f *forgetter) strike(bucket uint64, left columns, skip func(shard int, segment uint64) bool) error {
	snapshots, release, err := f.store.pin()
	if err != nil {
		return err
	}
	defer release()
	for i, n := range snapshots {
		err := n.Sections(bucket, func(segment uint64) bool { return skip(i, segment) }, func(measurement string, r run.Run) error {
			return strikeRun(left[measurement], r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// strikeRun takes out of left what has a value in r.
func strikeRun(left map[string]meta.Kind, r run.Run) error {
	if len(left) == 0 {
		return nil
	}
	for _, field := range r.Meta().Fields {
		delete(left, field.Name)
	}
	tags := false
	for _, kind := range left {
		tags = tags || kind == meta.Tag
	}
	if !tags {
		return nil
	}
	if _, ok := r.(*segment.Section); ok {
		keys, err := r.TagKeys()
		for _, key := range keys {
			delete(left, key)
		}
		return err
	}
	// The tag keys of a memtable come from postings, which are not made before
	// a query needs them. Its first keys mostly have all tags.
	keys := r.Keys()
	for ord := range r.Meta().Series {
		key, err := keys.Key(uint32(ord))
		if err != nil {
			return fmt.Errorf("look for tags: %w", err)
		}
		for k := range column.Tags(key) {
			delete(left, string(k))
		}
		if len(left) == 0 {
			break
		}
	}
	return nil
}
