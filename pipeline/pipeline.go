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
// detect) sees a repeat too: it is best-effort, and lost in a crash.
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

// The places where a record can be refused, beside the steps.
const (
	placeDecode = "decode"
)

// Pipeline is what a declaration makes of messages.
type Pipeline struct {
	name   string
	format decode.Format // nil if the source's protocol says what a point is
	steps  []*step.Declared
	sinks  []Sink
	dead   []DeadLetters
	now    func() time.Time

	stats *counters

	mu   sync.Mutex // guards what follows
	idle []*worker
}

// counters are what became of messages.
type counters struct {
	messages, records, stored, dropped, refused, failures atomic.Uint64

	mu      sync.Mutex // guards what follows
	refusal map[[2]string]uint64
}

// refusedFor counts a refusal at a place that is no step.
func (c *counters) refusedFor(place, reason string) { c.refusedManyFor(place, reason, 1) }

func (c *counters) refusedManyFor(place, reason string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal == nil {
		c.refusal = map[[2]string]uint64{}
	}
	c.refusal[[2]string{place, reason}] += uint64(n)
}

// worker is what one call of Take takes.
type worker struct {
	context *step.Context
	decoder decode.Decoder
	list    record.List
	live    []int
	runs    []step.Run
	refused []Refused
	total   int             // of refused, those that are not listed included
	behind  int             // of them behind the decoder
	gone    []int           // records that sinks refused
	points  *source.Message // that a batch came with
	size    int             // bytes of refused points of it
	reason  string          // why the source left out the first of what it left out
}

// maxKeptRecords is how many records an idle worker keeps memory for.
const maxKeptRecords = 1 << 16

func (p *Pipeline) take() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return w
	}
	w := &worker{context: step.NewContext()}
	if p.format != nil {
		w.decoder = p.format.Decoder()
		w.context.TimeName = p.format.Names().Time
	}
	return w
}

func (p *Pipeline) give(w *worker) {
	if w.list.Len() > maxKeptRecords || cap(w.refused) > maxKeptRecords {
		return
	}
	clear(w.refused)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) < maxIdleWorkers {
		p.idle = append(p.idle, w)
	}
}

// begin makes w ready for a call.
func (p *Pipeline) begin(w *worker) {
	w.list.Reset()
	w.live, w.refused, w.gone, w.runs = w.live[:0], w.refused[:0], w.gone[:0], w.runs[:0]
	w.total, w.behind, w.points, w.size, w.reason = 0, 0, nil, 0, ""
	for _, s := range p.steps {
		w.runs = append(w.runs, s.Begin())
	}
	now := p.now()
	w.context.Now, w.context.Arrived = now, now.UnixNano()
}

// end ends the runs of steps, and tells them whether the records are safe.
func (w *worker) end(safe bool) {
	for k := range w.runs {
		w.runs[k].End(safe)
	}
}

// Take implements source.Intake.
func (p *Pipeline) Take(ctx context.Context, messages []source.Message) (source.Result, error) {
	w := p.take()
	defer p.give(w)
	p.begin(w)
	for i := range messages {
		m := &messages[i]
		w.context.Topic, w.context.Client = m.Topic, m.Client
		if err := p.message(w, m, i); err != nil {
			p.stats.failures.Add(1)
			w.end(false)
			return source.Result{}, err
		}
	}
	result, err := p.pass(ctx, w, messages, 0)
	w.end(err == nil)
	return result, err
}

// message decodes message number i and takes its records through the steps. Its
// error is one that passes. What makes them panic is refused like any other: the
// source would hand it over again after a restart, for ever.
func (p *Pipeline) message(w *worker, m *source.Message, i int) (err error) {
	before, live, refused := w.list.Len(), len(w.live), len(w.refused)
	defer func() {
		if r := recover(); r != nil {
			w.list.Truncate(before)
			w.live, w.refused = w.live[:live], w.refused[:refused]
			w.refuse(placeDecode, m, &record.Refusal{Reason: "internal_error", Detail: fmt.Sprint(r)}, nil)
			p.stats.refusedFor(placeDecode, "internal_error")
			err = nil
		}
	}()
	if u := m.Unread; u != nil {
		w.refuse(placeDecode, m, &record.Refusal{Reason: u.Reason, Detail: u.Detail}, nil)
		p.stats.refusedFor(placeDecode, u.Reason)
		return nil
	}
	if err := w.decoder.Decode(m, i, w.context.Arrived, &w.list); errors.Is(err, source.ErrBusy) {
		return err
	} else if err != nil {
		w.refuse(placeDecode, m, refusal(err), nil)
		p.stats.refusedFor(placeDecode, refusal(err).Reason)
		return nil
	}
	for k := before; k < w.list.Len(); k++ {
		r := w.list.At(k)
		r.Number, r.Of = k-before, w.list.Len()-before
	}
	p.apply(w, m, before)
	return nil
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
			p.refuseRecord(w, p.steps[k].Name, m, &record.Refusal{Reason: w.context.Reason, Detail: w.context.Detail}, r)
		default:
			p.stats.dropped.Add(1)
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
		passage := &Passage{Messages: messages, Records: &w.list, Live: w.live, Arrived: w.context.Arrived, Bucket: bucket}
		passage.refuse = func(i int, place string, why *record.Refusal) {
			w.gone = append(w.gone, i)
			r := w.list.At(i)
			p.refuseRecord(w, place, passage.Message(r), why, r)
			p.stats.refusedFor(place, why.Reason)
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
	p.stats.messages.Add(uint64(len(messages)))
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
		p.stats.refusedManyFor(placeDecode, l.Reason, l.Points)
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
	w := p.take()
	defer p.give(w)
	p.begin(w)
	w.context.Topic, w.context.Client, w.points = m.Topic, m.Client, m
	if s, ok := p.direct(); ok {
		return p.takeColumns(ctx, w, s, bucket, b, m)
	}
	messages := []source.Message{*m}
	batch.Records(b, 0, &w.list)
	p.apply(w, &messages[0], 0)
	result, err := p.pass(ctx, w, messages, bucket)
	w.end(err == nil)
	return result, err
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
func (p *Pipeline) takeColumns(ctx context.Context, w *worker, s *storeSink, wanted uint64, b *column.Batch, m *source.Message) (source.Result, error) {
	result := source.Result{}
	bucket, err := s.target(wanted)
	if err == nil {
		err = s.store.Write(ctx, bucket, b, func(table, row int, reason, detail string) {
			p.stats.refusedFor(s.Name(), reason)
			w.refusePoint(s.Name(), m, &record.Refusal{Reason: reason, Detail: detail}, func() string { return lineOf(b, table, row) })
		})
	}
	if err == nil {
		err = p.keep(ctx, w)
	}
	if err != nil {
		p.stats.failures.Add(1)
		return result, err
	}
	rows := b.Rows()
	result.Refused, result.Reason = w.total, w.first()
	result.Stored = rows - w.behind
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
