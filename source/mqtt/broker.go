// Package mqtt is the broker of MQTT 3.1.1 and 5 inside the server. What its
// clients publish goes to its subscribers, as with any broker, and to the
// pipelines that read the topic.
//
// A message of QoS 1 or 2 takes these steps:
//
//  1. The connection's reader finds it in its buffer, looks up who reads the
//     topic (topics.go), notes it in the connection's window (window.go), and
//     copies it into a lane of each pipeline that does (lane.go). A client id
//     always has the same lane, so that its messages keep their order. Messages
//     for subscribers are sent on at once.
//  2. The lane hands what has gathered to the pipeline's intake in one call of
//     Take, up to some thousands of messages of all its connections, while the
//     next ones gather: a group commit. An intake that is busy gets the same
//     messages again, later.
//  3. When Take has returned nil, the messages are durable. They are ticked off
//     in the windows of their connections, and each connection writes the
//     acknowledgements of the finished head of its window, in the order in which
//     the messages came, in one write.
//
// A message that is to be retained is kept meanwhile, in a commit of its own for
// all that came at a time (keeper.go), and acknowledged after both.
//
// The invariants: no PUBACK or PUBREC is written before Take of each pipeline of
// the message has returned nil, and the message is kept if it is to be retained;
// acknowledgements go out in the order of arrival; a message is never taken from a
// lane but by step 3 or because its pipeline was removed, and then its connection is
// closed without an acknowledgement. A client that was not acknowledged sends again,
// which a point does not mind. A PUBLISH that is larger than packets may be takes the
// same steps, as what cannot be read (oversized.go).
//
// Rejected: the server of mochi-mqtt, of which this was to be a hook. Its table
// of messages in flight has one space of packet identifiers for both directions,
// so that a client that publishes while it is being published to loses messages;
// it answers QoS 2 from the same table before a hook could wait; a SUBSCRIBE of
// MQTT 5 that ends early stops the process; and each connection has two
// goroutines and a channel of 64 KiB. That is more than a fork would keep.
//
// Locks, in the order in which they may be held together: backlog.mu, Broker.mu,
// session.mu, conn.mu; retained.mu, keeper.mu; those of tree, lane, presence, seldom
// and steady are held alone or last. All exported methods are safe for concurrent use.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/wlog"
)

// Broker is a broker with its ports.
type Broker struct {
	config Config
	deps   Deps
	log    *slog.Logger
	stats  counters

	mu       sync.Mutex // guards the three below
	sessions map[string]*session
	conns    map[*conn]struct{}
	delayed  map[*session]delayedWill

	tree     *tree
	retained *retained
	keeper   *keeper // nil: what is retained is in memory only
	presence *presence
	room     room
	backlogs [backlogs]backlog
	// unwritten is bytes that connections are to write and readers are slow to take.
	unwritten atomic.Int64

	routing sync.Mutex // held while slots change
	slots   atomic.Pointer[[]*slot]
	rules   atomic.Pointer[Rules]
	// generation goes up with each change of slots or rules; what connections
	// remember of a topic holds for one.
	generation atomic.Uint64

	seed   maphash.Seed // of sums
	warned seldom       // clients
	// writeWithin is the constant of that name, in nanoseconds, but in tests.
	writeWithin int64
	clock       atomic.Int64 // nanoseconds since 1970, as of the last look around
	listeners   []*listener
	greeting    atomic.Int64 // connections that shake hands, which are not among conns yet
	lanes       sync.WaitGroup
	serving     sync.WaitGroup
	stopping    atomic.Bool
	ctx         context.Context // of lanes and connections
	cancel      context.CancelFunc
}

// Deps is what a broker is given.
type Deps struct {
	// Access decides who may connect; nil: everybody, and they may do
	// everything.
	Access Access
	// TLS is of the port with TLS; nil: none. WebSocketTLS is of that for
	// WebSocket; nil: none.
	TLS, WebSocketTLS *tls.Config
	// Status takes the measurement device_status; nil: it is not kept.
	Status source.Intake
	// LeftOnline returns the devices that device_status has as online, which at
	// the start are those that a crash left so; nil: there are none.
	LeftOnline func(ctx context.Context) ([]Device, error)
	// Retained keeps retained messages over a restart. Nothing else is in it, and
	// who opened it closes it after the broker. nil: they are in memory only.
	Retained wlog.Log
	Log      *slog.Logger
}

