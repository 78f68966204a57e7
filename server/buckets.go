package server

import (
	"context"
	"errors"
	"log/slog"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/vfs"
)

// buckets implements httpapi.Buckets on package meta.
type buckets struct {
	meta  *meta.Store
	store *store
	log   *slog.Logger
}

// List implements httpapi.Buckets.
func (bs *buckets) List() []httpapi.Bucket {
	var all []httpapi.Bucket
	for _, b := range bs.meta.Buckets(0) {
		all = append(all, bucketOf(b))
	}
	return all
}

// Bucket implements httpapi.Buckets.
func (bs *buckets) Bucket(id uint64) (httpapi.Bucket, bool) {
	b, ok := bs.meta.Bucket(meta.ID(id))
	return bucketOf(b), ok
}

// Create implements httpapi.Buckets.
func (bs *buckets) Create(ctx context.Context, b httpapi.Bucket) (httpapi.Bucket, error) {
	made := meta.Bucket{OrgID: meta.ID(b.Org)}
	set(&made, &b)
	made, err := bs.meta.CreateBucket(ctx, made)
	return bucketOf(made), bucketError(err)
}

// Update implements httpapi.Buckets.
func (bs *buckets) Update(ctx context.Context, id uint64, change func(*httpapi.Bucket)) (httpapi.Bucket, error) {
	after, err := bs.meta.UpdateBucket(ctx, meta.ID(id), func(m *meta.Bucket) {
		b := bucketOf(*m)
		change(&b)
		set(m, &b)
	})
	return bucketOf(after), bucketError(err)
}

// Delete implements httpapi.Buckets. Segments of the bucket go when the
// compactors look next; what is in memory only, and in the log with it, is
// flushed to nowhere at once. A flush that fails is tried again by the shard.
func (bs *buckets) Delete(ctx context.Context, id uint64) error {
	if _, err := bs.meta.DeleteBucket(ctx, meta.ID(id)); err != nil {
		return bucketError(err)
	}
	for i, sh := range bs.store.shards {
		if err := sh.Flush(ctx); err != nil {
			bs.log.WarnContext(ctx, "rows of a deleted bucket stay in memory and log until the next flush", "bucket", meta.ID(id), "shard", i, "error", err)
		}
	}
	return nil
}

// Orgs implements httpapi.Buckets.
func (bs *buckets) Orgs() []httpapi.Org {
	var all []httpapi.Org
	for _, o := range bs.meta.Orgs() {
		all = append(all, httpapi.Org{ID: uint64(o.ID), Name: o.Name, Created: o.Created})
	}
	return all
}

func bucketOf(b meta.Bucket) httpapi.Bucket {
	return httpapi.Bucket{
		ID: uint64(b.ID), Org: uint64(b.OrgID), Name: b.Name, Description: b.Description,
		Retention: b.Retention, PartitionLength: b.PartitionLength, Level: string(b.Level),
		Created: b.Created, Updated: b.Updated,
		Partition: b.Partition(), Compression: string(b.Compression()), Floor: b.Floor,
	}
}

// set takes over what clients may set.
func set(m *meta.Bucket, b *httpapi.Bucket) {
	m.Name, m.Description = b.Name, b.Description
	m.Retention, m.PartitionLength, m.Level = b.Retention, b.PartitionLength, meta.Level(b.Level)
}

// bucketError makes of an error of package meta what clients are told.
func bucketError(err error) error {
	var invalid *meta.InvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return &httpapi.Error{Code: httpapi.Unprocessable, Message: invalid.Reason, Err: err}
	case errors.Is(err, meta.ErrExists):
		return &httpapi.Error{Code: httpapi.Conflict, Message: err.Error(), Err: err}
	case errors.Is(err, meta.ErrNotFound):
		return &httpapi.Error{Code: httpapi.NotFound, Message: err.Error(), Err: err}
	case vfs.IsNoSpace(err):
		return &httpapi.Error{Code: httpapi.Unavailable, Message: "no space to store the settings of buckets", Err: err}
	}
	return err
}
