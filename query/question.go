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

// Context returns the context of the question, which ends with it: at its
// deadline or when it is closed, at the latest. context.Cause says why.
func (q *Question) Context() context.Context { return q.ctx }

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
	d := q.driver
	kept, clipped, err := d.clip(p)
	if err != nil {
		return nil, err
	}
	a := &Answer{question: q, clipped: clipped}
	if kept == nil {
		a.rows = noRows{}
		return a, nil
	}
	st, err := d.pin(kept, clipped == "")
	if err != nil {
		return nil, err
	}
	stored := d.results.get(st.key)
	if stored == nil && !q.hasPlace(light(kept)) {
		st.release()
		if err := q.waitForPlace(light(kept)); err != nil {
			return nil, err
		}
		if st, err = d.pin(kept, clipped == ""); err != nil {
			return nil, err
		}
		stored = d.results.get(st.key) // another may have asked the same meanwhile
	}
	if stored != nil {
		st.release()
		a.rows = &replay{Stored: stored, plan: kept}
		return a, nil
	}
	began := time.Now()
	ctx, span := trace.Start(q.ctx, "plan")
	r, err := exec.Run(ctx, kept, st.snaps, scan.Config{Memory: q})
	if err != nil {
		st.release()
		span.End(err)
		return nil, err
	}
	a.rows, a.release, a.took, a.span = r, st.release, time.Since(began), span
	if p.Aggregate != nil && p.Aggregate.Window == nil {
		a.rows = wholeRange{a.rows, p.Start}
	}
	if st.key != nil {
		a.rows = &recorder{rows: a.rows, results: d.results, key: st.key, memory: q, limit: p.Total.Limit, copy: &Stored{}}
	}
	return a, nil
}

// state is what one plan sees.
type state struct {
	snaps   []scan.Snapshot
	release func()
	key     resultKey // nil: the answer is not to be kept
}

func (d *Driver) pin(p *plan.Plan, keep bool) (*state, error) {
	pinned, release, err := d.store.Snapshots()
	if err != nil {
		return nil, err
	}
	st := &state{snaps: make([]scan.Snapshot, len(pinned)), release: release}
	for i, s := range pinned {
		st.snaps[i] = s
	}
	if keep {
		st.key = d.results.key(p, pinned)
	}
	return st, nil
}

// hasPlace reports whether the question has a place. It takes one that is
// free.
func (q *Question) hasPlace(isLight bool) bool {
	q.entering.Lock()
	defer q.entering.Unlock()
	if q.leave != nil {
		return true
	}
	_, span := trace.Start(q.ctx, "admission")
	q.leave = q.driver.admission.tryEnter(isLight)
	span.End(nil)
	return q.leave != nil
}

// waitForPlace waits for a place, unless the question got one meanwhile.
func (q *Question) waitForPlace(isLight bool) error {
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
	q.allowance.releaseAll()
	q.entering.Lock()
	leave := q.leave
	q.leave = nil
	q.entering.Unlock()
	if leave != nil {
		leave()
	}
	q.tell()
}
