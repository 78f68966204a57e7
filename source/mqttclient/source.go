// Package mqttclient reads from a broker of MQTT elsewhere, as a bridge does: it
// subscribes, hands what comes to a pipeline, and acknowledges it when the
// pipeline has it on disk.
//
// A connection has two goroutines besides Run: one reads packets into a queue,
// one takes what has gathered there, in one call of the intake, and then writes
// all acknowledgements in the order of the messages. When a connection ends, what
// was read is taken still, for a moment. The broker sends again what was not
// acknowledged, so that nothing is kept here from one connection to the next but
// which messages of QoS 2 were taken.
//
// Of a message that is larger than the largest packet the beginning is handed over,
// as one that cannot be read, and acknowledged: a broker of MQTT 3.1.1, which knows
// no largest packet, would send it again for ever, before all others.
package mqttclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

// Source implements source.Source.
type Source struct {
	cfg Config
	log *slog.Logger

	taken map[uint16]bool // QoS 2: taken, and not released yet; of the taker and, between connections, of Run

	mu        sync.Mutex // guards what is below
	connected bool
	trouble   string
}

// New returns the source of a pipeline.
func New(c Config, log *slog.Logger) *Source {
	return &Source{cfg: c, log: log, taken: map[uint16]bool{}}
}

// Status implements source.Source.
func (s *Source) Status() source.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return source.Status{Connected: s.connected, Trouble: s.trouble, Lag: -1}
}

func (s *Source) state(connected bool, trouble string) {
	s.mu.Lock()
	s.connected, s.trouble = connected, trouble
	s.mu.Unlock()
}

const (
	// firstPause and lastPause are how long a broker that cannot be reached is
	// left alone.
	firstPause, lastPause = 500 * time.Millisecond, 30 * time.Second
	// dialWithin is how long a connection and its CONNACK may take.
	dialWithin = 15 * time.Second
	// stayed is how long a connection lasts that was a good one: the next pause
	// is a short one.
	stayed = time.Minute
)

// Run implements source.Source.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	defer s.state(false, "")
	pause := firstPause
	for {
		began := time.Now()
		err := s.session(ctx, intake)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > stayed {
			pause = firstPause
		}
		s.state(false, err.Error())
		s.log.Warn("there is no connection to the broker of MQTT; it is tried again", "broker", s.cfg.Address, "error", err, "in", pause)
		// Spread, so that many bridges do not come back at once.
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		pause = min(2*pause, lastPause)
	}
}

// session reads over one connection, until it ends or ctx does.
func (s *Source) session(ctx context.Context, intake source.Intake) error {
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	l := &link{source: s, net: c, arrived: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{}), heard: time.Now()}
	defer c.Close()
	if err := l.open(); err != nil {
		return err
	}
	s.state(true, "")
	s.log.Info("reading from a broker of MQTT", "broker", s.cfg.Address, "topics", s.cfg.Topics)
	// What is taken when ctx ends is acknowledged; nothing more is.
	over, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { failed <- l.read(over) })
	running.Go(func() { l.take(over, ctx, intake) })
	running.Go(func() {
		if err := l.ping(over); over.Err() == nil {
			l.fail(err)
		}
	})
	select {
	case err = <-failed:
		late := time.AfterFunc(endGrace, end)
		l.stop(true)
		late.Stop()
		l.mu.Lock()
		if l.broken != nil {
			err = l.broken
		}
		l.mu.Unlock()
	case <-ctx.Done():
		late := time.AfterFunc(stopGrace, end)
		l.stop(false)
		late.Stop()
		l.write(mqttwire.AppendDisconnect(nil, s.cfg.Version, &mqttwire.Disconnect{}))
	}
	end()
	c.Close()
	running.Wait()
	return err
}

const (
	// stopGrace is how long a call of the intake may take to end at a stop.
	stopGrace = 5 * time.Second
	// endGrace is how long what was read may take to be taken when the connection
	// has ended, before there is another.
	endGrace = 2 * time.Second
)

func (s *Source) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	var conf *tls.Config
	if s.cfg.TLS != nil {
		var err error
		if conf, err = s.cfg.TLS.config(); err != nil {
			return nil, err
		}
	}
	if s.cfg.WebSocket != "" {
		scheme := "ws://"
		if conf != nil {
			scheme = "wss://"
		}
		ws, _, err := websocket.Dial(ctx, scheme+s.cfg.Address+s.cfg.WebSocket, &websocket.DialOptions{
			Subprotocols: []string{"mqtt"}, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}})
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.cfg.Address)
	if err != nil || conf == nil {
		return c, err
	}
	t := tls.Client(c, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS: %w", err), c.Close())
	}
	return t, nil
}

// connect is the CONNECT of a connection.
func (s *Source) connect() (*mqttwire.Connect, error) {
	password := s.cfg.Password
	if s.cfg.PasswordFile != "" {
		text, err := os.ReadFile(s.cfg.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		password = strings.TrimSpace(string(text))
	}
	return &mqttwire.Connect{
		Version: s.cfg.Version, KeepAlive: uint16(s.cfg.KeepAlive / time.Second), ClientID: s.cfg.ClientID,
		HasUser: s.cfg.User != "" || password != "", User: s.cfg.User, HasPassword: password != "", Password: []byte(password),
		SessionExpiry: uint32(s.cfg.SessionExpiry / time.Second), ReceiveMaximum: uint16(s.cfg.ReceiveMaximum), MaximumPacket: uint32(s.cfg.MaxPacket),
	}, nil
}
