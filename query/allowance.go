package query

import (
	"fmt"
	"sync"

	"github.com/varvedb/varve/scan"
)

// allowance is the memory of one question: a limit of its own over the pool
// that all share.
type allowance struct {
	pool  scan.Memory
	limit int64

	mu   sync.Mutex // guards used and high; the pool is asked without it
	used int64
	high int64 // the most that was ever used
}

// MemoryError says that a question needs more memory than one may have. To
// ask the same again makes no difference.
type MemoryError struct {
	Limit, Used, Asked int64 // bytes
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("the question needs more memory than one may have: it keeps %d bytes and needs %d more, the limit is %d (query.memory_limit); ask for a shorter range, fewer series or fields, wider windows, or a limit without an order; or raise query.memory_limit", e.Used, e.Asked, e.Limit)
}

// Reserve implements scan.Memory.
func (a *allowance) Reserve(n int64) error {
	a.mu.Lock()
	if n > a.limit-a.used {
		err := &MemoryError{Limit: a.limit, Used: a.used, Asked: n}
		a.mu.Unlock()
		return err
	}
	a.used += n
	a.mu.Unlock()
	if err := a.pool.Reserve(n); err != nil {
		a.forget(n)
		return fmt.Errorf("the memory of all questions together is used up; ask again later, or for less: %w", err)
	}
	a.mu.Lock()
	a.high = max(a.high, a.used)
	a.mu.Unlock()
	return nil
}

// Release implements scan.Memory.
func (a *allowance) Release(n int64) {
	a.forget(n)
	a.pool.Release(n)
}

// releaseAll gives back what is still reserved at the end. What a question does
// not give back itself would be lost to all.
func (a *allowance) releaseAll() {
	a.mu.Lock()
	n := a.used
	a.used = 0
	a.mu.Unlock()
	a.pool.Release(n)
}

func (a *allowance) forget(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > a.used {
		// It would be taken from what others have.
		panic(fmt.Sprintf("BUG: a question gives back %d bytes of memory and has %d", n, a.used))
	}
	a.used -= n
}

// most returns the most that was ever reserved at once.
func (a *allowance) most() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.high
}
