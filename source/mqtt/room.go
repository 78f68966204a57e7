package mqtt

import (
	"sync"
	"sync/atomic"
)

// room bounds what waits in the lanes of all pipelines together. Each pipeline
// has the same share of it, so that one that takes nothing does not hold up the
// clients of others.
type room struct {
	limit int64        // bytes, of all
	share atomic.Int64 // bytes, of one
	used  atomic.Int64

	mu    sync.Mutex // of free
	free  *sync.Cond
	waits atomic.Int32
}

// divide is called when the number of pipelines changes.
func (r *room) divide(pipelines int) {
	r.share.Store(r.limit / int64(max(1, pipelines)))
	r.wake()
}

// full reports whether nothing more may wait for one of the lanes' pipelines.
func (r *room) full(lanes []*lane) bool {
	share := r.share.Load()
	for _, l := range lanes {
		if l.slot.used.Load() >= share {
			return true
		}
	}
	return false
}

func (r *room) take(s *slot, n int) {
	r.used.Add(int64(n))
	s.used.Add(int64(n))
}

func (r *room) give(s *slot, n int) {
	r.used.Add(int64(-n))
	s.used.Add(int64(-n))
	if r.waits.Load() > 0 {
		r.wake()
	}
}

func (r *room) wake() {
	r.mu.Lock()
	r.free.Broadcast()
	r.mu.Unlock()
}

// wait returns when there is room or over says that nobody waits any more.
func (r *room) wait(lanes []*lane, over func() bool) {
	r.waits.Add(1)
	defer r.waits.Add(-1)
	r.mu.Lock()
	for r.full(lanes) && !over() {
		r.free.Wait()
	}
	r.mu.Unlock()
}
