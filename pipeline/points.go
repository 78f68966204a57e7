package pipeline

import (
	"context"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/source"
)

// TakeBatch implements source.Intake. Without steps the columns are stored as
// they are.
func (p *Pipeline) TakeBatch(ctx context.Context, bucket uint64, b *column.Batch, m *source.Message) (source.Result, error) {
	if s, ok := p.direct(); ok {
		return p.takeColumns(ctx, s, bucket, b, m)
	}
	w, err := p.take(ctx, b.Rows(), 0)
	if err != nil {
		return source.Result{}, err
	}
	defer p.give(w)
	messages := []source.Message{*m}
	w.context.Topic, w.context.Client, w.points = m.Topic, m.Client, m
	p.begin(w)
	var result source.Result
	for rows, first := batch.NewRows(b), true; first || rows.Left(); first = false {
		p.next(w)
		rows.Next(0, w.part, w.list)
		p.applyPoints(w, &messages[0])
		part, err := p.pass(ctx, w, messages, bucket)
		if err != nil {
			p.fail(w)
			return source.Result{}, err
		}
		w.points = nil // what the source left out is kept
		add(&result, part)
	}
	p.end(w, 1, result)
	return result, nil
}

// applyPoints takes the records of a part through the steps. If one makes them
// panic, all are refused, as message does.
func (p *Pipeline) applyPoints(w *worker, m *source.Message) {
	size := w.size
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		w.live, w.refused, w.total, w.behind, w.size = w.live[:0], w.refused[:0], 0, 0, size
		for i := range w.list.Len() {
			w.forget(w.list.At(i))
			p.refuseRecord(w, placeDecode, m, panicked(r), w.list.At(i))
		}
		w.count(placeDecode, panicked(r).Reason, w.list.Len())
	}()
	p.apply(w, m, 0)
}

// direct returns the store, if nothing has to look at single records.
func (p *Pipeline) direct() (*storeSink, bool) {
	if len(p.steps) > 0 || len(p.sinks) != 1 {
		return nil, false
	}
	s, ok := p.sinks[0].(*storeSink)
	return s, ok && s.plain
}

// takeColumns stores b as it is.
func (p *Pipeline) takeColumns(ctx context.Context, s *storeSink, wanted uint64, b *column.Batch, m *source.Message) (source.Result, error) {
	w, err := p.take(ctx, 0, 0)
	if err != nil {
		return source.Result{}, err
	}
	defer p.give(w)
	p.begin(w)
	p.next(w)
	w.points = m
	result, err := p.writeColumns(ctx, w, s, wanted, b, m)
	if err != nil {
		p.fail(w)
		return source.Result{}, err
	}
	p.end(w, 1, result)
	return result, nil
}

// refusedRow is a row of a batch that the store refused.
type refusedRow struct {
	table, row int32
	record.Refusal
}

func (p *Pipeline) writeColumns(ctx context.Context, w *worker, s *storeSink, wanted uint64, b *column.Batch, m *source.Message) (source.Result, error) {
	bucket, err := s.target(wanted)
	if err != nil {
		return source.Result{}, err
	}
	var refused []refusedRow
	if err := s.store.Write(ctx, bucket, b, func(table, row int, reason, detail string) {
		refused = append(refused, refusedRow{int32(table), int32(row), record.Refusal{Reason: reason, Detail: detail}})
	}); err != nil {
		return source.Result{}, err
	}
	var result source.Result
	for first := true; first || len(refused) > 0; first = false {
		n := min(len(refused), w.part)
		for i := range refused[:n] {
			r := &refused[i]
			w.refusePoint(s.Name(), m, &r.Refusal, func() string { return w.lines.row(b, int(r.table), int(r.row)) })
			w.count(s.Name(), r.Reason, 1)
		}
		if err := p.keep(ctx, w); err != nil {
			return source.Result{}, err
		}
		add(&result, source.Result{Refused: w.total, Reason: w.first()})
		refused = refused[n:]
		result.Stored -= w.behind
		w.refused, w.points, w.total, w.behind = w.refused[:0], nil, 0, 0
	}
	w.records = b.Rows()
	result.Stored += w.records
	w.count(s.Name(), "", result.Stored)
	return result, nil
}
