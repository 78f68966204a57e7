package query

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/varvedb/varve/plan"
)

// admission decides how many questions run at once. Those beyond wait, first
// come first served, up to a number and a time.
//
// A quarter of the places (one at least) is kept free of heavy questions, so
// that light ones, which end in a moment, find a place while heavy ones hold
// all of theirs. That is all there is of priorities: among those that run,
// the scheduler of the runtime gives each its turn.
//
// Rejected: to order the queue by an estimate of the work. What a tag leaves
// of a run is known when its postings are read, which is a good part of the
// work for the quick questions that the order would be for.
type admission struct {
	places  *semaphore.Weighted
	heavy   *semaphore.Weighted // taken before a place
	waiting atomic.Int64

	queue   int64
	wait    time.Duration
	n       int
	metrics *metrics
}

func newAdmission(c Config, m *metrics) *admission {
	n := int64(c.Concurrency)
	heavy := n
	if n > 1 {
		heavy -= max(n/4, 1)
	}
	return &admission{
		places: semaphore.NewWeighted(n), heavy: semaphore.NewWeighted(heavy),
		queue: int64(c.Queue), wait: c.QueueWait, n: c.Concurrency, metrics: m,
	}
}

// light reports whether p is answered from indexes in memory, without reading
// rows.
func light(p *plan.Plan) bool { return p.List != nil && p.Where == nil }

// retryQueued is when to ask again after the queue was full or too slow: what
// holds the places takes longer than a moment.
const retryQueued = 5 * time.Second

// enter takes a place as soon as there is one. leave gives it back.
func (a *admission) enter(ctx context.Context, isLight bool) (leave func(), err error) {
	if a.waiting.Add(1) > a.queue {
		a.waiting.Add(-1)
		a.metrics.rejected.WithLabelValues(rejectedFull).Inc()
		return nil, a.unavailable(fmt.Sprintf("and %d wait for a place", a.queue))
	}
	a.metrics.waiting.Inc()
	began := time.Now()
	err = a.queued(ctx, isLight)
	a.waiting.Add(-1)
	a.metrics.waiting.Dec()
	a.metrics.wait.Observe(time.Since(began).Seconds())
	switch {
	case err == nil:
		return a.leaver(isLight), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	a.metrics.rejected.WithLabelValues(rejectedWait).Inc()
	return nil, a.unavailable(fmt.Sprintf("and this one waited %s for a place", a.wait))
}

func (a *admission) unavailable(why string) error {
	return &UnavailableError{
		Reason:     fmt.Sprintf("%d questions are under way %s: ask again later, ask for less at a time, or raise query.concurrency", a.n, why),
		RetryAfter: retryQueued,
	}
}

// tryEnter takes a place that is free now; nil if none is.
func (a *admission) tryEnter(isLight bool) (leave func()) {
	if !isLight && !a.heavy.TryAcquire(1) {
		return nil
	}
	if !a.places.TryAcquire(1) {
		if !isLight {
			a.heavy.Release(1)
		}
		return nil
	}
	a.metrics.wait.Observe(0)
	return a.leaver(isLight)
}

// queued waits for a place.
func (a *admission) queued(ctx context.Context, isLight bool) error {
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	if !isLight {
		if err := a.heavy.Acquire(ctx, 1); err != nil {
			return err
		}
	}
	err := a.places.Acquire(ctx, 1)
	if err != nil && !isLight {
		a.heavy.Release(1)
	}
	return err
}

func (a *admission) leaver(isLight bool) func() {
	a.metrics.running.Inc()
	return func() {
		a.metrics.running.Dec()
		a.places.Release(1)
		if !isLight {
			a.heavy.Release(1)
		}
	}
}
