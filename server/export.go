package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/exec"
	"github.com/varvedb/varve/export/stream"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// exporter implements httpapi.Exporter. It does not go by package query, whose
// questions have a deadline and places for many; an export takes as long as its
// client takes rows.
type exporter struct {
	store    *store
	horizons horizons
	memory   *memory.Pool
	places   chan struct{}
}

// maxExports is how many run at a time: each keeps what it has pinned for as
// long as it takes, and reads as fast as it can.
const maxExports = 2

func (s *server) exporter() *exporter {
	return &exporter{s.store, horizons{s.meta, s.now}, s.budget.Queries, make(chan struct{}, maxExports)}
}

// Export implements httpapi.Exporter. All rows are of one snapshot of every
// shard. A measurement is read stretch by stretch of the partition, so that
// who writes files has one open at a time; which stretches have rows is asked
// beforehand, by counts that summaries mostly answer.
func (x *exporter) Export(ctx context.Context, bucket uint64, r *stream.Request, out stream.Receiver) error {
	whole := plan.New(bucket, r.Start, r.Stop)
	whole.List = &plan.List{What: plan.Measurements}
	if err := whole.Validate(); err != nil {
		return &httpapi.Error{Code: httpapi.Invalid, Message: err.Error(), Err: err}
	}
	horizon, ok := x.horizons.Horizon(bucket)
	if !ok {
		return &httpapi.Error{Code: httpapi.NotFound, Message: "bucket not found"}
	}
	select {
	case x.places <- struct{}{}:
		defer func() { <-x.places }()
	default:
		return &httpapi.Error{Code: httpapi.Unavailable, Message: fmt.Sprintf("%d exports are under way, which is as many as there may be", maxExports)}
	}
	pinned, release, err := x.store.pin()
	if err != nil {
		return passing(err)
	}
	defer release()
	e := &exporting{ctx: ctx, exporter: x, request: r, start: max(r.Start, horizon), bucket: bucket, out: out}
	for _, n := range pinned {
		e.snapshots = append(e.snapshots, n)
	}
	if e.start >= r.Stop {
		return nil // all of it is older than the bucket keeps
	}
	names, err := e.measurements()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := e.measurement(name); err != nil {
			return err
		}
	}
	return nil
}

// exporting is an export under way.
type exporting struct {
	*exporter
	ctx       context.Context
	request   *stream.Request
	start     int64 // of the request, clipped to the retention
	bucket    uint64
	snapshots []scan.Snapshot
	out       stream.Receiver
	table     column.Table
}

// plan returns a plan over a measurement (all, if it is empty) in the range of
// the request.
func (e *exporting) plan(measurement string) *plan.Plan {
	p := plan.New(e.bucket, e.start, e.request.Stop)
	if measurement != "" {
		p.Measurements = []string{measurement}
	}
	return p
}

// run hands each batch of a plan's answer to use.
func (e *exporting) run(p *plan.Plan, use func(*scan.Batch) error) error {
	r, err := exec.Run(e.ctx, p, e.snapshots, scan.Config{Memory: e.memory})
	if err != nil {
		return e.store.readError(err)
	}
	defer r.Close()
	for {
		b, err := r.Next()
		if err != nil || b == nil {
			return e.store.readError(err)
		}
		if err := use(b); err != nil {
			return err
		}
	}
}

// measurements returns the names that were asked for, or all.
func (e *exporting) measurements() ([]string, error) {
	p := e.plan("")
	p.List = &plan.List{What: plan.Measurements}
	var names []string
	err := e.run(p, func(b *scan.Batch) error {
		for i := range b.Rows() {
			names = append(names, string(b.Columns[0].Str(i)))
		}
		return nil
	})
	if err != nil || len(e.request.Measurements) == 0 {
		slices.Sort(names)
		return slices.Compact(names), err
	}
	for _, want := range e.request.Measurements {
		if !slices.Contains(names, want) {
			return nil, &httpapi.Error{Code: httpapi.NotFound, Message: fmt.Sprintf(
				"measurement %q has no rows in this range; there are %s", want, some(names))}
		}
	}
	wanted := slices.Sorted(slices.Values(e.request.Measurements))
	return slices.Compact(wanted), nil
}