// New makes a broker that does not listen yet, so that pipelines can register
// before the first message comes. Close ends it.
func New(c Config, d Deps) (*Broker, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{
		config: c, deps: d, log: d.Log, seed: maphash.MakeSeed(), writeWithin: int64(writeWithin),
		sessions: map[string]*session{}, conns: map[*conn]struct{}{}, delayed: map[*session]delayedWill{},
		tree: newTree(), retained: newRetained(c.RetainedMessages, c.RetainedBytes),
	}
	b.room.free = sync.NewCond(&b.room.mu)
	b.room.limit = c.QueueBytes
	b.room.share.Store(c.QueueBytes)
	b.backlogs[fresh].limit, b.backlogs[old].limit = c.SubscriberBytes, max(int64(c.RetainedBytes), c.SubscriberBytes)
	b.presence = newPresence(d.Status, &b.stats, b.log)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.slots.Store(&[]*slot{})
	b.generation.Store(1)
	b.clock.Store(time.Now().UnixNano())
	if d.Retained != nil {
		if err := b.retained.restore(b.ctx, d.Retained, time.Now(), b.log); err != nil {
			b.cancel()
			return nil, err
		}
		b.keeper = newKeeper(d.Retained, b.retained, b.log)
		b.retained.changed = b.keeper.note
		go b.keeper.run()
	}
	return b, nil
}

// Listen opens the ports and takes connections from then on.
func (b *Broker) Listen() error {
	for _, p := range []struct {
		name, addr string
		tls        *tls.Config
		webSocket  bool
	}{{"mqtt", b.config.Addr, nil, false}, {"mqtts", b.config.TLSAddr, b.deps.TLS, false}, {"ws", b.config.WSAddr, b.deps.WebSocketTLS, true}} {
		if p.addr == "" {
			continue
		}
		if p.name == "mqtts" && p.tls == nil {
			return errors.Join(errors.New("mqtt.tls_addr needs tls.cert and tls.key"), b.closeListeners())
		}
		l, err := net.Listen("tcp", p.addr)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for MQTT on %s: %w", p.addr, err), b.closeListeners())
		}
		b.listeners = append(b.listeners, newListener(b, p.name, l, p.tls, p.webSocket))
	}
	for _, l := range b.listeners {
		b.serving.Go(l.serve)
	}
	b.serving.Go(b.lookAround)
	b.serving.Go(func() { b.presence.run(b.ctx, b.deps.LeftOnline) })
	return nil
}

// Addr returns where a port listens: mqtt, mqtts or ws; "" if it does not.
func (b *Broker) Addr(port string) string {
	for _, l := range b.listeners {
		if l.name == port {
			return l.Addr().String()
		}
	}
	return ""
}

func (b *Broker) closeListeners() error {
	var errs []error
	for _, l := range b.listeners {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// closeGrace is how long clients have to take the DISCONNECT.
const closeGrace = time.Second

// Close takes in no more, tells the clients, and ends when nothing runs. What
// is not acknowledged by then is not: its sender keeps it.
func (b *Broker) Close() error {
	if b.stopping.Swap(true) {
		return nil
	}
	err := b.closeListeners()
	b.mu.Lock()
	for c := range b.conns {
		c.end(mqttwire.ServerShuttingDown, "server stopped")
	}
	b.mu.Unlock()
	deadline := time.Now().Add(closeGrace)
	for time.Now().Before(deadline) && b.connections() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	b.mu.Lock()
	for c := range b.conns {
		b.serving.Go(c.drop)
	}
	b.mu.Unlock()
	for deadline = time.Now().Add(closeGrace); time.Now().Before(deadline) && b.connections() > 0; {
		time.Sleep(5 * time.Millisecond)
	}
	b.presence.drain(closeGrace)
	b.cancel()
	b.room.wake()
	b.lanes.Wait()
	b.serving.Wait()
	if b.keeper != nil {
		b.keeper.close()
	}
	return err
}

func (b *Broker) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// lookEvery is the resolution of keep alives and of delayed wills, which count
// in seconds.
const lookEvery = time.Second

// accessEvery is every how many looks it is asked whether clients may still be
// connected.
const accessEvery = 3

// lookAround ends connections that are overdue and sessions that have expired. One
// goroutine does it for all: a timer for
// each of 20,000 connections would be set anew with each of their packets.
func (b *Broker) lookAround() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for looks := 1; ; looks++ {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		b.clock.Store(now.UnixNano())
		b.mu.Lock()
		var expired []*session
		asked := make([]*conn, 0, len(b.conns))
		for c := range b.conns {
			c.lookAt(now.UnixNano())
			if looks%accessEvery == 0 {
				asked = append(asked, c)
			}
		}
		for _, s := range b.sessions {
			if s.expired(now) {
				expired = append(expired, s)
			}
		}
		for _, s := range expired {
			delete(b.sessions, s.key)
		}
		wills := b.dueWills(now, expired)
		b.mu.Unlock()
		for _, c := range asked {
			c.lookAtAccess()
		}
		for _, s := range expired {
			s.clear(b.tree)
		}
		for _, w := range wills {
			b.publishWill(w)
		}
		b.retained.expire(now)
	}
}
