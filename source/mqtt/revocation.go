package mqtt

import (
	"slices"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/protocol/topic"
)

// A subscription is allowed when it is made, and may not be later: a user leaves the
// organisation, a rule is changed. What a session has is therefore looked at again
// when its client connects, and when rules change while it is connected; when what
// it may without rules changes, its connection ends (conn.lookAtAccess), and it
// connects anew.

// restrict takes away the subscriptions that a client with these permissions may not
// have, and what waits by them. It returns how many there were, and messages for
// other members of shared ones. session.mu is held.
func (s *session) restrict(p permissions) (lost int, others []outgoing) {
	s.may = p
	for f, sub := range s.subs {
		if _, bare, _ := topic.Shared(f); !p.maySubscribe(bare) {
			delete(s.subs, f)
			s.broker.tree.remove(sub)
			lost++
		}
	}
	s.queue = slices.DeleteFunc(s.queue, func(o outgoing) bool {
		if p.mayRead(o.message.topic) {
			return false
		}
		others = s.withdraw(&o, others)
		return true
	})
	return lost, others
}

// retract takes away what was sent over the connection before and is not to be sent
// again, by the permissions of restrict. A message of QoS 2 the client may have noted:
// it is told to release it. session.mu is held.
func (s *session) retract() (others []outgoing) {
	s.inflight = slices.DeleteFunc(s.inflight, func(o outgoing) bool {
		if o.message == nil || o.qos == 2 || s.may.mayRead(o.message.topic) {
			return false
		}
		others = s.withdraw(&o, others)
		return true
	})
	for i := range s.inflight {
		if o := &s.inflight[i]; o.message != nil && !s.may.mayRead(o.message.topic) {
			s.let(o)
			o.rel, o.shed = true, true
			s.broker.stats.undelivered.Add(1)
		}
	}
	return others
}

// withdraw lets go of a message, which others may have if it came by a shared
// subscription. session.mu is held.
func (s *session) withdraw(o *outgoing, others []outgoing) []outgoing {
	if o.shared != "" {
		others = append(others, *o)
	} else {
		s.broker.stats.undelivered.Add(1)
	}
	s.let(o)
	return others
}

// revoke is restrict for a session whose connection is open. What is on its way is
// with the client already. If it had such subscriptions the connection ends, and
// revoke returns false.
func (s *session) revoke(c *conn, p permissions) bool {
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return true // the one that has its place was looked at
	}
	lost, others := s.restrict(p)
	s.mu.Unlock()
	s.broker.handOn(others)
	if lost == 0 {
		return true
	}
	s.broker.stats.refuse(mqttwire.NotAuthorized)
	s.broker.log.Warn("a client of MQTT has subscriptions that the rules do not allow any more: they are gone, and its connection ends", "client", s.client, "user", s.user, "subscriptions", lost)
	c.end(mqttwire.NotAuthorized, "no longer authorized")
	return false
}

// handOn gives messages of shared subscriptions to other members, and counts others.
// No lock is held.
func (b *Broker) handOn(all []outgoing) {
	for i := range all {
		o := &all[i]
		var sub *subscription
		if o.shared != "" {
			sub = b.tree.another(o.shared)
		}
		if sub != nil {
			sub.session.deliver(outgoing{message: o.message, qos: sub.QoS, retain: sub.RetainAsPublished && o.message.retain, ids: identifiers(sub), shared: o.shared})
		} else {
			b.stats.undelivered.Add(1)
		}
	}
}