// some lists names for people, as many as fit into a sentence.
func some(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return fmt.Sprintf("%q and %d more", names[:most], len(names)-most)
	}
	return fmt.Sprintf("%q", names)
}

func (e *exporting) measurement(name string) error {
	schema, err := e.schema(name)
	if err != nil {
		return err
	}
	parts, err := e.parts(name)
	if err != nil || len(parts) == 0 {
		return err
	}
	if err := e.out.Measurement(schema); err != nil {
		return err
	}
	for _, part := range parts {
		p := e.plan(name)
		p.Tags = e.request.Tags
		p.Start, p.Stop = part.start, part.stop
		p.Rows = &plan.Rows{}
		if err := e.run(p, e.rows); err != nil {
			return err
		}
	}
	return nil
}

// schema returns the columns that a measurement has in the range, whatever the
// condition on tags: under one, only the rows could tell the fields.
func (e *exporting) schema(name string) (*stream.Schema, error) {
	s := &stream.Schema{Measurement: name}
	p := e.plan(name)
	p.List = &plan.List{What: plan.TagKeys}
	err := e.run(p, func(b *scan.Batch) error {
		for i := range b.Rows() {
			s.Tags = append(s.Tags, string(b.Columns[0].Str(i)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p = e.plan(name)
	p.List = &plan.List{What: plan.Fields}
	err = e.run(p, func(b *scan.Batch) error {
		for i := range b.Rows() {
			t, ok := column.TypeOf(string(b.Columns[1].Str(i)))
			if !ok {
				panic(fmt.Sprintf("BUG: a field has the type %q", b.Columns[1].Str(i)))
			}
			s.Fields = append(s.Fields, column.FieldInfo{Name: string(b.Columns[0].Str(i)), Type: t})
		}
		return nil
	})
	return s, err
}

// stretch is a part of the range.
type stretch struct{ start, stop int64 }

// parts returns the stretches of the partition in which a measurement has
// rows.
func (e *exporting) parts(name string) ([]stretch, error) {
	var every plan.Duration
	switch e.request.Partition {
	case stream.Day:
		every = plan.Duration{Nanos: nanosPerDay}
	case stream.Month:
		every = plan.Months(1)
	default:
		return []stretch{{e.start, e.request.Stop}}, nil
	}
	p := e.plan(name)
	p.Tags = e.request.Tags
	p.Aggregate = &plan.Aggregate{
		Calls:  []plan.Call{{Func: plan.Count}},
		Window: &plan.Window{Every: every},
		Group:  plan.ByTags(),
	}
	var parts []stretch
	err := e.run(p, func(b *scan.Batch) error {
		for i := range b.Start {
			lo, hi := plan.ClipTo(b.Start[i], b.Stop[i], p.Start, p.Stop)
			parts = append(parts, stretch{lo, hi})
		}
		return nil
	})
	return parts, err
}

const nanosPerDay = 24 * 60 * 60 * 1e9

// rows hands a batch on as a table; columns are shared, not copied.
func (e *exporting) rows(b *scan.Batch) error {
	t := &e.table
	t.Reset(b.Measurement)
	t.Time = b.Time
	for _, g := range b.Groups {
		s := t.Series.Add(g.Key, column.HashSeries(b.Measurement, g.Key))
		for range g.To - g.From {
			t.Row = append(t.Row, s)
		}
	}
	t.Fields = t.Fields[:0]
	for i := range b.Columns {
		c := &b.Columns[i]
		t.Fields = append(t.Fields, column.Field{Name: c.Field, Vector: c.Vector})
	}
	defer func() { t.Time = nil }()
	return e.out.Rows(t)
}
