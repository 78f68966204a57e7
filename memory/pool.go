package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrFull says that a reservation was refused. It passes as others release.
var ErrFull = errors.New("out of memory budget")

// Pool is a number of bytes that work reserves before it allocates.
type Pool struct {
	name  string
	limit int64

	mu       sync.Mutex // guards the rest down to borrow
	used     int64
	high     int64
	rejected int64
	waiting  []*waiter // in order of arrival
	lent     int64     // what the borrower may use
	applied  int64     // what it was last told, and has carried out
	borrow   func(int64)

	lending sync.Mutex // guards calls of borrow; taken before mu
}

type waiter struct {
	bytes int64
	done  chan struct{} // closed when the bytes are reserved
}

// NewPool returns a pool of limit bytes.
func NewPool(name string, limit int64) *Pool {
	return &Pool{name: name, limit: limit}
}

// Reserve takes n bytes, or reports that they are not there with an error
// that wraps ErrFull. It does not stand behind those who wait in Acquire:
// work that has begun must be able to end.
func (p *Pool) Reserve(n int64) error {
	ok, used := p.reserve(n)
	if ok {
		return nil
	}
	return fmt.Errorf("reserve %d bytes for %s, %d of %d are in use: %w", n, p.name, used, p.limit, ErrFull)
}

// TryReserve is Reserve for callers that need no words.
func (p *Pool) TryReserve(n int64) bool {
	ok, _ := p.reserve(n)
	return ok
}

func (p *Pool) reserve(n int64) (ok bool, used int64) {
	mustBeSize(n)
	p.mu.Lock()
	if n > p.limit-p.used {
		p.rejected++
		used = p.used
		p.mu.Unlock()
		return false, used
	}
	p.take(n)
	used = p.used
	changed := p.adjustLoan()
	p.mu.Unlock()
	if changed {
		p.tellBorrower()
	}
	return true, used
}

// Acquire takes n bytes as soon as they are there, first come first served.
// It fails when ctx ends, or at once if the pool could never give so much.
func (p *Pool) Acquire(ctx context.Context, n int64) error {
	mustBeSize(n)
	p.mu.Lock()
	if n > p.limit {
		p.rejected++
		p.mu.Unlock()
		return fmt.Errorf("reserve %d bytes for %s, more than its limit of %d: %w", n, p.name, p.limit, ErrFull)
	}
	if len(p.waiting) == 0 && n <= p.limit-p.used {
		p.take(n)
		changed := p.adjustLoan()
		p.mu.Unlock()
		if changed {
			p.tellBorrower()
		}
		return nil
	}
	w := &waiter{n, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()

	select {
	case <-w.done:
		p.tellBorrower() // who served us may not have come to it
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, o := range p.waiting {
		if o == w {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			p.rejected++
			// Those behind may need less.
			p.serve()
			changed := p.adjustLoan()
			used := p.used
			p.mu.Unlock()
			if changed {
				p.tellBorrower()
			}
			return fmt.Errorf("wait for %d bytes for %s, %d of %d are in use: %w", n, p.name, used, p.limit, ctx.Err())
		}
	}
	p.mu.Unlock()
	p.tellBorrower()
	return nil // served at the same moment
}

// Release gives n bytes back.
func (p *Pool) Release(n int64) {
	mustBeSize(n)
	p.mu.Lock()
	if n > p.used {
		used := p.used
		p.mu.Unlock()
		panic(fmt.Sprintf("BUG: %d bytes released to %s, which has %d reserved", n, p.name, used))
	}
	p.used -= n
	p.serve()
	changed := p.adjustLoan()
	p.mu.Unlock()
	if changed {
		p.tellBorrower()
	}
}

// take reserves n bytes that are there. p.mu is held.
func (p *Pool) take(n int64) {
	p.used += n
	p.high = max(p.high, p.used)
}

// serve reserves for those who wait, as far as it goes. p.mu is held.
func (p *Pool) serve() {
	for len(p.waiting) > 0 && p.waiting[0].bytes <= p.limit-p.used {
		p.take(p.waiting[0].bytes)
		close(p.waiting[0].done)
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
	}
}

// loanSteps is in how many steps idle memory is lent, so that small
// reservations do not resize the borrower each time.
const loanSteps = 16

// adjustLoan sets what is lent after a change of used and reports whether the
// borrower has yet to carry that out. p.mu is held.
func (p *Pool) adjustLoan() bool {
	if p.borrow == nil {
		return false
	}
	step := max(p.limit/loanSteps, 1)
	idle := p.limit - p.used
	// It is taken back when needed, and raised by two steps at least, so that
	// use around the border of a step changes nothing.
	if idle < p.lent || idle >= p.lent+2*step {
		p.lent = idle / step * step
	}
	return p.lent != p.applied
}

// tellBorrower passes on what is lent now, and returns when it was carried
// out. Calls are made one at a time, so that the last one tells the last state.
func (p *Pool) tellBorrower() {
	p.lending.Lock()
	defer p.lending.Unlock()
	p.mu.Lock()
	lent, applied, borrow := p.lent, p.applied, p.borrow
	p.mu.Unlock()
	if borrow == nil || lent == applied {
		return
	}
	borrow(lent)
	p.mu.Lock()
	p.applied = lent
	p.mu.Unlock()
}

// Lend lets borrow use what is idle. It is called with a number of bytes now
// and whenever that changes; when it returns from a smaller one it uses no
// more. It must not use p. There is one borrower.
func (p *Pool) Lend(borrow func(idle int64)) {
	p.mu.Lock()
	if p.borrow != nil {
		p.mu.Unlock()
		panic("BUG: memory pool " + p.name + " is lent twice")
	}
	p.borrow, p.applied = borrow, -1
	p.adjustLoan()
	p.mu.Unlock()
	p.tellBorrower()
}

func mustBeSize(n int64) {
	if n < 0 {
		panic(fmt.Sprintf("BUG: memory size %d is negative", n))
	}
}

// PoolStats is a snapshot of a Pool. Sizes are in bytes.
type PoolStats struct {
	Name     string
	Limit    int64
	Used     int64
	High     int64 // the most that was ever used
	Lent     int64
	Rejected int64 // reservations refused and waits given up
	Waiting  int   // callers in Acquire
}

// Stats returns a snapshot.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStats{p.name, p.limit, p.used, p.high, p.lent, p.rejected, len(p.waiting)}
}
