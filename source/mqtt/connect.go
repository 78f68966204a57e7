package mqtt

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/protocol/topic"
)

const (
	// maxClientID is longer than any that names a device.
	maxClientID = 512
	// maxAliases is how many topics a client may shorten: a device has few.
	maxAliases = 64
	// maxAliasBytes is how long they may be together: as long as one topic.
	maxAliasBytes = 64 << 10
	// maxLevels keeps topics from making trees of 65,535 nodes.
	maxLevels = 128
)

// connect handles CONNECT: who it is, whether it may, which session it has.
func (c *conn) connect(body []byte) error {
	m, err := mqttwire.DecodeConnect(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.version = m.Version
	c.mu.Unlock()
	assigned := m.ClientID == ""
	switch {
	case m.AuthMethod != "":
		return &mqttwire.Error{Reason: mqttwire.BadAuthMethod, Problem: "no methods of enhanced authentication are offered"}
	case assigned && m.Version == mqttwire.V311 && !m.CleanStart:
		return &mqttwire.Error{Reason: mqttwire.InvalidClientID, Problem: "a session that is to last needs a client id"}
	case len(m.ClientID) > maxClientID:
		return &mqttwire.Error{Reason: mqttwire.InvalidClientID, Problem: fmt.Sprintf("the client id has %d bytes, at most %d are taken", len(m.ClientID), maxClientID)}
	case assigned:
		id := make([]byte, 12)
		rand.Read(id) // never fails
		m.ClientID = "auto-" + hex.EncodeToString(id)
	}
	if err := c.admit(m); err != nil {
		return err
	}
	c.maxPacket, c.will = int(m.MaximumPacket), m.Will
	if m.KeepAlive > 0 {
		// One and a half (section 3.1.2.10), and what the clock is behind.
		c.patient.Store(int64(m.KeepAlive)*int64(time.Second)*3/2 + int64(2*lookEvery))
	} else {
		c.patient.Store(0)
	}
	expiry := min(m.SessionExpiry, c.broker.config.expirySeconds())
	if c.broker.crowded() {
		expiry = 0
	}
	var p mqttwire.Properties
	if m.Version == mqttwire.V5 {
		p = mqttwire.AppendNumber(p, mqttwire.ReceiveMaximum, uint32(c.broker.config.ReceiveMaximum))
		p = mqttwire.AppendNumber(p, mqttwire.MaximumPacketSize, uint32(c.broker.config.MaxPacket))
		p = mqttwire.AppendNumber(p, mqttwire.TopicAliasMaximum, maxAliases)
		if expiry != m.SessionExpiry {
			p = mqttwire.AppendNumber(p, mqttwire.SessionExpiry, expiry)
		}
		if assigned {
			p = mqttwire.AppendData(p, mqttwire.AssignedClientID, []byte(m.ClientID))
		}
	}
	c.broker.attach(c, m, expiry, assigned, p)
	c.broker.stats.accepted.Add(1)
	if c.reconsider() {
		c.session.resume(c)
	}
	return nil
}

// sessionsEach is how many sessions there may be for each connection: beyond it
// new ones do not outlive theirs.
const sessionsEach = 4

func (b *Broker) crowded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions) >= sessionsEach*b.config.MaxConnections
}

// admit finds out who the client is, and what it may.
func (c *conn) admit(m *mqttwire.Connect) error {
	if access := c.broker.deps.Access; access != nil {
		who, err := access.Admit(c.broker.ctx, &Credentials{
			Client: m.ClientID, User: m.User, Password: m.Password, Cert: c.cert, Address: c.remote,
		})
		switch {
		case errors.Is(err, ErrRefused):
			return &mqttwire.Error{Reason: mqttwire.BadUserOrPassword, Problem: err.Error()}
		case err != nil:
			c.broker.log.Warn("a client of MQTT could not be let in", "client", m.ClientID, "remote", c.remote, "error", err)
			return &mqttwire.Error{Reason: mqttwire.ServerBusy, Problem: "try again later"}
		}
		c.who = who
	} else {
		c.who = Identity{Kind: User, ID: m.User, Publish: true, Subscribe: true}
		if m.User != "" {
			c.who.Names = []string{m.User}
		}
	}
	c.mu.Lock()
	c.may = c.who
	c.mu.Unlock()
	c.rules = c.broker.generation.Load()
	c.access = c.broker.rules.Load().of(&c.who, m.ClientID)
	if w := m.Will; w != nil {
		if err := checkTopic(w.Topic); err != nil {
			return &mqttwire.Error{Reason: mqttwire.InvalidTopic, Problem: "the will: " + err.Error()}
		}
		if !c.access.mayPublish(w.Topic) {
			return &mqttwire.Error{Reason: mqttwire.NotAuthorized, Problem: "the will may not be published to its topic"}
		}
	}
	return nil
}

