package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/scan"
)

// querier implements httpapi.Querier on package query.
type querier struct {
	driver *query.Driver
	store  *store
}

// Query implements httpapi.Querier.
func (q *querier) Query(ctx context.Context, p *plan.Plan, emit func(*httpapi.Piece) error) (string, error) {
	var piece httpapi.Piece
	explain, err := q.driver.Run(ctx, p, func(b *scan.Batch) error { return pieces(b, p, &piece, emit) })
	return explain, q.readError(err)
}

// List implements httpapi.Querier.
func (q *querier) List(ctx context.Context, p *plan.Plan) ([]httpapi.Name, error) {
	var names []httpapi.Name
	_, err := q.driver.Run(ctx, p, func(b *scan.Batch) error {
		for i := range b.Rows() {
			n := httpapi.Name{Name: string(b.Columns[0].Str(i))}
			if len(b.Columns) > 1 {
				n.Type = string(b.Columns[1].Str(i))
			}
			names = append(names, n)
		}
		return nil
	})
	// Each measurement has a list of its own; the question was about all.
	slices.SortFunc(names, func(a, b httpapi.Name) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(names, func(a, b httpapi.Name) bool { return a.Name == b.Name }), q.readError(err)
}

// readError makes of an error of a question what clients are told.
func (q *querier) readError(err error) error {
	var over *query.MemoryError
	var bucket *query.UnknownBucketError
	var asked *scan.PlanError
	switch {
	case errors.As(err, &asked):
		return &httpapi.Error{Code: httpapi.Invalid, Message: asked.Error(), Err: err}
	case errors.As(err, &over):
		// Not 503: to ask the same again makes no difference.
		return &httpapi.Error{Code: httpapi.Unprocessable, Message: over.Error(), Err: err}
	case errors.As(err, &bucket):
		return &httpapi.Error{Code: httpapi.NotFound, Message: "bucket not found", Err: err}
	}
	return q.store.readError(err)
}

// horizons implements query.Buckets on package meta.
type horizons struct {
	buckets *meta.Store
	now     func() time.Time
}

func (h horizons) Horizon(bucket uint64) (at int64, ok bool) {
	b, ok := h.buckets.Bucket(meta.ID(bucket))
	if !ok {
		return 0, false
	}
	return b.Horizon(h.now()), true
}

// pieces cuts a batch into what the API renders: rows of one group, and, of
// selectors without windows, of one column, because each has times of its own.
func pieces(b *scan.Batch, p *plan.Plan, piece *httpapi.Piece, emit func(*httpapi.Piece) error) error {
	times := b.Time
	if p.Aggregate != nil {
		times = b.Start
	}
	own := p.Aggregate != nil && p.Aggregate.Window == nil
	piece.Measurement = b.Measurement
	for _, g := range b.Groups {
		piece.Tags = g.Key
		reset := func(at []int64) {
			piece.Fields, piece.Rows.Cols, piece.Rows.Time = piece.Fields[:0], piece.Rows.Cols[:0], at[g.From:g.To]
			piece.Overflow = piece.Overflow[:0]
		}
		put := func(c *scan.Column) {
			piece.Fields = append(piece.Fields, c.Field)
			piece.Rows.Cols = append(piece.Rows.Cols, c.Slice(g.From, g.To))
			var overflow []bool
			if c.Overflow != nil {
				overflow = c.Overflow[g.From:g.To]
			}
			piece.Overflow = append(piece.Overflow, overflow)
		}
		reset(times)
		for i := range b.Columns {
			if c := &b.Columns[i]; !own || c.At == nil {
				put(c)
			}
		}
		if len(piece.Fields) > 0 {
			if err := emit(piece); err != nil {
				return err
			}
		}
		for i := range b.Columns {
			if c := &b.Columns[i]; own && c.At != nil {
				reset(c.At)
				put(c)
				if err := emit(piece); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
