package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// listener is a port of the broker.
type listener struct {
	net.Listener
	broker *Broker
	name   string
	tls    *tls.Config  // nil: none
	server *http.Server // of WebSocket; nil: MQTT itself
}

func newListener(b *Broker, name string, from net.Listener, t *tls.Config, webSocket bool) *listener {
	l := &listener{Listener: steadyListener{from}, broker: b, name: name, tls: t}
	if webSocket {
		l.server = &http.Server{Handler: http.HandlerFunc(l.upgrade), ReadHeaderTimeout: connectWithin, IdleTimeout: connectWithin, MaxHeaderBytes: 16 << 10,
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				return context.WithValue(ctx, below{}, steadyOf(c))
			}}
	}
	return l
}

// serve takes connections until the port is closed.
func (l *listener) serve() {
	if l.server != nil {
		l.serveWebSocket()
		return
	}
	failing := false
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no more files, say
			if !failing {
				l.broker.log.Warn("connections of MQTT are not taken", "port", l.name, "error", err)
			}
			failing = true
			time.Sleep(100 * time.Millisecond)
			continue
		}
		failing = false
		if l.broker.full() {
			nc.Close()
			continue
		}
		l.broker.greeting.Add(1)
		l.broker.serving.Go(func() { l.greet(nc) })
	}
}

// full reports whether there is no place for another connection, and counts it.
func (b *Broker) full() bool {
	if b.connections()+int(b.greeting.Load()) < b.config.MaxConnections {
		return false
	}
	b.stats.turnedAway.Add(1)
	return true
}

func (l *listener) greet(nc net.Conn) {
	var cert *x509.Certificate
	at := steadyOf(nc)
	if l.tls != nil {
		t := tls.Server(nc, l.tls)
		ctx, cancel := context.WithTimeout(l.broker.ctx, connectWithin)
		err := t.HandshakeContext(ctx)
		cancel()
		if err != nil {
			l.broker.greeting.Add(-1)
			l.broker.stats.handshakes.Add(1)
			l.broker.log.Debug("a handshake of TLS failed", "port", l.name, "remote", nc.RemoteAddr(), "error", err)
			nc.Close()
			return
		}
		cert = verified(t.ConnectionState())
		nc = t
	}
	l.broker.greeting.Add(-1)
	l.broker.accept(nc, at, nc.RemoteAddr().String(), cert)
}

func verified(s tls.ConnectionState) *x509.Certificate {
	if len(s.VerifiedChains) == 0 {
		return nil
	}
	return s.PeerCertificates[0]
}

// below is the key of the connection below a request of WebSocket.
type below struct{}

// accept serves a connection to its end. at is what is below it.
func (b *Broker) accept(nc net.Conn, at *steady, remote string, cert *x509.Certificate) {
	c := &conn{broker: b, net: nc, below: at, remote: remote, cert: cert}
	c.heard.Store(b.clock.Load())
	c.patient.Store(int64(connectWithin))
	b.mu.Lock()
	if b.stopping.Load() {
		b.mu.Unlock()
		nc.Close()
		return
	}
	b.conns[c] = struct{}{}
	b.mu.Unlock()
	c.serve()
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

func (l *listener) serveWebSocket() {
	ln := l.Listener
	if l.tls != nil {
		ln = tls.NewListener(ln, l.tls)
	}
	err := l.server.Serve(ln)
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		l.broker.log.Error("the port of MQTT over WebSocket is closed", "error", err)
	}
}

// upgrade turns a request into a connection (section 6 of the standard).
func (l *listener) upgrade(w http.ResponseWriter, r *http.Request) {
	if l.broker.full() {
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		return // it has answered
	}
	if ws.Subprotocol() != "mqtt" {
		ws.Close(websocket.StatusProtocolError, "the subprotocol is mqtt")
		return
	}
	var cert *x509.Certificate
	if r.TLS != nil {
		cert = verified(*r.TLS)
	}
	at, _ := r.Context().Value(below{}).(*steady)
	l.broker.accept(websocket.NetConn(l.broker.ctx, ws, websocket.MessageBinary), at, r.RemoteAddr, cert)
}

func (l *listener) close() error {
	if l.server != nil {
		// It closes the port too, unless it does not serve yet.
		return errors.Join(l.server.Close(), ignoreClosed(l.Close()))
	}
	return l.Close()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
