package target

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// MQTTConfig says which broker messages are published to, and how.
type MQTTConfig struct {
	Address string      // host:port
	TLS     *tls.Config // nil: none
	// Version is mqttwire.V5 or V311.
	Version byte
	// QoS is 0, whose messages nobody acknowledges, or 1.
	QoS byte
	// Connections is how many are opened; device d uses connection d modulo it.
	Connections int
	// InFlight is how many messages of a connection may wait to be acknowledged;
	// the broker may allow fewer.
	InFlight int
	// ClientID names the connection of a number.
	ClientID func(connection int) string
	User     string
	Password string // "": none is sent
	// AckTimeout is how long the oldest message of a connection may wait before
	// the connection is given up and another is opened.
	AckTimeout time.Duration
}

// MQTT publishes over many connections, each with many messages on their way.
// A connection has one goroutine, which opens it, reads acknowledgements, and
// opens it again; packets are written by who calls Send.
type MQTT struct {
	cfg    MQTTConfig
	tally  *Tally
	links  []*link
	ctx    context.Context
	cancel context.CancelFunc
	up     atomic.Int64 // connections that are there
	wg     sync.WaitGroup
	fatal  atomic.Pointer[error] // what a person has to put right
}

const (
	// keepAlive is how long a connection may be silent, in seconds; a ping is
	// sent after a third of it.
	keepAlive = 300
	// lookEvery is how often connections are looked at: which have to be pinged,
	// which wait too long, what has to be sent again.
	lookEvery = 250 * time.Millisecond
	// dialing is how many connections are opened at once: more would overrun the
	// queue of the broker's port.
	dialing = 64
	// dialTimeout bounds opening a connection, with the broker's answer.
	dialTimeout = 30 * time.Second
)

// NewMQTT opens connections; it does not wait for them, since the broker need
// not be there yet.
func NewMQTT(cfg MQTTConfig, tally *Tally) (*MQTT, error) {
	if _, _, err := net.SplitHostPort(cfg.Address); err != nil {
		return nil, fmt.Errorf("address %q: want HOST:PORT", cfg.Address)
	}
	m := &MQTT{cfg: cfg, tally: tally}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	gate := make(chan struct{}, dialing)
	m.links = make([]*link, cfg.Connections)
	for i := range m.links {
		m.links[i] = newLink(m, i, gate)
	}
	for _, l := range m.links {
		m.wg.Go(l.run)
	}
	m.wg.Go(m.look)
	return m, nil
}

// Send publishes a batch. It waits while the connections of its messages have
// no room for them.
func (m *MQTT) Send(ctx context.Context, b *Batch) error {
	stop := context.AfterFunc(ctx, m.stop)
	defer stop()
	m.tally.Sent(b.Len(), len(b.Text))
	var touched []*link
	now := time.Now().UnixNano()
	for i := range b.messages {
		msg := &b.messages[i]
		l := m.links[msg.device%len(m.links)]
		first, ok := l.publish(b.topic(msg), b.payload(msg), msg.due, now)
		for !ok {
			// Nothing that is ready may wait for what is not.
			flush(touched)
			touched = touched[:0]
			if err := l.await(); err != nil {
				if e := m.fatal.Load(); e != nil {
					return *e
				}
				return err
			}
			now = time.Now().UnixNano()
			first, ok = l.publish(b.topic(msg), b.payload(msg), msg.due, now)
		}
		if first {
			touched = append(touched, l)
		}
	}
	flush(touched)
	return nil
}

func flush(links []*link) {
	for _, l := range links {
		l.flush()
	}
}

// stop ends all that waits.
func (m *MQTT) stop() {
	m.cancel()
	for _, l := range m.links {
		l.wake()
	}
}

// fail ends the target for a reason that trying again does not change.
func (m *MQTT) fail(err error) {
	m.fatal.CompareAndSwap(nil, &err)
	m.stop()
}

// Up is how many connections are there.
func (m *MQTT) Up() int { return int(m.up.Load()) }

// Drain waits until all is acknowledged or refused, or ctx ends.
func (m *MQTT) Drain(ctx context.Context) error {
	for _, l := range m.links {
		for !l.idle() {
			if e := m.fatal.Load(); e != nil {
				return *e
			}
			if !pause(ctx, 2*time.Millisecond) {
				return fmt.Errorf("mqtt: wait for acknowledgements: %w", ctx.Err())
			}
		}
	}
	return nil
}

// Close closes the connections, with a DISCONNECT where they are there.
func (m *MQTT) Close() error {
	for _, l := range m.links {
		l.bye()
	}
	m.stop()
	m.wg.Wait()
	return nil
}

// look looks after the connections now and then.
func (m *MQTT) look() {
	for pause(m.ctx, lookEvery) {
		now := time.Now().UnixNano()
		for _, l := range m.links {
			l.look(now)
		}
	}
}

// connect is the CONNECT of a connection.
func (m *MQTT) connect(n int) []byte {
	c := mqttwire.Connect{
		Version: m.cfg.Version, CleanStart: true, KeepAlive: keepAlive, ClientID: m.cfg.ClientID(n),
		HasUser: m.cfg.User != "" || m.cfg.Password != "", User: m.cfg.User,
		HasPassword: m.cfg.Password != "", Password: []byte(m.cfg.Password),
	}
	return mqttwire.AppendConnect(nil, &c)
}

// ClientIDs names connections after a prefix and their number.
func ClientIDs(prefix string) func(int) string {
	return func(n int) string { return prefix + "-" + strconv.Itoa(n) }
}
