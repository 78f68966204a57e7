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
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

// add counts what became of a call.
func (c *counters) add(messages, records int, r source.Result, places []tally) {
	c.messages.Add(uint64(messages))
	c.records.Add(uint64(records))
	c.stored.Add(uint64(r.Stored))
	c.dropped.Add(uint64(r.Dropped))
	c.refused.Add(uint64(r.Refused))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.places == nil {
		c.places = map[[2]string]uint64{}
	}
	for _, t := range places {
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
				p.fail(w)
				return source.Result{}, err
			}
		}
		part, err := p.pass(ctx, w, messages, 0)
		if err != nil {
			p.fail(w)
			return source.Result{}, err
		}
		add(&result, part)
		from = to
	}
	p.end(w, len(messages), result)
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
	for k := before; k < w.list.Len(); k++ {
		r := w.list.At(k)
		r.Number, r.Of = k-before, w.list.Len()-before
	}
	p.apply(w, m, before)
	w.count(placeDecode, "", 1)
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
		return source.Result{}, err
	}
	w.records += records
	result.Refused, result.Reason = w.total, w.first()
	result.Dropped = records - result.Stored - w.behind
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
