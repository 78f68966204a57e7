// Package pipeline is between what comes in (package source) and where it goes:
// it decodes messages, checks, changes and tags their records by declared rules,
// stores them, passes them on, and keeps what it refuses with the reason.
//
// Messages go, some thousands at a time:
//
//  1. Each is decoded (package decode). One that cannot be is refused as a whole.
//  2. Each of its records goes through the steps (package step): validate,
//     transform, tag. A step may change it, drop it on purpose, or refuse it.
//  3. The sinks take what is left, in the order in which they are declared: what
//     the store refuses (another type than the field has, beyond the retention)
//     is not passed on by those behind it.
//  4. What was refused is kept where refused messages are kept: durably.
//  5. Take returns, and the source acknowledges.
//
// So a message is acknowledged only when it is stored and passed on, or kept as
// refused. If a step from 3 on fails, Take returns an error and nothing is
// acknowledged; the source hands the messages over again. Points overwrite their
// like, so that a repeat changes nothing in the store; who reads what is passed
// on sees it twice, with the same key. The state of steps that remember (package
// detect) is best-effort, and lost in a crash.
//
// Rejected: a queue of our own on disk between source and store. The store's log
// is one, and what cannot go there is held back at the source, which has one as
// well: Kafka's topic, the device's buffer, the file.
//
// A Pipeline is safe for concurrent use. Set runs many of them, with their
// sources, and changes them while they run.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/decode"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/step"
	"github.com/varvedb/varve/source"
)

// placeDecode is where a message can be refused, beside steps and sinks.
const placeDecode = "decode"

// TooManyRecords is the reason of messages that make more records than is good.
const TooManyRecords = "too_many_records"

// Pipeline is what a declaration makes of messages.
type Pipeline struct {
	name   string
	format decode.Format // nil if the source's protocol says what a point is
	steps  []*step.Declared
	sinks  []Sink
	dead   []DeadLetters
	now    func() time.Time

	stats   *counters
	workers *workers
}

// counters are what became of messages.
type counters struct {
	messages, records, stored, dropped, refused, failures atomic.Uint64

	mu     sync.Mutex           // guards what follows
	places map[[2]string]uint64 // by place that is no step and reason; without a reason, what passed
}

// add counts what a part did.
func (c *counters) add(all []tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.places == nil {
		c.places = map[[2]string]uint64{}
	}
	for _, t := range all {
		c.places[[2]string{t.place, t.reason}] += t.n
	}
}

// Take implements source.Intake.
func (p *Pipeline) Take(ctx context.Context, messages []source.Message) (source.Result, error) {
	bytes := 0
	for i := range messages {
		bytes += len(messages[i].Payload)
	}
	w, err := p.take(ctx, len(messages), bytes)
	if err != nil {
		return source.Result{}, err
	}
	defer p.give(w)
	p.begin(w)
	var result source.Result
	for from := 0; from < len(messages); {
		p.next(w)
		to := from
		for ; to < len(messages) && !w.full(); to++ {
			m := &messages[to]
			w.context.Topic, w.context.Client = m.Topic, m.Client
			if err := p.message(w, m, to); err != nil {
				p.stats.failures.Add(1)
				w.end(false)
				return source.Result{}, err
			}
		}
		part, err := p.pass(ctx, w, messages, 0)
		if err != nil {
			w.end(false)
			return source.Result{}, err
		}
		w.countSteps()
		p.stats.messages.Add(uint64(to - from))
		add(&result, part)
		from = to
	}
	w.end(true)
	return result, nil
}

// add adds what became of a part.
func add(sum *source.Result, part source.Result) {
	sum.Stored += part.Stored
	sum.Dropped += part.Dropped
	sum.Refused += part.Refused
	if sum.Reason == "" {
		sum.Reason = part.Reason
	}
}

// message decodes message number i and takes its records through the steps. Its
// error is one that passes. What makes them panic is refused like any other: the
// source would hand it over again after a restart, for ever.
func (p *Pipeline) message(w *worker, m *source.Message, i int) (err error) {
	before, live, refused, total, behind := w.list.Len(), len(w.live), len(w.refused), w.total, w.behind
	defer func() {
		if r := recover(); r != nil {
			for k := before; k < w.list.Len(); k++ {
				w.forget(w.list.At(k))
			}
			w.list.Truncate(before)
			w.live, w.refused, w.total, w.behind = w.live[:live], w.refused[:refused], total, behind
			w.refuseMessage(m, panicked(r))
			err = nil
		}
	}()
	if u := m.Unread; u != nil {
		w.refuseMessage(m, &record.Refusal{Reason: u.Reason, Detail: u.Detail})
		return nil
	}
	if err := w.decode(m, i); errors.Is(err, source.ErrBusy) {
		return err
	} else if err != nil {
		w.refuseMessage(m, refusal(err))
		return nil
	}
	w.count(placeDecode, "", 1)
	for k := before; k < w.list.Len(); k++ {
		r := w.list.At(k)
		r.Number, r.Of = k-before, w.list.Len()-before
	}
	p.apply(w, m, before)
	return nil
}

