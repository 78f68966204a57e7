package live

import "sync"

const (
	// queueFloor is what a subscriber has in any case: two chunks, so that one
	// can be taken while the next one comes.
	queueFloor = 2 * chunkBytes
	// queueStep is how much it takes at a time beyond that.
	queueStep = 256 << 10
)

// Subscription is what one client listens to. Its methods belong to one
// goroutine, which ends with Close.
type Subscription struct {
	hub   *Hub
	feed  *feed
	ready chan struct{} // holds one entry if there may be something to take

	mu       sync.Mutex // guards the rest
	queue    []*chunk   // the oldest first
	bytes    int64      // of queue
	reserved int64      // of the memory of the hub
	missed   uint64     // points that were dropped since Take told of them
	ended    error      // nil while it goes on
	tell     func()     // called once when it ends; nil: nobody
}

// Ready tells when there is something to Take: points, or the end.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// WhenEnded has f called when the subscription ends other than by Close, in a
// goroutine that must not wait, or at once if it has ended.
func (s *Subscription) WhenEnded(f func()) {
	s.mu.Lock()
	ended := s.ended != nil
	if !ended {
		s.tell = f
	}
	s.mu.Unlock()
	if ended {
		f()
	}
}

// Part is what comes next of a subscription.
type Part struct {
	// Missed is how many points were dropped here, because they were not taken
	// in time.
	Missed uint64
	// Lines are Points objects of JSON with a line break each, after those that
	// were missed. They belong to others too and are not changed.
	Lines  []byte
	Points int
}

// Take returns the next part, an empty one if nothing is there now. The error
// is why the subscription has ended; it comes after the last part.
func (s *Subscription) Take() (Part, error) {
	s.mu.Lock()
	p := Part{Missed: s.missed}
	s.missed = 0
	if len(s.queue) == 0 {
		err := s.ended
		s.mu.Unlock()
		if p.Missed > 0 {
			err = nil
		}
		return p, err
	}
	c := s.shift()
	if len(s.queue) == 0 && s.reserved > queueFloor {
		s.hub.release(s.reserved - queueFloor)
		s.reserved = queueFloor
	}
	s.mu.Unlock()
	p.Lines, p.Points = c.text(), c.points
	return p, nil
}

// shift takes the oldest chunk out of the queue; mu is held.
func (s *Subscription) shift() *chunk {
	c := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.bytes -= c.bytes
	return c
}

// push puts a chunk into the queue, and the oldest ones out of it if there is
// no room.
func (s *Subscription) push(c *chunk) {
	s.mu.Lock()
	if s.ended != nil {
		s.mu.Unlock()
		return
	}
	dropped := 0
	for !s.room(c.bytes) && len(s.queue) > 0 {
		dropped += s.shift().points
	}
	if s.room(c.bytes) {
		s.queue = append(s.queue, c)
		s.bytes += c.bytes
	} else {
		dropped += c.points // a single one that is larger than all the room
	}
	s.missed += uint64(dropped)
	s.mu.Unlock()
	if dropped > 0 {
		s.hub.counts.missed.Add(uint64(dropped))
	}
	s.wake()
}

// room reports whether n bytes more can wait, and takes memory for them; mu is
// held.
func (s *Subscription) room(n int64) bool {
	lacking := s.bytes + n - s.reserved
	if lacking <= 0 {
		return true
	}
	most := s.hub.cfg.BufferBytes - s.reserved
	if lacking > most {
		return false
	}
	more := min((lacking+queueStep-1)/queueStep*queueStep, most)
	if !s.hub.reserve(more) {
		if more = lacking; !s.hub.reserve(more) {
			return false
		}
	}
	s.reserved += more
	return true
}

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default: // it was told already
	}
}

// end lets a subscription end with an error, behind what is in its queue.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	var tell func()
	if s.ended == nil {
		s.ended, tell, s.tell = err, s.tell, nil
	}
	s.mu.Unlock()
	s.wake()
	if tell != nil {
		tell()
	}
}

// Close ends the subscription and gives its memory back. It is called once.
func (s *Subscription) Close() {
	s.hub.remove(s)
	s.mu.Lock()
	if s.ended == nil {
		s.ended = ErrStopped // for writers that still know it
	}
	s.tell = nil
	s.queue, s.bytes, s.missed = nil, 0, 0
	reserved := s.reserved
	s.reserved = 0
	s.mu.Unlock()
	s.hub.release(reserved)
}
