package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// Store is where points are kept: package ingest over the shards.
type Store interface {
	// Bucket finds a bucket by the names of its organisation and its own; an empty
	// name means the one that the server began with. It is asked again for every
	// batch, because buckets come and go.
	Bucket(org, bucket string) (uint64, error)
	// DeadBucket is Bucket for refused messages: one that is missing is made, so
	// that there is always a place for them.
	DeadBucket(org, bucket string) (uint64, error)
	// Write returns when the rows of b are durable and visible, but for those for
	// which it has called refused. If it cannot take them now, the error is a
	// source.ErrBusy.
	Write(ctx context.Context, bucket uint64, b *column.Batch, refused func(table, row int, reason, detail string)) error
	// Types tells what fields of a bucket are registered as.
	Types(bucket uint64) batch.Types
	// Delete returns when all of gone are hidden durably.
	Delete(ctx context.Context, bucket uint64, gone []Gone) error
}

// Gone is the point of exactly these tags at a time, or the fields of it that are
// named, or all points of a measurement.
type Gone struct {
	Measurement string
	All         bool  // what follows does not count
	Time        int64 // nanoseconds since 1970
	Tags        []record.Tag
	Fields      []string // none: all
}

// storeSink stores records:
//
//	store: {org: main, bucket: default, fields: [value, quality]}
//
// Without a bucket a record goes where its sender wants it, else to the bucket
// that the server began with. Without fields all of them are stored.
type storeSink struct {
	store       Store
	org, bucket string
	fields      []string
	plain       bool // nothing is chosen: columns can be stored as they are

	mu   sync.Mutex // guards what follows
	idle []*storeWorker
}

// storeWorker is what one call takes.
type storeWorker struct {
	builder *batch.Builder
	record  record.Record // one with fewer fields
}

// maxIdleWorkers bounds the memory of what is kept for the next calls.
const maxIdleWorkers = 8

// declareStore reads the settings of a store sink; names are those of the records
// there.
func declareStore(m *declare.Map, names map[string]column.Type, open bool) *storeSink {
	s := &storeSink{org: m.Text("org", ""), bucket: m.Text("bucket", ""), fields: m.Strings("fields")}
	for _, f := range s.fields {
		if _, ok := names[f]; !ok && !open {
			m.Fail("fields", "records have no field %q here", f)
		}
	}
	s.plain = len(s.fields) == 0
	return s
}

// Name implements Sink.
func (s *storeSink) Name() string {
	if s.bucket == "" {
		return "store"
	}
	return "store:" + s.bucket
}

// Close implements Sink.
func (s *storeSink) Close() error { return nil }

// target returns the bucket that records go to.
func (s *storeSink) target(wanted uint64) (uint64, error) {
	if s.bucket == "" && wanted != 0 {
		return wanted, nil
	}
	return s.store.Bucket(s.org, s.bucket)
}

func (s *storeSink) take() *storeWorker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		w := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return w
	}
	return &storeWorker{builder: batch.NewBuilder()}
}

func (s *storeSink) give(w *storeWorker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < maxIdleWorkers {
		s.idle = append(s.idle, w)
	}
}

// Pass implements Sink.
func (s *storeSink) Pass(ctx context.Context, p *Passage) error {
	bucket, err := s.target(p.Bucket)
	if err != nil {
		return err
	}
	w := s.take()
	defer s.give(w)
	deletes, writes := w.arrange(p)
	if err := s.delete(ctx, bucket, p, deletes); err != nil {
		return err
	}
	return s.write(ctx, w, bucket, p, writes)
}