// decode appends the records of message number i. If it returns an error, none.
func (w *worker) decode(m *source.Message, i int) error {
	before := w.list.Len()
	w.list.Bound(before + maxMessageRecords)
	err := w.decoder.Decode(m, i, w.context.Arrived, w.list)
	if err == nil && w.list.Over() {
		w.list.Truncate(before)
		err = record.Refuse(TooManyRecords, "the message makes more than %d records: send them in several messages", maxMessageRecords)
	}
	return err
}

// panicked makes of what was recovered why a message is refused.
func panicked(r any) *record.Refusal {
	return &record.Refusal{Reason: "internal_error", Detail: fmt.Sprint(r)}
}

// refusal returns an error of a decoder as a refusal.
func refusal(err error) *record.Refusal {
	var r *record.Refusal
	if errors.As(err, &r) {
		return r
	}
	return &record.Refusal{Reason: "bad_message", Detail: err.Error()}
}

// apply takes the records of a message, from one on, through the steps.
func (p *Pipeline) apply(w *worker, m *source.Message, from int) {
	for i := from; i < w.list.Len(); i++ {
		r := w.list.At(i)
		switch k := p.run(w, r); {
		case k < 0:
			w.live = append(w.live, i)
		case w.context.Outcome == step.Refuse:
			w.forget(r)
			p.refuseRecord(w, p.steps[k].Name, m, &record.Refusal{Reason: w.context.Reason, Detail: w.context.Detail}, r)
		}
	}
}

// run takes a record through the steps and returns the number of the one that
// ended it, -1 if none did.
func (p *Pipeline) run(w *worker, r *record.Record) int {
	for k := range w.runs {
		if o := w.runs[k].Apply(w.context, r); o >= step.Drop {
			w.context.Outcome = o
			return k
		}
	}
	return -1
}

// maxListed is how many records of one message are kept with a reason of their
// own: few bytes can stand for very many records.
const maxListed = 100

// refuse notes that a message is to be kept, or a record of it.
func (w *worker) refuse(place string, m *source.Message, why *record.Refusal, r *record.Record) {
	w.total++
	if place != placeDecode {
		w.behind++
	}
	f := Refused{Place: place, Message: m, Refusal: *why}
	if r != nil {
		f.Record = r.Number
	}
	if n := len(w.refused); n > 0 && w.refused[n-1].Message == m {
		last := &w.refused[n-1]
		if f.Again = last.Again + 1; f.Again >= maxListed {
			last.More++
			return
		}
	}
	w.refused = append(w.refused, f)
}

// refuseMessage notes that a message is to be kept that could not be decoded.
func (w *worker) refuseMessage(m *source.Message, why *record.Refusal) {
	w.refuse(placeDecode, m, why, nil)
	w.count(placeDecode, why.Reason, 1)
}

// refuseRecord notes that a record is to be kept: as a point, if the source brought
// points, else by its message.
func (p *Pipeline) refuseRecord(w *worker, place string, m *source.Message, why *record.Refusal, r *record.Record) {
	if p.format != nil {
		w.refuse(place, m, why, r)
		return
	}
	w.refusePoint(place, m, why, func() string { return line(r, r.Time) })
}

// maxPoints bounds the memory and the dead letters of the refused points of one
// batch, in bytes: a series of Prometheus may have a long name and very many
// samples. It is enough for all points of the largest body of a write, whose lines
// have some 60 bytes.
const maxPoints = 512 << 20

// refusePoint notes that a point of a batch is to be kept.
func (w *worker) refusePoint(place string, m *source.Message, why *record.Refusal, row func() string) {
	w.total++
	w.behind++
	if n := len(w.refused); n > 0 && w.size >= maxPoints {
		w.refused[n-1].More++
		return
	}
	f := Refused{Place: place, Message: m, Refusal: *why, Row: row()}
	w.size += minKept + len(f.Row)
	w.refused = append(w.refused, f)
}

