package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/tombstone"
)

// deadLetterRetention is how long refused messages are kept in a bucket that the
// server makes for them: long enough for somebody to come back from a holiday.
const deadLetterRetention = 90 * 24 * time.Hour

// pipelineStore implements pipeline.Store on package ingest.
type pipelineStore struct {
	meta        *meta.Store
	schema      schema
	ingest      *ingest.Writer
	store       *store
	org, bucket string // that the server began with

	mu sync.Mutex // held while a bucket is made
}

// Bucket implements pipeline.Store. The bucket of refused messages is made when
// it is missing, so that there is always a place for them.
func (p *pipelineStore) Bucket(org, name string) (uint64, error) {
	if org == "" {
		org = p.org
	}
	if name == "" {
		name = p.bucket
	}
	o, ok := p.meta.FindOrg(org)
	if !ok {
		return 0, &source.BusyError{Reason: fmt.Sprintf("there is no organisation %q to store in", org)}
	}
	if b, ok := p.meta.FindBucket(o.ID, name); ok {
		return uint64(b.ID), nil
	}
	if name != pipeline.DeadBucket {
		return 0, &source.BusyError{Reason: fmt.Sprintf("there is no bucket %q to store in", name)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, ok := p.meta.FindBucket(o.ID, name); ok {
		return uint64(b.ID), nil
	}
	b, err := p.meta.CreateBucket(context.Background(), meta.Bucket{OrgID: o.ID, Name: name, Retention: deadLetterRetention,
		Description: "what pipelines refused, with the reason"})
	if err != nil {
		return 0, &source.BusyError{Reason: "the bucket for refused messages could not be made", Err: err}
	}
	return uint64(b.ID), nil
}

// Types implements pipeline.Store.
func (p *pipelineStore) Types(bucket uint64) batch.Types {
	return batch.Types(p.schema.FieldTypes(bucket))
}

// Write implements pipeline.Store.
func (p *pipelineStore) Write(ctx context.Context, bucket uint64, b *column.Batch, refused func(table, row int, reason, detail string)) error {
	settings, ok := p.meta.Bucket(meta.ID(bucket))
	if !ok {
		return &source.BusyError{Reason: "the bucket to store in was deleted"}
	}
	return busy(p.ingest.WriteRows(ctx, settings, b, func(table, row int, kind ingest.DropKind, reason string) {
		refused(table, row, string(kind), reason)
	}))
}

// Delete implements pipeline.Store. A series that has further tags is another
// one: the tags are compared with those that there are.
func (p *pipelineStore) Delete(ctx context.Context, bucket uint64, measurement string, at int64, tags []record.Tag, fields []string) error {
	t := &tombstone.Tombstone{Bucket: bucket, Measurement: measurement, Min: at, Max: at, Fields: fields}
	var where []*predicate.Expr
	have := map[string]bool{}
	for _, tag := range tags {
		where = append(where, predicate.Eq(tag.Key, tag.Value))
		have[tag.Key] = true
	}
	for key, kind := range p.schema.meta.Measurement(bucket, measurement).Columns() {
		if kind == meta.Tag && !have[key] {
			where = append(where, predicate.Eq(key, ""))
		}
	}
	if len(where) > 0 {
		t.Where = predicate.All(where...)
	}
	return busy(p.store.Delete(ctx, t))
}

// busy makes of an error that will pass one that sources sit out.
func busy(err error) error {
	var e *httpapi.Error
	if err = passing(err); errors.As(err, &e) && e.Code == httpapi.Unavailable {
		return &source.BusyError{Reason: e.Message, RetryAfter: e.RetryAfter, Err: errors.Unwrap(e)}
	}
	return err
}