// arrange parts the live records into deletes and what is written after all of
// them, so that the end is that of one after the other: a write that a later delete
// of the same point takes back is left out, or the fields of it that are.
func (w *storeWorker) arrange(p *Passage) (deletes, writes []int) {
	first := len(p.Live)
	for n, i := range p.Live {
		if p.Records.At(i).Delete {
			first = n
			break
		}
	}
	if first == len(p.Live) {
		return nil, p.Live
	}
	written := map[string][]int{} // by point, the records that write it
	gone := map[int]bool{}
	for n, i := range p.Live {
		r := p.Records.At(i)
		if r.Delete && r.All {
			deletes = append(deletes, i)
			for _, before := range p.Live[:n] {
				if b := p.Records.At(before); !b.Delete && b.Measurement == r.Measurement {
					gone[before] = true
				}
			}
			continue
		}
		key := point(r, p.Time(r))
		if !r.Delete {
			written[key] = append(written[key], i)
			continue
		}
		deletes = append(deletes, i)
		for _, before := range written[key] {
			if len(r.Fields) == 0 {
				gone[before] = true
				continue
			}
			earlier := p.Records.At(before)
			for k := range r.Fields {
				earlier.Set(r.Fields[k].Name, record.Value{})
			}
			gone[before] = gone[before] || len(earlier.Fields) == 0
		}
	}
	for _, i := range p.Live {
		if !gone[i] && !p.Records.At(i).Delete {
			writes = append(writes, i)
		}
	}
	return deletes, writes
}

// point returns a text that records of one point share.
func point(r *record.Record, at int64) string {
	tags := make([]string, 0, len(r.Tags))
	for i := range r.Tags {
		tags = append(tags, strconv.Quote(r.Tags[i].Key)+"="+strconv.Quote(r.Tags[i].Value))
	}
	slices.Sort(tags)
	return strconv.Quote(r.Measurement) + strings.Join(tags, ",") + strconv.FormatInt(at, 10)
}

// write stores some of the live records.
func (s *storeSink) write(ctx context.Context, w *storeWorker, bucket uint64, p *Passage, part []int) error {
	for len(part) > 0 {
		n, err := s.gather(w, bucket, p, part)
		if err != nil {
			return err
		}
		part = part[n:]
		b := w.builder.End()
		if len(b.Tables) == 0 {
			continue
		}
		if err := s.store.Write(ctx, bucket, b, func(table, row int, reason, detail string) {
			p.Refuse(w.builder.Origin(table, row), s.Name(), &record.Refusal{Reason: reason, Detail: detail})
		}); err != nil {
			return err
		}
	}
	return nil
}

// gather makes a batch of the first n of part, as many as it should have.
func (s *storeSink) gather(w *storeWorker, bucket uint64, p *Passage, part []int) (n int, err error) {
	w.builder.Begin(s.store.Types(bucket))
	for n < len(part) && !w.builder.Full() {
		i := part[n]
		n++
		r := p.Records.At(i)
		at := p.Time(r)
		if !s.plain {
			r = w.only(r, s.fields)
		}
		if err := w.builder.Add(r, at, i); err != nil {
			if why, ok := err.(*record.Refusal); ok {
				p.Refuse(i, s.Name(), why)
				continue
			}
			return n, err
		}
	}
	return n, nil
}

// only returns r with some of its fields.
func (w *storeWorker) only(r *record.Record, fields []string) *record.Record {
	o := &w.record
	*o = record.Record{Measurement: r.Measurement, Time: r.Time, Timed: r.Timed, Tags: r.Tags, Fields: o.Fields[:0]}
	for i := range r.Fields {
		if slices.Contains(fields, r.Fields[i].Name) {
			o.Fields = append(o.Fields, r.Fields[i])
		}
	}
	return o
}

// delete hides the points of some of the live records, all of which are deletes.
func (s *storeSink) delete(ctx context.Context, bucket uint64, p *Passage, part []int) error {
	var gone []Gone
	for _, i := range part {
		r := p.Records.At(i)
		if !r.Timed && !r.All {
			p.Refuse(i, s.Name(), &record.Refusal{Reason: "no_time", Detail: "a delete needs the time of the point"})
			continue
		}
		g := Gone{Measurement: r.Measurement, All: r.All, Time: r.Time, Tags: r.Tags}
		for k := range r.Fields {
			g.Fields = append(g.Fields, r.Fields[k].Name)
		}
		gone = append(gone, g)
	}
	if len(gone) == 0 {
		return nil
	}
	if err := s.store.Delete(ctx, bucket, gone); err != nil {
		return fmt.Errorf("delete points: %w", err)
	}
	return nil
}