// pass hands what is left to the sinks and keeps what was refused.
func (p *Pipeline) pass(ctx context.Context, w *worker, messages []source.Message, bucket uint64) (source.Result, error) {
	result := source.Result{}
	records := w.list.Len()
	if len(w.live) > 0 {
		passage := &Passage{Messages: messages, Records: w.list, Live: w.live, Arrived: w.context.Arrived, Bucket: bucket}
		passage.refuse = func(i int, place string, why *record.Refusal) {
			w.gone = append(w.gone, i)
			r := w.list.At(i)
			w.forget(r)
			p.refuseRecord(w, place, passage.Message(r), why, r)
			w.count(place, why.Reason, 1)
		}
		for _, s := range p.sinks {
			w.gone = w.gone[:0]
			if err := s.Pass(ctx, passage); err != nil {
				p.stats.failures.Add(1)
				return result, err
			}
			if len(w.gone) > 0 {
				slices.Sort(w.gone)
				passage.Live = slices.DeleteFunc(passage.Live, func(i int) bool {
					_, gone := slices.BinarySearch(w.gone, i)
					return gone
				})
			}
			w.count(s.Name(), "", len(passage.Live))
			if len(passage.Live) == 0 {
				break
			}
		}
		result.Stored = len(passage.Live)
	}
	if err := p.keep(ctx, w); err != nil {
		p.stats.failures.Add(1)
		return source.Result{}, err
	}
	result.Refused, result.Reason = w.total, w.first()
	result.Dropped = records - result.Stored - w.behind
	p.stats.add(w.tally)
	p.stats.dropped.Add(uint64(result.Dropped))
	p.stats.records.Add(uint64(records))
	p.stats.stored.Add(uint64(result.Stored))
	p.stats.refused.Add(uint64(result.Refused))
	return result, nil
}

// first returns why the first of what was refused was.
func (w *worker) first() string {
	if w.reason == "" && len(w.refused) > 0 {
		return w.refused[0].Error()
	}
	return w.reason
}

// keep keeps what was refused.
func (p *Pipeline) keep(ctx context.Context, w *worker) error {
	if w.points != nil && w.points.Left != nil {
		if err := p.keepLeft(ctx, w); err != nil {
			return err
		}
	}
	return p.letters(ctx, w, w.refused)
}

// keepLeft keeps what the source left out of a batch, some of it at a time.
func (p *Pipeline) keepLeft(ctx context.Context, w *worker) error {
	var part []Refused
	size := 0
	for l := range w.points.Left {
		w.total += l.Points
		w.count(placeDecode, l.Reason, l.Points)
		if n := len(part); n > 0 && w.size >= maxPoints {
			part[n-1].More += l.Points
			continue
		}
		if size >= maxKeptBatch {
			if err := p.letters(ctx, w, part); err != nil {
				return err
			}
			part, size = part[:0], 0
		}
		f := Refused{Place: placeDecode, Message: w.points, Refusal: record.Refusal{Reason: l.Reason, Detail: l.Detail}, Row: l.Row, More: l.Points - 1}
		if w.reason == "" {
			w.reason = f.Error()
		}
		size += minKept + len(f.Row)
		w.size += minKept + len(f.Row)
		part = append(part, f)
	}
	return p.letters(ctx, w, part)
}

// letters keeps some of what was refused.
func (p *Pipeline) letters(ctx context.Context, w *worker, refused []Refused) error {
	if len(refused) == 0 {
		return nil
	}
	for _, d := range p.dead {
		if err := d.Keep(ctx, p.name, w.context.Arrived, refused); err != nil {
			return err
		}
	}
	return nil
}

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
			w.end(false)
			return source.Result{}, err
		}
		w.countSteps()
		w.points = nil // what the source left out is kept
		add(&result, part)
	}
	w.end(true)
	p.stats.messages.Add(1)
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
	p.next(w)
	w.points = m
	result, err := p.writeColumns(ctx, w, s, wanted, b, m)
	if err != nil {
		p.stats.failures.Add(1)
		return source.Result{}, err
	}
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
			w.refusePoint(s.Name(), m, &r.Refusal, func() string { return lineOf(b, int(r.table), int(r.row)) })
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
	rows := b.Rows()
	result.Stored += rows
	w.count(s.Name(), "", result.Stored)
	p.stats.add(w.tally)
	p.stats.messages.Add(1)
	p.stats.records.Add(uint64(rows))
	p.stats.stored.Add(uint64(result.Stored))
	p.stats.refused.Add(uint64(result.Refused))
	return result, nil
}

// Close lets go of the sinks. Nothing is under way any more.
func (p *Pipeline) Close() error {
	var all []error
	for _, s := range p.sinks {
		all = append(all, s.Close())
	}
	for _, d := range p.dead {
		all = append(all, d.Close())
	}
	return errors.Join(all...)
}
