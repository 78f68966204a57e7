package mqtt

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

// known is what is known of a topic that a connection publishes to.
type known struct {
	name       string
	generation uint64
	allowed    bool
	bad        error
	lanes      []*lane
}

const (
	// maxKnown is how many topics a connection remembers: a device has few, and
	// for a bridge with thousands it is cheap to look them up anew.
	maxKnown = 256
	// maxKnownBytes is how long a topic is that is worth to be remembered.
	maxKnownBytes = 512
)

// lookUp returns what is known of a topic, found out anew if slots or rules have
// changed.
func (c *conn) lookUp(name []byte) *known {
	k := c.last
	if k == nil || k.name != string(name) {
		if k = c.topics[string(name)]; k == nil {
			if len(c.topics) >= maxKnown {
				clear(c.topics)
			}
			if c.topics == nil {
				c.topics = map[string]*known{}
			}
			k = &known{name: string(name)}
			k.bad = checkTopic(k.name)
			if len(name) <= maxKnownBytes {
				c.topics[k.name] = k
			}
		}
		c.last = k
	}
	if g := c.broker.generation.Load(); k.generation != g {
		c.refreshAccess()
		k.generation, k.lanes = g, nil
		if k.allowed = k.bad == nil && c.access.mayPublish(k.name); k.allowed {
			for _, s := range c.broker.routes(k.name) {
				k.lanes = append(k.lanes, s.laneOf(c.session.client))
			}
		}
	}
	return k
}

// publish handles a PUBLISH.
func (c *conn) publish(p mqttwire.Packet) error {
	var m mqttwire.Publish
	if err := m.Decode(p.Flags, p.Body, c.version); err != nil {
		return err
	}
	expiry, err := c.resolve(&m)
	if err != nil {
		return err
	}
	b := c.broker
	b.stats.received[m.QoS].Add(1)
	k := c.lookUp(m.Topic)
	if k.bad != nil {
		return &mqttwire.Error{Reason: mqttwire.InvalidTopic, Problem: k.bad.Error()}
	}
	if m.QoS > 0 {
		if err := c.checkWindow(); err != nil {
			return err
		}
	}
	if !k.allowed {
		return c.deny(k, &m)
	}
	again, a := false, arrival{id: m.PacketID, qos: m.QoS}
	if m.QoS == 2 {
		var taken bool
		if a.number, again, taken = c.session.received.begin(a.id, b.sum(&m), m.Dup); taken {
			c.mu.Lock()
			c.window.push(a)
			c.acknowledge()
			c.mu.Unlock()
			return nil
		}
	}
	if !again {
		c.forward(k, &m, expiry)
	}
	return c.hand(k, &m, a, nil)
}

// deny answers a message that the client may not publish.
func (c *conn) deny(k *known, m *mqttwire.Publish) error {
	c.broker.stats.refuse(mqttwire.NotAuthorized)
	if m.QoS == 0 {
		return nil
	}
	if c.version != mqttwire.V5 {
		return &mqttwire.Error{Reason: mqttwire.NotAuthorized, Problem: "publish to " + k.name}
	}
	c.mu.Lock()
	c.window.push(arrival{id: m.PacketID, qos: m.QoS, reason: mqttwire.NotAuthorized})
	c.acknowledge()
	c.mu.Unlock()
	return nil
}

// resolve puts the topic in place of an alias, and takes out of the properties
// what is not for subscribers.
func (c *conn) resolve(m *mqttwire.Publish) (expiry uint32, err error) {
	if len(m.Properties) == 0 {
		return 0, nil
	}
	if v, ok := m.Properties.Get(mqttwire.TopicAlias); ok {
		at := int(v.Number)
		if at > maxAliases {
			return 0, &mqttwire.Error{Reason: mqttwire.InvalidTopicAlias, Problem: "aliases go up to 64"}
		}
		if len(m.Topic) > 0 {
			if len(c.aliases) < at {
				c.aliases = append(c.aliases, make([]string, at-len(c.aliases))...)
			}
			if c.aliases[at-1] != string(m.Topic) {
				c.aliasBytes += len(m.Topic) - len(c.aliases[at-1])
				c.aliases[at-1] = string(m.Topic)
				if c.aliasBytes > maxAliasBytes {
					return 0, &mqttwire.Error{Reason: mqttwire.QuotaExceeded, Problem: "topics with an alias are longer than 64 KiB together"}
				}
			}
		} else {
			if at > len(c.aliases) || c.aliases[at-1] == "" {
				return 0, &mqttwire.Error{Reason: mqttwire.ProtocolError, Problem: "a topic alias that stands for nothing"}
			}
			m.Topic = []byte(c.aliases[at-1])
		}
	}
	if _, ok := m.Properties.Get(mqttwire.SubscriptionIdentifier); ok {
		return 0, &mqttwire.Error{Reason: mqttwire.ProtocolError, Problem: "a subscription identifier from a client"}
	}
	if v, ok := m.Properties.Get(mqttwire.MessageExpiry); ok {
		expiry = max(v.Number, 1)
	}
	m.Properties = m.Properties.Without(mqttwire.TopicAlias, mqttwire.MessageExpiry)
	return expiry, nil
}

