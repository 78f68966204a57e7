package live

import (
	"sync"
	"sync/atomic"
)

// share is the memory that all queues have together. Each chunk in a queue is
// counted, for each queue that it is in, by an addition; what is counted is
// reserved from the pool by the MiB.
//
// A queue may be as long as what is free at the moment (Choudhury and Hahne,
// Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998): the
// more slow readers there are, the less each has, and something is always left
// for those that only need it now and then.
type share struct {
	pool  Memory
	limit int64        // bytes
	held  atomic.Int64 // by queues

	mu      sync.Mutex // guards changes of granted
	granted atomic.Int64
}

// shareStep is how much is reserved from the pool at a time.
const shareStep = 1 << 20

// take counts n bytes for a queue that has some already, if it may have them.
func (s *share) take(n, have int64) bool {
	held := s.held.Add(n)
	if have+n > s.limit-held+n || held > s.granted.Load() && !s.grow() {
		s.held.Add(-n)
		return false
	}
	return true
}

// grow reserves what is held beyond what is granted.
func (s *share) grow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	granted := s.granted.Load()
	lacking := s.held.Load() - granted
	if lacking <= 0 {
		return true
	}
	more := min((lacking+shareStep-1)/shareStep*shareStep, s.limit-granted)
	if more < lacking || !s.pool.TryReserve(more) {
		return false
	}
	s.granted.Add(more)
	return true
}

// give takes n bytes back. Some MiB stay reserved, so that queues that fill and
// empty do not ask the pool each time.
func (s *share) give(n int64) {
	if held := s.held.Add(-n); s.granted.Load()-held > 3*shareStep {
		s.shrink(2 * shareStep)
	}
}

// shrink releases what is granted beyond what is held and some more.
func (s *share) shrink(more int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if surplus := s.granted.Load() - s.held.Load() - more; surplus > 0 {
		s.granted.Add(-surplus)
		s.pool.Release(surplus)
	}
}
