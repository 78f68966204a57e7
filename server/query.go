package server

import (
	"context"
	"slices"
	"time"

	"github.com/varvedb/varve/exec"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// querier implements httpapi.Querier.
type querier struct {
	store   *store
	buckets *meta.Store
	memory  *memory.Pool
	now     func() time.Time
}

// Query executes p over a snapshot of every shard.
func (q *querier) Query(ctx context.Context, p *plan.Plan, emit func(*httpapi.Piece) error) (string, error) {
	var piece httpapi.Piece
	return q.run(ctx, p, func(b *scan.Batch) error { return pieces(b, p, &piece, emit) })
}

// List implements httpapi.Querier.
func (q *querier) List(ctx context.Context, p *plan.Plan) ([]string, error) {
	var names []string
	_, err := q.run(ctx, p, func(b *scan.Batch) error {
		for i := range b.Rows() {
			names = append(names, string(b.Columns[0].Str(i)))
		}
		return nil
	})
	// Each measurement has a list of its own; the question was about all.
	slices.Sort(names)
	return slices.Compact(names), err
}

// run hands each batch of the answer to use and explains what was done.
func (q *querier) run(ctx context.Context, p *plan.Plan, use func(*scan.Batch) error) (string, error) {
	kept, clipped, err := q.clip(p)
	if err != nil {
		return "", err
	}
	if kept == nil {
		return clipped, nil
	}
	snapshots, release, err := q.store.snapshots()
	if err != nil {
		return "", passing(err)
	}
	defer release()
	r, err := exec.Run(ctx, kept, snapshots, scan.Config{Memory: q.memory})
	if err != nil {
		return "", q.store.readError(err)
	}
	defer r.Close()
	for {
		b, err := r.Next()
		if err == nil && b != nil {
			if p.Aggregate != nil && p.Aggregate.Window == nil {
				// The only window is the range that was asked for.
				for i := range b.Start {
					b.Start[i] = p.Start
				}
			}
			err = use(b)
		}
		if err != nil || b == nil {
			return r.Explain() + clipped, q.store.readError(err)
		}
	}
}

// clip returns p without the times that the bucket does not keep, nil if it
// keeps none, and a line about that for the explained plan, empty if nothing
// was cut off. What is physically gone by now is a matter of flush and
// compaction, and must not show.
func (q *querier) clip(p *plan.Plan) (kept *plan.Plan, explain string, err error) {
	b, ok := q.buckets.Bucket(meta.ID(p.Bucket))
	if !ok {
		return nil, "", &httpapi.Error{Code: httpapi.NotFound, Message: "bucket not found"}
	}
	horizon := b.Horizon(q.now())
	if p.Start >= horizon {
		return p, "", nil
	}
	explain = "clipped to retention from " + time.Unix(0, horizon).UTC().Format(time.RFC3339Nano) + "\n"
	if horizon >= p.Stop {
		return nil, explain, nil
	}
	c := *p
	c.Start = horizon
	return &c, explain, nil
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
