// Package simulate runs a simulated fleet against a target: it makes the
// messages of package simulate/fleet, hands them over when they are due or as
// fast as they are taken, and tells how that went.
//
// The steps of a run:
//
//  1. Each sender walks through the messages of its share of the devices, and
//     gathers those which are due into a batch.
//  2. The target takes the batch, and waits while it has no room; so a target
//     that is slow or away puts the run behind its schedule, and nothing is
//     thrown away.
//  3. When the fleet ends, or the run is told to end, what is not acknowledged
//     yet is waited for. What then is still missing is told.
//
// The latency of a message counts from when it was due, not from when it was
// handed over: otherwise a target that stalls would hide how many messages had
// to wait for it.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/simulate/fleet"
	"github.com/varvedb/varve/simulate/target"
)

// Target takes messages: one of package simulate/target.
type Target interface {
	// Send takes a batch, of which it keeps nothing, and waits while there is no
	// room for it. An error ends the run.
	Send(ctx context.Context, b *target.Batch) error
	// Drain waits until all that was taken is acknowledged or refused.
	Drain(ctx context.Context) error
	Close() error
}

// Run is a run of a fleet.
type Run struct {
	cfg   Config
	fleet *fleet.Fleet
	tally *target.Tally
	topic fleet.Template
	key   fleet.Template

	began  time.Time
	behind atomic.Int64 // the worst since it was asked last, nanoseconds
	worst  atomic.Int64 // of all
	late   atomic.Int64 // messages that were handed over more than tooLate after they were due
	// tooLate is how far behind its schedule a message counts as late: a tenth of
	// the interval, or a second if that is more.
	tooLate time.Duration
	last    atomic.Int64 // when the latest reading that was handed over was due, by the fleet's clock
}

// New returns a run, which counts in tally, as its target does.
func New(cfg Config, tally *target.Tally) (*Run, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Duration > 0 && !cfg.Fast {
		// What is sent does not depend on how fast that goes.
		until := cfg.Fleet.Start.Add(cfg.Duration)
		if cfg.Fleet.Until.IsZero() || until.Before(cfg.Fleet.Until) {
			cfg.Fleet.Until = until
		}
	}
	r := &Run{cfg: cfg, tally: tally, tooLate: max(time.Second, cfg.Fleet.Interval/10)}
	var err error
	if r.topic, err = fleet.NewTemplate(cfg.Topic); err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	if r.key, err = fleet.NewTemplate(cfg.Key); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if r.fleet, err = fleet.New(cfg.Fleet); err != nil {
		return nil, err
	}
	r.last.Store(cfg.Fleet.Start.UnixNano())
	return r, nil
}

// Fleet is the fleet of the run.
func (r *Run) Fleet() *fleet.Fleet { return r.fleet }

// Do sends the fleet's messages to a target until they end or ctx does, and
// calls progress now and then. It returns how the run went, and an error if it
// could not go on.
func (r *Run) Do(ctx context.Context, t Target, progress func(Report)) (Report, error) {
	r.began = time.Now()
	// hard ends what must not be waited for any longer.
	hard, cancel := context.WithCancel(context.Background())
	defer cancel()
	soft := ctx
	if r.cfg.Duration > 0 && r.cfg.Fast {
		var stop context.CancelFunc
		soft, stop = context.WithTimeout(ctx, r.cfg.Duration)
		defer stop()
	}
	soft, fail := context.WithCancelCause(soft)
	defer fail(nil)
	stopGrace := context.AfterFunc(soft, func() {
		timer := time.AfterFunc(r.cfg.Grace, cancel)
		context.AfterFunc(hard, func() { timer.Stop() })
	})
	defer stopGrace()

	var telling, senders sync.WaitGroup
	over := make(chan struct{})
	telling.Go(func() { r.tell(over, progress) })
	for i := range r.cfg.Senders {
		senders.Go(func() {
			if err := r.send(soft, hard, t, i); err != nil && hard.Err() == nil {
				fail(err)
				cancel()
			}
		})
	}
	senders.Wait()
	drain, stop := context.WithTimeout(hard, r.cfg.Grace)
	// What is missing is told by the report.
	drained := t.Drain(drain)
	stop()
	close(over)
	telling.Wait()
	report := r.Report()
	if err := context.Cause(soft); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return report, err
	}
	if drained != nil && !errors.Is(drained, context.Canceled) && !errors.Is(drained, context.DeadlineExceeded) {
		return report, drained
	}
	return report, nil
}

// tell calls progress now and then.
func (r *Run) tell(over <-chan struct{}, progress func(Report)) {
	ticker := time.NewTicker(r.cfg.Every)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
			progress(r.Report())
		}
	}
}

// send is a sender: it hands over the messages of its share of the devices.
func (r *Run) send(soft, hard context.Context, t Target, n int) error {
	walker := r.fleet.Walk(n, r.cfg.Senders)
	encoder := r.fleet.NewEncoder(r.cfg.Layout)
	clock := newClock(r.cfg, r.fleet, r.began)
	var m fleet.Message
	var b target.Batch
	more := walker.Next(&m)
	for more && soft.Err() == nil {
		now := time.Now()
		if wait := clock.due(m.Due) + int64(r.cfg.Linger) - now.UnixNano(); wait > 0 && !clock.free {
			// Those that will be due meanwhile go along.
			if !pause(soft, time.Duration(wait)) {
				return nil
			}
			now = time.Now()
		}
		b.Reset()
		for more && b.Len() < r.cfg.Batch {
			due := now.UnixNano()
			if !clock.free {
				due = clock.due(m.Due)
				if due > now.UnixNano() {
					break
				}
			}
			b.Text = r.topic.Append(b.Text, r.fleet, &m)
			topic := len(b.Text)
			b.Text = r.key.Append(b.Text, r.fleet, &m)
			key := len(b.Text)
			b.Text = encoder.Append(b.Text, &m)
			b.Cut(m.Device, due, topic, key)
			r.schedule(now.UnixNano() - due)
			lift(&r.last, m.Due)
			more = walker.Next(&m)
		}
		if err := t.Send(hard, &b); err != nil {
			return err
		}
	}
	return nil
}

// schedule notes how far behind a message is.
func (r *Run) schedule(behind int64) {
	lift(&r.behind, behind)
	lift(&r.worst, behind)
	if behind > int64(r.tooLate) {
		r.late.Add(1)
	}
}

// lift raises a to v.
func lift(a *atomic.Int64, v int64) {
	for {
		was := a.Load()
		if v <= was || a.CompareAndSwap(was, v) {
			return
		}
	}
}

// clock turns the fleet's time into that of the run.
type clock struct {
	free  bool // messages are due at once
	began int64
	start int64
	scale float64 // how much longer the run takes than the fleet
}

func newClock(cfg Config, f *fleet.Fleet, began time.Time) clock {
	c := clock{began: began.UnixNano(), start: cfg.Fleet.Start.UnixNano(), scale: 1, free: cfg.Fast && cfg.Rate == 0}
	if cfg.Rate > 0 {
		c.scale = 1e9 / cfg.Rate / f.Spacing()
	}
	return c
}

// due is when something of the fleet's time is due, in nanoseconds since 1970.
func (c clock) due(at int64) int64 {
	since := at - c.start
	if c.scale != 1 {
		since = int64(float64(since) * c.scale)
	}
	return c.began + since
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
