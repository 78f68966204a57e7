package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/record"
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

// Bucket implements pipeline.Store.
func (p *pipelineStore) Bucket(org, name string) (uint64, error) {
	o, err := p.organisation(org)
	if err != nil {
		return 0, err
	}
	if name == "" {
		name = p.bucket
	}
	if b, ok := p.meta.FindBucket(o.ID, name); ok {
		return uint64(b.ID), nil
	}
	return 0, &source.BusyError{Reason: fmt.Sprintf("there is no bucket %q to store in: make it, as by varve bucket create", name)}
}

func (p *pipelineStore) organisation(name string) (meta.Org, error) {
	if name == "" {
		name = p.org
	}
	if o, ok := p.meta.FindOrg(name); ok {
		return o, nil
	}
	return meta.Org{}, &source.BusyError{Reason: fmt.Sprintf("there is no organisation %q to store in", name)}
}

// DeadBucket implements pipeline.Store.
func (p *pipelineStore) DeadBucket(org, name string) (uint64, error) {
	o, err := p.organisation(org)
	if err != nil {
		return 0, err
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

// deleteBytes bounds the series keys of one delete, which is a record of the log.
const deleteBytes = 128 << 10

// Delete implements pipeline.Store. Points of one measurement that lose the same
// fields are one delete, because each seals the memtable.
func (p *pipelineStore) Delete(ctx context.Context, bucket uint64, gone []pipeline.Gone) error {
	type kind struct{ measurement, fields string }
	groups := map[kind]*deletion{}
	var order []*deletion
	for i := range gone {
		g := &gone[i]
		if g.All {
			t := &tombstone.Tombstone{Bucket: bucket, Measurement: strings.Clone(g.Measurement), Min: tombstone.MinTime, Max: tombstone.MaxTime}
			if err := busy(p.store.Delete(ctx, t)); err != nil {
				return err
			}
			continue
		}
		key, err := seriesKey(g.Tags)
		if err != nil {
			return err
		}
		k := kind{g.Measurement, strings.Join(g.Fields, "\x00")} // names have no control characters
		d := groups[k]
		if d == nil || d.bytes > deleteBytes {
			// The tombstone stays; texts of a record do not.
			d = &deletion{measurement: strings.Clone(g.Measurement), series: map[string]int{}}
			for _, f := range g.Fields {
				d.fields = append(d.fields, strings.Clone(f))
			}
			groups[k], order = d, append(order, d)
		}
		d.add(key, g.Time)
	}
	for _, d := range order {
		if err := busy(p.store.Delete(ctx, tombstone.Of(bucket, d.measurement, d.points, d.fields))); err != nil {
			return err
		}
	}
	return nil
}

// deletion is points of a measurement that are deleted at once.
type deletion struct {
	measurement string
	fields      []string
	points      []tombstone.Points
	series      map[string]int // where in points
	bytes       int
}

func (d *deletion) add(key string, at int64) {
	i, ok := d.series[key]
	if !ok {
		i = len(d.points)
		d.series[key], d.points = i, append(d.points, tombstone.Points{Series: key})
		d.bytes += len(key)
	}
	d.points[i].Times = append(d.points[i].Times, at)
	d.bytes += len("-9223372036854775808,")
}

// seriesKey returns the key of the series of tags.
func seriesKey(tags []record.Tag) (string, error) {
	all := make([]column.Tag, len(tags))
	for i, t := range tags {
		all[i] = column.Tag{Key: []byte(t.Key), Value: []byte(t.Value)}
	}
	key, err := column.AppendSeriesKey(nil, all)
	if err != nil {
		return "", fmt.Errorf("delete a point: %w", err)
	}
	return string(key), nil
}

// busy makes of an error that will pass one that sources sit out.
func busy(err error) error {
	var e *httpapi.Error
	if err = passing(err); errors.As(err, &e) && e.Code == httpapi.Unavailable {
		return &source.BusyError{Reason: e.Message, RetryAfter: e.RetryAfter, Err: errors.Unwrap(e)}
	}
	return err
}
