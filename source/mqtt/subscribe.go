package mqtt

import (
	"strings"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/protocol/topic"
)

// retainedRun is how many retained messages are sent before it is looked whether
// the client keeps up.
const retainedRun = 16

// maxSubscriptions is how many a session may have.
const maxSubscriptions = 1000

// subscribe handles a SUBSCRIBE.
func (c *conn) subscribe(body []byte) error {
	m, err := mqttwire.DecodeSubscribe(body, c.version)
	if err != nil {
		return err
	}
	c.refreshAccess()
	reasons := make([]mqttwire.Reason, len(m.Filters))
	var wanted []*subscription
	for i, f := range m.Filters {
		s := &subscription{Subscription: f, session: c.session, identifier: m.Identifier}
		if reasons[i] = c.mayHave(&f); reasons[i].Failed() {
			c.broker.stats.refuse(reasons[i])
			continue
		}
		fresh, ok := c.session.add(s)
		if !ok {
			reasons[i] = mqttwire.QuotaExceeded
			continue
		}
		reasons[i] = mqttwire.Reason(f.QoS)
		if s.group == "" && (f.RetainHandling == 0 || f.RetainHandling == 1 && fresh) {
			wanted = append(wanted, s)
		}
	}
	if !c.reconsider() {
		return nil
	}
	c.send(func(out []byte) []byte {
		return mqttwire.AppendSuback(out, mqttwire.SUBACK, c.version, m.PacketID, reasons)
	})
	for _, s := range wanted {
		for i, r := range c.broker.retained.find(s.Filter) {
			if i%retainedRun == retainedRun-1 {
				c.waitForWriter()
			}
			c.session.deliver(outgoing{message: r, qos: s.QoS, retain: true, backlog: old, ids: identifiers(s)})
		}
	}
	return nil
}

// refreshAccess looks whether rules have changed.
func (c *conn) refreshAccess() {
	if g := c.broker.generation.Load(); c.rules != g {
		c.rules = g
		c.access = c.broker.rules.Load().of(&c.who, c.session.client)
	}
}

// reconsider looks whether rules have changed while the session got something by the
// former ones; false if the connection ends for that.
func (c *conn) reconsider() bool {
	for c.rules != c.broker.generation.Load() {
		c.refreshAccess()
		if !c.session.revoke(c, c.access) {
			return false
		}
	}
	return true
}

func (c *conn) mayHave(f *mqttwire.Subscription) mqttwire.Reason {
	if topic.CheckFilter(f.Filter) != nil || strings.Count(f.Filter, "/") >= maxLevels {
		return mqttwire.InvalidFilter
	}
	group, bare, _ := topic.Shared(f.Filter)
	switch {
	case group != "" && f.NoLocal:
		return mqttwire.ProtocolError
	case !c.access.maySubscribe(bare):
		return mqttwire.NotAuthorized
	}
	return mqttwire.Success
}

// unsubscribe handles an UNSUBSCRIBE.
func (c *conn) unsubscribe(body []byte) error {
	m, err := mqttwire.DecodeUnsubscribe(body, c.version)
	if err != nil {
		return err
	}
	reasons := make([]mqttwire.Reason, len(m.Filters))
	for i, f := range m.Filters {
		if !c.session.remove(f.Filter) {
			reasons[i] = mqttwire.NoSubscription
		}
	}
	c.send(func(out []byte) []byte {
		return mqttwire.AppendSuback(out, mqttwire.UNSUBACK, c.version, m.PacketID, reasons)
	})
	return nil
}
