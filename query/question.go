package query

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/varvedb/varve/exec"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/trace"
)

// Question is what one client wants to know at once, a plan or several.
type Question struct {
	driver    *Driver
	ctx       context.Context
	cancel    context.CancelFunc
	began     time.Time
	asker     string
	allowance allowance

	entering sync.Mutex // guards leave and waited; held through the wait for a place
	leave    func()     // nil: has no place
	waited   time.Duration

	mu      sync.Mutex // guards the rest
	open    []*Answer
	closed  bool
	account account
}

// Run begins to answer a plan, which is not changed until the question is
// closed.
func (q *Question) Run(p *plan.Plan) (*Answer, error) {
	a, err := q.run(p)
	if err != nil {
		q.failed(err)
		return nil, err
	}
	q.mu.Lock()
	q.open = append(q.open, a)
	q.mu.Unlock()
	return a, nil
}

func (q *Question) run(p *plan.Plan) (*Answer, error) {
	kept, clipped, err := q.driver.clip(p)
	if err != nil {
		return nil, err
	}
	a := &Answer{question: q, plan: p, clipped: clipped}
	if kept == nil {
		a.rows = noRows{}
		return a, nil
	}
	if err := q.enter(light(kept)); err != nil {
		return nil, err
	}
	pinned, release, err := q.driver.store.Snapshots()
	if err != nil {
		return nil, err
	}
	snaps := make([]scan.Snapshot, len(pinned))
	for i, s := range pinned {
		snaps[i] = s
	}
	began := time.Now()
	ctx, span := trace.Start(q.ctx, "plan")
	r, err := exec.Run(ctx, kept, snaps, scan.Config{Memory: q})
	if err != nil {
		release()
		span.End(err)
		return nil, err
	}
	a.rows, a.release, a.took, a.span = r, release, time.Since(began), span
	return a, nil
}

// enter waits for a place, unless the question has one.
func (q *Question) enter(isLight bool) error {
	q.entering.Lock()
	defer q.entering.Unlock()
	if q.leave != nil {
		return nil
	}
	ctx, span := trace.Start(q.ctx, "admission")
	began := time.Now()
	leave, err := q.driver.admission.enter(ctx, isLight)
	span.End(err)
	q.leave, q.waited = leave, q.waited+time.Since(began)
	return err
}

// Reserve takes memory of the question, for work above the batches of its
// answers. It implements scan.Memory.
func (q *Question) Reserve(n int64) error { return q.allowance.Reserve(n) }

// Release gives reserved memory back.
func (q *Question) Release(n int64) { q.allowance.Release(n) }

// failed notes why the question ended early.
func (q *Question) failed(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.account.err == nil {
		q.account.err = err
	}
	var m *MemoryError
	if errors.As(err, &m) {
		q.driver.metrics.overMemory.Inc()
	}
}

// Close ends the question and all of its answers. It may be called again.
func (q *Question) Close() {
	q.mu.Lock()
	open, again := q.open, q.closed
	q.open, q.closed = nil, true
	q.mu.Unlock()
	if again {
		return
	}
	for _, a := range open {
		a.Close()
	}
	q.cancel()
	q.entering.Lock()
	leave := q.leave
	q.leave = nil
	q.entering.Unlock()
	if leave != nil {
		leave()
	}
	q.tell()
}
