package mqtt

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// session is what the broker knows of a client, beyond one connection.
type session struct {
	broker       *Broker
	key          string
	client, user string
	number       uint64 // for an order among sessions
	quiet        bool   // the client has no name of its own: its coming and going is no fact about a device
	connected    atomic.Bool
	received     received

	mu       sync.Mutex // guards what is below
	conn     *conn      // nil: it is away
	resuming bool       // conn has not got what was in flight yet
	expiry   uint32     // seconds that it stays when the client is away
	left     time.Time
	dead     bool
	subs     map[string]*subscription
	may      permissions // what the client may have, as of restrict
	window   int         // messages that the client takes before it acknowledges
	inflight []outgoing  // sent, in the order of sending
	queue    []outgoing  // not sent yet
	bytes    int         // of the messages of both
	lastID   uint16

	// held is bytes by backlog, with what each message costs; read without mu.
	held [backlogs]atomic.Int64
}

// outgoing is a message of QoS 1 or 2 for the client.
type outgoing struct {
	message *message // nil: the client has it, by a PUBREC, or it was shed
	id      uint16
	qos     byte
	retain  bool
	rel     bool // PUBREC has come, or is not waited for
	shed    bool // and counted as undelivered
	backlog int8
	ids     []uint32 // of subscriptions
	shared  string   // the filter of the shared subscription that it came by; "": of none
}

const (
	// maxWindow bounds what a client may have on its way, whatever it takes.
	maxWindow = 1024
	// retainedQueue is how many times longer the queue may be for retained
	// messages, which a new subscriber gets all at once.
	retainedQueue = 20
	// queueBytes is how many bytes may wait for each message that may: telemetry
	// and commands are much smaller.
	queueBytes = 8 << 10
	// leastQueueBytes is what may wait in a session with a short queue.
	leastQueueBytes = 1 << 20
	// maxOut is how much waits for a slow reader: messages of QoS 0 beyond it are
	// dropped, others stay in the queue.
	maxOut = 256 << 10
	// fairOut is how much of that each connection has, whatever waits for others.
	fairOut = 16 << 10
)

func (s *session) current() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// begin puts a connection in place; restrict tells what it returns.
func (s *session) begin(c *conn, m *mqttwire.Connect, expiry uint32) (lost int, others []outgoing) {
	s.mu.Lock()
	lost, others = s.restrict(c.access)
	others = append(others, s.retract()...)
	s.conn, s.expiry, s.resuming = c, expiry, true
	s.window = min(int(m.ReceiveMaximum), maxWindow)
	s.mu.Unlock()
	s.connected.Store(true)
	return lost, others
}

// leave takes a connection out; false if another one has its place.
func (s *session) leave(c *conn, now time.Time) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return false
	}
	s.conn, s.left = nil, now
	s.connected.Store(false)
	return true
}

// setExpiry is for DISCONNECT: false if it would break the protocol.
func (s *session) setExpiry(seconds, most uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expiry == 0 && seconds > 0 {
		return false
	}
	s.expiry = min(seconds, most)
	return true
}

// lasts is how many seconds it stays without a connection.
func (s *session) lasts() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expiry
}

// expired reports whether nobody can come back to it.
func (s *session) expired(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == nil && (s.expiry == 0 || now.Sub(s.left) >= time.Duration(s.expiry)*time.Second)
}

// clear forgets what the session had. What it had of shared subscriptions and did
// not acknowledge goes to other members (section 4.8.2).
func (s *session) clear(t *tree) {
	s.mu.Lock()
	var others []outgoing
	for k, left := range [][]outgoing{s.inflight, s.queue} {
		for i := range left {
			o := &left[i]
			// One of QoS 2 that was sent may be known to the client already.
			if o.shared != "" && o.message != nil && (o.qos == 1 || k == 1) {
				others = append(others, *o)
			}
			s.let(o)
		}
	}
	for _, sub := range s.subs { // before it is dead: nobody who looks for a member finds it then
		t.remove(sub)
	}
	s.subs, s.inflight, s.queue, s.dead = nil, nil, nil, true
	s.mu.Unlock()
	s.received.clear()
	s.broker.handOn(others)
}

