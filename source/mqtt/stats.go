package mqtt

import (
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// counters are what the broker counts as it goes.
type counters struct {
	accepted, turnedAway, handshakes, takeovers, sessions atomic.Uint64
	received                                              [3]atomic.Uint64 // by QoS
	taken, commits, retries, held, dropped                atomic.Uint64
	delivered, undelivered, wills, unretained             atomic.Uint64
	bytesIn, bytesOut                                     atomic.Uint64
	statusesLost                                          atomic.Uint64
	refused                                               [256]atomic.Uint64 // by reason
	latency                                               latency
}

func (c *counters) refuse(r mqttwire.Reason) { c.refused[r].Add(1) }

const ms = time.Millisecond

func bounds() [13]time.Duration {
	return [...]time.Duration{ms, 2 * ms, 5 * ms, 10 * ms, 20 * ms, 50 * ms, 100 * ms, 200 * ms, 500 * ms, 1000 * ms, 2000 * ms, 5000 * ms, 10000 * ms}
}

// Bounds are the upper bounds of the buckets of Stats.Latency.
func Bounds() []time.Duration {
	b := bounds()
	return b[:]
}

// latency counts from the arrival of a message to its acknowledgement.
type latency struct {
	buckets [14]atomic.Uint64 // the last one is for what is above all bounds
	sum     atomic.Int64      // nanoseconds
}

func (l *latency) observe(ns int64) {
	i := 0
	for _, most := range bounds() {
		if ns <= int64(most) {
			break
		}
		i++
	}
	l.buckets[i].Add(1)
	l.sum.Add(ns)
}

// Stats is a snapshot of what a broker counts.
type Stats struct {
	Connections, Sessions, Subscriptions, Retained int
	Waiting                                        int64 // bytes that wait for pipelines
	Outgoing                                       int64 // bytes that wait for subscribers, in sessions
	Unwritten                                      int64 // bytes that wait to be written to slow readers
	Accepted, TurnedAway, HandshakeFailures        uint64
	Takeovers                                      uint64
	Received                                       [3]uint64 // messages by QoS
	Taken, Commits, Retries, Held                  uint64
	Dropped                                        uint64 // of QoS 0
	Delivered, Undelivered, Wills, Unretained      uint64
	BytesIn, BytesOut                              uint64
	StatusesLost                                   uint64
	// Refused is by reason, without those that never came.
	Refused map[string]uint64
	// Latency counts acknowledgements by how long they took; below Bounds and,
	// last, above all.
	Latency    [14]uint64
	LatencySum time.Duration
}

// Stats returns a snapshot.
func (b *Broker) Stats() Stats {
	c := &b.stats
	s := Stats{
		Subscriptions: int(b.tree.count.Load()), Waiting: b.room.used.Load(), Unwritten: b.unwritten.Load(),
		Accepted: c.accepted.Load(), TurnedAway: c.turnedAway.Load(), HandshakeFailures: c.handshakes.Load(), Takeovers: c.takeovers.Load(),
		Taken: c.taken.Load(), Commits: c.commits.Load(), Retries: c.retries.Load(), Held: c.held.Load(), Dropped: c.dropped.Load(),
		Delivered: c.delivered.Load(), Undelivered: c.undelivered.Load(), Wills: c.wills.Load(), Unretained: c.unretained.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), StatusesLost: c.statusesLost.Load(),
		Refused: map[string]uint64{}, LatencySum: time.Duration(c.latency.sum.Load()),
	}
	for i := range b.backlogs {
		s.Outgoing += b.backlogs[i].used.Load()
	}
	s.Retained, _ = b.retained.size()
	b.mu.Lock()
	s.Connections, s.Sessions = len(b.conns), len(b.sessions)
	b.mu.Unlock()
	for i := range c.received {
		s.Received[i] = c.received[i].Load()
	}
	for i := range c.refused {
		if n := c.refused[i].Load(); n > 0 {
			s.Refused[mqttwire.Reason(i).String()] = n
		}
	}
	for i := range c.latency.buckets {
		s.Latency[i] = c.latency.buckets[i].Load()
	}
	return s
}
