package live

import "sync"

// leastQueue is what a queue must be able to hold: two chunks, so that one can
// be taken while the next one comes.
const leastQueue = 2 * chunkBytes

// Subscription is what one client listens to. Its methods belong to one
// goroutine, which ends with Close.
type Subscription struct {
	hub   *Hub
	feed  *feed
	ready chan struct{} // holds one entry if there may be something to take

	mu     sync.Mutex // guards the rest
	queue  []*chunk   // the oldest first
	bytes  int64      // of queue
	missed uint64     // points that were dropped since Take told of them
	ended  error      // nil while it goes on
	tell   func()     // called once when it ends; nil: nobody
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
	s.hub.memory.give(c.bytes)
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
	room := s.room(c.bytes)
	for !room && len(s.queue) > 0 {
		dropped += s.shift().points
		room = s.room(c.bytes)
	}
	if room {
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

// room takes memory for n bytes more that are to wait, if there is any; mu is
// held.
func (s *Subscription) room(n int64) bool {
	return s.bytes+n <= s.hub.cfg.BufferBytes && s.hub.memory.take(n, s.bytes)
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
	s.mu.Lock()
	if s.ended == nil {
		s.ended = ErrStopped // for writers that still know it
	}
	s.tell = nil
	for len(s.queue) > 0 {
		s.shift()
	}
	s.missed = 0
	s.mu.Unlock()
	s.hub.remove(s)
}
