package mqtt

import (
	"slices"
	"sync/atomic"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/protocol/topic"
)

// message is one on its way to subscribers. But for holders it is not changed once
// it is made.
type message struct {
	topic      string
	payload    []byte
	qos        byte
	retain     bool
	properties mqttwire.Properties // without topic alias and expiry
	expires    int64               // in seconds since 1970; 0: never
	from       *session            // nil: the server

	// holders is how many sessions it waits in, by backlog.
	holders [backlogs]atomic.Int32
}

// size is what a message takes, in bytes.
func (m *message) size() int { return len(m.topic) + len(m.payload) + len(m.properties) }

// publish sends a message to its subscribers.
func (b *Broker) publish(m *message) {
	var few [8]*subscription
	found := b.tree.find(m.topic, few[:0])
	if len(found) == 0 {
		return
	}
	if len(found) == 1 {
		s := found[0]
		if !s.NoLocal || s.session != m.from {
			s.session.deliver(outgoing{message: m, qos: s.QoS, retain: s.RetainAsPublished && m.retain, ids: identifiers(s), shared: s.shared()})
		}
		return
	}
	// A client with several that match gets the message once, with the highest
	// QoS and all identifiers (section 3.3.4).
	slices.SortFunc(found, func(x, y *subscription) int { return int(int64(x.session.number) - int64(y.session.number)) })
	for len(found) > 0 {
		n := 1
		for n < len(found) && found[n].session == found[0].session {
			n++
		}
		var qos byte
		var ids []uint32
		shared, wanted, retain := "", false, false
		for _, s := range found[:n] {
			if s.NoLocal && s.session == m.from {
				continue
			}
			wanted, qos = true, max(qos, s.QoS)
			retain = retain || s.RetainAsPublished && m.retain
			ids = append(ids, identifiers(s)...)
			if f := s.shared(); f != "" {
				shared = f
			}
		}
		if wanted {
			found[0].session.deliver(outgoing{message: m, qos: qos, retain: retain, ids: ids, shared: shared})
		}
		found = found[n:]
	}
}

func identifiers(s *subscription) []uint32 {
	if s.identifier == 0 {
		return nil
	}
	return []uint32{s.identifier}
}

// Publish sends a message of the server to the subscribers of a topic, and
// keeps it if retain says so. Pipelines do not get it.
func (b *Broker) Publish(name string, payload []byte, qos byte, retain bool) error {
	if err := topic.CheckName(name); err != nil {
		return err
	}
	m := &message{topic: name, payload: slices.Clone(payload), qos: qos, retain: retain}
	if retain && !b.retained.set(m) {
		b.stats.unretained.Add(1)
	}
	b.publish(m)
	return nil
}