// add makes or replaces a subscription.
func (s *session) add(sub *subscription) (fresh, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.subs[sub.Filter]; s.dead || !there && len(s.subs) >= maxSubscriptions {
		return false, false
	}
	if s.subs == nil {
		s.subs = map[string]*subscription{}
	}
	s.subs[sub.Filter] = sub
	return s.broker.tree.add(sub), true
}

func (s *session) remove(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subs[filter]
	if sub == nil {
		return false
	}
	delete(s.subs, filter)
	s.broker.tree.remove(sub)
	return true
}

// deliver gives a message to the client, now or when it can take it. o says with
// which quality it wants it at most.
func (s *session) deliver(o outgoing) {
	o.qos = min(o.message.qos, o.qos)
	s.mu.Lock()
	if s.dead { // since it was found
		s.mu.Unlock()
		s.broker.handOn([]outgoing{o})
		return
	}
	c := s.conn
	kick := false
	switch {
	case !s.may.mayRead(o.message.topic): // it found a subscription that is gone by now
		s.broker.stats.undelivered.Add(1)
	case o.qos == 0:
		kick = c != nil && c.offer(&o) == offered
		if !kick {
			s.broker.stats.undelivered.Add(1)
		}
	case !s.mayWait(&o):
		s.broker.stats.undelivered.Add(1)
	default:
		s.queue = append(s.queue, o)
		s.hold(&o)
		kick = c != nil && !s.resuming && s.sendQueue(c)
	}
	s.mu.Unlock()
	if kick {
		c.kick()
	}
	if o.qos > 0 {
		s.broker.relieve(int(o.backlog))
	}
}

// mayWait reports whether there is room for one more in the queue. One message
// may be of any size. session.mu is held.
func (s *session) mayWait(o *outgoing) bool {
	number := s.broker.config.SessionQueue
	bytes := max(leastQueueBytes, number*queueBytes)
	if o.backlog == old {
		number *= retainedQueue
		bytes += s.broker.config.RetainedBytes // which are there anyway
	}
	return len(s.queue) < number && (s.bytes == 0 || s.bytes+o.message.size() <= bytes)
}

