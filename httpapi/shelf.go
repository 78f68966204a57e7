package httpapi

import "sync"

// shelf keeps buffers for the next bodies. Unlike a sync.Pool it keeps them
// through a collection, of which full ingest has several a second, and the one
// that was used last is taken first, so that few writers warm few buffers.
type shelf struct {
	mu      sync.Mutex // guards what follows
	buffers []*[]byte
	bytes   int // that buffers hold
}

// take returns a buffer of at least so many bytes, or an empty one.
func (s *shelf) take(size int64) *[]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.buffers) - 1; i >= 0; i-- {
		if b := s.buffers[i]; int64(cap(*b)) >= size {
			s.remove(i)
			return b
		}
	}
	return new([]byte)
}

// give puts a buffer on the shelf, and takes away those that lay there longest
// until all hold no more than limit.
func (s *shelf) give(b *[]byte, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = append(s.buffers, b)
	s.bytes += cap(*b)
	for s.bytes > limit {
		s.remove(0)
	}
}

// remove takes away buffer i. s.mu is held.
func (s *shelf) remove(i int) {
	s.bytes -= cap(*s.buffers[i])
	copy(s.buffers[i:], s.buffers[i+1:])
	s.buffers[len(s.buffers)-1] = nil
	s.buffers = s.buffers[:len(s.buffers)-1]
}
