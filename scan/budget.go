package scan

import "sync"

// budget remembers what a scan has reserved, so that Close can give it back.
type budget struct {
	memory Memory // nil: no limit

	mu   sync.Mutex // guards used
	used int64
}

func newBudget(m Memory) *budget { return &budget{memory: m} }

func (b *budget) reserve(n int64) error {
	if b.memory == nil || n <= 0 {
		return nil
	}
	if err := b.memory.Reserve(n); err != nil {
		return err
	}
	b.mu.Lock()
	b.used += n
	b.mu.Unlock()
	return nil
}

func (b *budget) release(n int64) {
	if b.memory == nil || n <= 0 {
		return
	}
	b.mu.Lock()
	n = min(n, b.used)
	b.used -= n
	b.mu.Unlock()
	b.memory.Release(n)
}

func (b *budget) releaseAll() {
	b.mu.Lock()
	n := b.used
	b.mu.Unlock()
	b.release(n)
}