// checkWindow holds a client to its receive maximum.
func (c *conn) checkWindow() error {
	limit := c.broker.config.ReceiveMaximum
	if c.version != mqttwire.V5 {
		c.waitForWindow(limit)
		return nil
	}
	c.mu.Lock()
	n := c.window.len()
	c.mu.Unlock()
	if n >= limit || n+c.session.received.len() >= 2*limit {
		return &mqttwire.Error{Reason: mqttwire.ReceiveMaxExceeded, Problem: "more messages on their way than CONNACK said"}
	}
	return nil
}

// forward gives a message to subscribers, and to those to come.
func (c *conn) forward(k *known, m *mqttwire.Publish, expiry uint32) {
	b := c.broker
	if !m.Retain && b.tree.count.Load() == 0 {
		return
	}
	f := &message{topic: k.name, payload: slices.Clone(m.Payload), qos: m.QoS, retain: m.Retain, properties: slices.Clone(m.Properties), from: c.session}
	if expiry > 0 {
		f.expires = time.Now().Unix() + int64(expiry)
	}
	if m.Retain && !b.retained.set(f) {
		b.stats.unretained.Add(1)
	}
	b.publish(f)
}

// hand puts a message into the lanes of its pipelines, and a into the window.
// unread is not nil if the message is only to be kept.
func (c *conn) hand(k *known, m *mqttwire.Publish, a arrival, unread *source.Unread) error {
	b := c.broker
	e := entry{topic: k.name, client: c.session.client, unread: unread}
	if m.QoS == 0 {
		for _, l := range k.lanes {
			if b.room.full(k.lanes) || !l.put(e, m.Payload) {
				b.stats.dropped.Add(1)
			}
		}
		return nil
	}
	// Pipelines come and go while it waits.
	for c.waitForRoom(k); k.generation != b.generation.Load(); c.waitForRoom(k) {
		k = c.lookUp(m.Topic)
	}
	if !k.allowed {
		if m.QoS == 2 {
			c.session.received.release(m.PacketID)
		}
		return c.deny(k, m)
	}
	if unread != nil && len(k.lanes) == 0 { // nobody keeps it
		return &mqttwire.Error{Reason: mqttwire.PacketTooLarge, Problem: unread.Detail}
	}
	if len(k.lanes) > 0 {
		e.arrived = time.Now().UnixNano()
	}
	open := len(k.lanes)
	kept := m.Retain && b.keeper != nil
	if kept {
		open++
	}
	c.mu.Lock()
	a.open = uint16(open)
	e.conn, e.seq = c, c.window.push(a)
	if open == 0 {
		c.acknowledge()
	}
	c.mu.Unlock()
	if kept {
		b.keeper.wait(c, e.seq)
	}
	for _, l := range k.lanes {
		if !l.put(e, m.Payload) { // its pipeline is gone since the look
			c.forsake()
		}
	}
	return nil
}

// sum tells messages of QoS 2 from each other.
func (b *Broker) sum(m *mqttwire.Publish) uint32 {
	var h maphash.Hash
	h.SetSeed(b.seed)
	h.Write(m.Topic) // never fails
	h.WriteByte(0)   // which no topic has
	h.Write(m.Payload)
	return uint32(h.Sum64())
}

// received is the messages of QoS 2 of a session that their client has not
// released yet.
type received struct {
	mu   sync.Mutex // guards what is below
	ids  map[uint16]unreleased
	last uint32 // number that was given
}

// unreleased is what is known of a message of QoS 2.
type unreleased struct {
	sum    uint32
	number uint32 // tells it from others of its identifier, of the same content too
	taken  bool   // by every pipeline
}

// begin notes a message: which number it has, whether it was there, and whether it
// is taken. Without DUP it is one that the client has not sent before, as far as it
// knows, since one that forgot its session counts identifiers from 1 again: it takes
// the place of the one before, even if that says the same. So does one of another
// content.
func (r *received) begin(id uint16, sum uint32, dup bool) (number uint32, again, taken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u, ok := r.ids[id]; ok && dup && u.sum == sum {
		return u.number, true, u.taken
	}
	if r.ids == nil {
		r.ids = map[uint16]unreleased{}
	}
	r.last++
	r.ids[id] = unreleased{sum: sum, number: r.last}
	return r.last, false, false
}

// taken notes that all pipelines have a message, if it is still the one of its
// identifier.
func (r *received) taken(id uint16, number uint32) {
	r.mu.Lock()
	if u, ok := r.ids[id]; ok && u.number == number {
		u.taken = true
		r.ids[id] = u
	}
	r.mu.Unlock()
}

func (r *received) release(id uint16) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.ids[id]
	delete(r.ids, id)
	return ok
}

func (r *received) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

func (r *received) clear() {
	r.mu.Lock()
	r.ids = nil
	r.mu.Unlock()
}

// released answers a PUBREL.
func (c *conn) released(id uint16) {
	a := mqttwire.Ack{PacketID: id}
	if !c.session.received.release(id) {
		a.Reason = mqttwire.PacketIDNotFound
	}
	c.mu.Lock()
	c.out = mqttwire.AppendAck(c.out, mqttwire.PUBCOMP, c.version, a)
	c.mu.Unlock()
}