func checkTopic(name string) error {
	if err := topic.CheckName(name); err != nil {
		return err
	}
	if strings.Count(name, "/") >= maxLevels {
		return errors.New("the topic has more than 128 levels")
	}
	return nil
}

// attach gives a connection its session: the one that is there, or a new one.
// Whoever had it before is sent away; what the client may not have any more is
// taken out of it. The CONNACK, with these properties, stands
// in what is written before anybody else finds the connection.
func (b *Broker) attach(c *conn, m *mqttwire.Connect, expiry uint32, assigned bool, p mqttwire.Properties) {
	// Clients of two users do not share a session by having chosen the same id, nor
	// by having the same name.
	key := string(c.who.Kind) + "\x00" + c.who.ID + "\x00" + m.ClientID
	now := time.Now()
	b.mu.Lock()
	old := b.sessions[key]
	var before *conn
	var unsent *delayedWill
	present := false
	if old != nil {
		before = old.current()
		if w, ok := b.delayed[old]; ok {
			delete(b.delayed, old)
			if m.CleanStart { // the session ends, and with it the wait
				unsent = &w
			}
		}
		present = !m.CleanStart && !old.expired(now)
	}
	s := old
	if !present {
		b.stats.sessions.Add(1)
		s = &session{broker: b, key: key, client: m.ClientID, user: c.who.name(), number: b.stats.sessions.Load(), quiet: assigned}
		b.sessions[key] = s
	}
	c.mu.Lock()
	c.session = s
	c.out = mqttwire.AppendConnack(c.out, m.Version, &mqttwire.Connack{Present: present, Properties: p})
	c.mu.Unlock()
	lost, others := s.begin(c, m, expiry)
	if !s.quiet {
		b.presence.set(Device{s.client, s.user}, true, "connected", now)
	}
	b.mu.Unlock()
	if before != nil {
		before.end(mqttwire.SessionTakenOver, mqttwire.SessionTakenOver.String())
		b.stats.takeovers.Add(1)
	}
	if old != nil && !present {
		old.clear(b.tree)
	}
	if unsent != nil {
		b.publishWill(unsent.message)
	}
	b.handOn(others)
	if lost > 0 {
		b.log.Warn("subscriptions of a client of MQTT are gone: it may not have them any more", "client", s.client, "user", s.user, "subscriptions", lost)
	}
}

// leave ends a connection's part in its session.
func (b *Broker) leave(c *conn) {
	s, now := c.session, time.Now()
	c.mu.Lock()
	cause, will := c.cause, c.will
	if c.polite || b.stopping.Load() {
		will = nil
	}
	c.mu.Unlock()
	b.mu.Lock()
	last := s.leave(c, now)
	current := b.sessions[s.key] == s
	gone := last && s.expired(now)
	switch {
	case gone && current:
		delete(b.sessions, s.key)
	case will == nil || will.Delay == 0 || !current:
	case !last: // it has come back before the will was due
		will = nil
	default:
		b.delayed[s] = delayedWill{willMessage(s, will), now.Add(time.Duration(min(will.Delay, s.lasts())) * time.Second)}
		will = nil
	}
	if last && current && !s.quiet {
		b.presence.set(Device{s.client, s.user}, false, cause, now)
	}
	b.mu.Unlock()
	if gone {
		s.clear(b.tree)
	}
	if will != nil {
		b.publishWill(willMessage(s, will))
	}
	b.log.Debug("a client of MQTT left", "client", s.client, "remote", c.remote, "cause", cause)
}

// delayedWill waits for its client to come back.
type delayedWill struct {
	message *message
	due     time.Time
}

func willMessage(s *session, w *mqttwire.Will) *message {
	m := &message{topic: w.Topic, payload: w.Payload, qos: w.QoS, retain: w.Retain, from: s, properties: w.Properties}
	if v, ok := w.Properties.Get(mqttwire.MessageExpiry); ok {
		m.properties = w.Properties.Without(mqttwire.MessageExpiry)
		m.expires = time.Now().Unix() + int64(v.Number)
	}
	return m
}

// dueWills takes out those whose time has come, or whose session has ended.
// Broker.mu is held.
func (b *Broker) dueWills(now time.Time, expired []*session) []*message {
	var due []*message
	for s, w := range b.delayed {
		if !now.Before(w.due) || slices.Contains(expired, s) {
			delete(b.delayed, s)
			due = append(due, w.message)
		}
	}
	return due
}

// publishWill publishes it as its client would have: to subscribers and to
// pipelines, which it waits for no longer than there is room.
func (b *Broker) publishWill(m *message) {
	b.stats.wills.Add(1)
	if m.retain && !b.retained.set(m) {
		b.stats.unretained.Add(1)
	}
	b.publish(m)
	for _, s := range b.routes(m.topic) {
		l := s.laneOf(m.from.client)
		if b.room.full([]*lane{l}) || !l.put(entry{topic: m.topic, client: m.from.client}, m.payload) {
			b.stats.dropped.Add(1)
		}
	}
}