// sendQueue sends as much of the queue as the client takes. session.mu is held.
func (s *session) sendQueue(c *conn) (sent bool) {
	for len(s.queue) > 0 && len(s.inflight) < s.window {
		o := s.queue[0]
		o.id = s.nextID()
		became := c.offer(&o)
		if became == tooSlow {
			break
		}
		s.queue[0] = outgoing{}
		s.queue = s.queue[1:]
		if became == offered {
			s.inflight = append(s.inflight, o)
			sent = true
		} else {
			s.let(&o)
			s.broker.stats.undelivered.Add(1)
		}
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return sent
}

// nextID returns an identifier that is not in use.
func (s *session) nextID() uint16 {
	for {
		s.lastID++
		used := s.lastID == 0
		for i := range s.inflight {
			used = used || s.inflight[i].id == s.lastID
		}
		if !used {
			return s.lastID
		}
	}
}

// pump goes on with the queue when the connection has written something.
func (s *session) pump(c *conn) {
	s.mu.Lock()
	if s.conn == c && !s.resuming && len(s.queue) > 0 {
		s.sendQueue(c)
	}
	s.mu.Unlock()
}

// resume sends again what was not acknowledged over the connection before, and
// goes on with the queue (section 4.4).
func (s *session) resume(c *conn) {
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return
	}
	s.forget()
	for i := range s.inflight {
		o := &s.inflight[i]
		if o.rel {
			c.mu.Lock()
			c.out = mqttwire.AppendAck(c.out, mqttwire.PUBREL, c.version, mqttwire.Ack{PacketID: o.id})
			c.mu.Unlock()
		} else {
			c.mu.Lock()
			c.out = o.append(c.out, c, true)
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	c.count()
	c.mu.Unlock()
	s.resuming = false
	s.sendQueue(c)
	s.mu.Unlock()
	c.kick()
}

// acknowledged handles what a client answers to messages that it got.
func (s *session) acknowledged(c *conn, t mqttwire.Type, a mqttwire.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return
	}
	at := -1
	for i := range s.inflight {
		if s.inflight[i].id == a.PacketID {
			at = i
			break
		}
	}
	if t == mqttwire.PUBREC {
		answer := mqttwire.Ack{PacketID: a.PacketID}
		switch {
		case at < 0:
			answer.Reason = mqttwire.PacketIDNotFound
		case a.Reason.Failed():
			s.finish(at)
			s.sendQueue(c)
			return
		default:
			s.let(&s.inflight[at])
			s.inflight[at].rel = true
		}
		c.mu.Lock()
		c.out = mqttwire.AppendAck(c.out, mqttwire.PUBREL, c.version, answer)
		c.mu.Unlock()
		return
	}
	if at < 0 || (t == mqttwire.PUBACK) != (s.inflight[at].qos == 1) {
		return
	}
	s.finish(at)
	s.sendQueue(c)
}

// finish takes a message out of those in flight. session.mu is held.
func (s *session) finish(at int) {
	s.let(&s.inflight[at])
	if !s.inflight[at].shed {
		s.broker.stats.delivered.Add(1)
	}
	s.inflight = slices.Delete(s.inflight, at, at+1)
	if len(s.inflight) == 0 {
		s.inflight = nil
	}
}

// offer is what became of a message that was offered to a connection.
type offer uint8

const (
	offered offer = iota
	tooSlow       // the client reads too slowly; later
	skipped       // it has expired, or is larger than the client takes
)

// offer appends a message to what is written.
func (c *conn) offer(o *outgoing) offer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.ending || !c.mayOffer(o.message.size()) {
		return tooSlow
	}
	before := len(c.out)
	if c.out = o.append(c.out, c, false); len(c.out) == before {
		return skipped
	}
	c.count()
	if o.qos == 0 {
		c.broker.stats.delivered.Add(1)
	}
	return offered
}

// mayOffer reports whether a message may wait to be written. Who has read all so
// far always gets one, whatever waits for others. Who has not is asked again, by pump,
// when it has: nobody else needs to wake a queue. conn.mu is held.
func (c *conn) mayOffer(size int) bool {
	n := len(c.out)
	return n <= maxOut && (n+size <= fairOut || n <= fairOut && !c.sending || c.broker.unwritten.Load() < c.broker.config.SubscriberBytes)
}

// count notes what waits to be written, beyond what each connection has. conn.mu is
// held.
func (c *conn) count() {
	n := max(0, len(c.out)-fairOut)
	if c.ended {
		n = 0
	}
	if n != c.counted {
		c.broker.unwritten.Add(int64(n - c.counted))
		c.counted = n
	}
}

// append appends the PUBLISH, unless it has expired or is larger than the
// client takes, which counts as delivered (section 3.1.2.11.4).
func (o *outgoing) append(out []byte, c *conn, again bool) []byte {
	m := o.message
	left := int64(0)
	if m.expires > 0 {
		if left = m.expires - time.Now().Unix(); left <= 0 && !again {
			return out
		}
	}
	p := mqttwire.Publish{QoS: o.qos, Dup: again, Retain: o.retain, PacketID: o.id, Topic: []byte(m.topic), Payload: m.payload}
	if c.version == mqttwire.V5 {
		p.Properties = m.properties
		if len(o.ids) > 0 || m.expires > 0 {
			p.Properties = append(mqttwire.Properties(nil), m.properties...)
			for _, id := range o.ids {
				p.Properties = mqttwire.AppendNumber(p.Properties, mqttwire.SubscriptionIdentifier, id)
			}
			if m.expires > 0 {
				p.Properties = mqttwire.AppendNumber(p.Properties, mqttwire.MessageExpiry, uint32(max(left, 1)))
			}
		}
	}
	before := len(out)
	out = mqttwire.AppendPublish(out, c.version, &p)
	if c.maxPacket > 0 && len(out)-before > c.maxPacket {
		return out[:before]
	}
	return out
}
