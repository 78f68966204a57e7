package mqtt

import (
	"slices"
	"sync"
	"sync/atomic"
)

// backlog bounds what waits for subscribers in all sessions together. A message
// counts once, however many wait for it. When there is too much, the sessions
// that have most give: their latest messages are dropped.
type backlog struct {
	limit int64 // bytes
	used  atomic.Int64
	mu    sync.Mutex // held while sessions are made to give
}

// The backlogs of a broker.
const (
	fresh    = iota // messages as they are published
	old             // retained ones, which new subscribers get
	backlogs        // how many there are
)

// outgoingCost is what a message takes in each session that it waits in, beside
// what it takes once.
const outgoingCost = 96

// hold counts a message of a session. session.mu is held.
func (s *session) hold(o *outgoing) {
	b := &s.broker.backlogs[o.backlog]
	size := o.message.size()
	s.bytes += size
	s.held[o.backlog].Add(int64(size + outgoingCost))
	if o.message.holders[o.backlog].Add(1) == 1 {
		b.used.Add(int64(size))
	}
	b.used.Add(outgoingCost)
}

// let is the contrary of hold; o has no message from then on. session.mu is held.
func (s *session) let(o *outgoing) {
	if o.message == nil {
		return
	}
	b := &s.broker.backlogs[o.backlog]
	size := o.message.size()
	s.bytes -= size
	s.held[o.backlog].Add(-int64(size + outgoingCost))
	if o.message.holders[o.backlog].Add(-1) == 0 {
		b.used.Add(-int64(size))
	}
	b.used.Add(-outgoingCost)
	o.message = nil
}

// relieve makes the sessions that have most give until there is some room, if
// too much waits. No lock is held.
func (b *Broker) relieve(which int) {
	l := &b.backlogs[which]
	if l.used.Load() <= l.limit {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used.Load() <= l.limit {
		return // another one has
	}
	type holder struct {
		*session
		held int64
	}
	var all []holder
	b.mu.Lock()
	for _, s := range b.sessions {
		if n := s.held[which].Load(); n > 0 {
			all = append(all, holder{s, n})
		}
	}
	b.mu.Unlock()
	slices.SortFunc(all, func(x, y holder) int { return int(y.held - x.held) })
	// Some room, so that not every message asks all sessions.
	enough := l.limit - l.limit/16
	for level := l.limit; level > 0 && l.used.Load() > enough; {
		level /= 2
		for _, s := range all {
			if s.held <= level || l.used.Load() <= enough {
				break
			}
			s.shed(which, level, enough)
		}
	}
}

// shed drops the latest messages until no more than some bytes are held, or
// enough has become free. What has not been sent goes first. Of what the client has
// got the identifier stays in use until it acknowledges: the window is its own.
func (s *session) shed(which int, level, enough int64) {
	l := &s.broker.backlogs[which]
	s.mu.Lock()
	defer s.mu.Unlock()
	drop := func(from []outgoing) {
		for i := len(from) - 1; i >= 0 && s.held[which].Load() > level && l.used.Load() > enough; i-- {
			if o := &from[i]; int(o.backlog) == which && o.message != nil {
				s.let(o)
				o.shed = true
				s.broker.stats.undelivered.Add(1)
			}
		}
	}
	drop(s.queue)
	s.queue = slices.DeleteFunc(s.queue, func(o outgoing) bool { return o.shed })
	drop(s.inflight)
	if s.conn == nil {
		s.forget()
	}
}

// forget gives up identifiers of messages that were shed, which the client cannot
// acknowledge over a connection that has ended. One of QoS 2 it may have noted: it is
// told to release it. session.mu is held.
func (s *session) forget() {
	s.inflight = slices.DeleteFunc(s.inflight, func(o outgoing) bool { return o.shed && o.qos == 1 })
	for i := range s.inflight {
		if o := &s.inflight[i]; o.shed {
			o.rel = true
		}
	}
}
