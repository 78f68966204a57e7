// Package transport is what lies between the network and a handler of
// requests: ports with their limits, TLS, and a stop that drains. Package server
// opens them.
//
// A port takes HTTP/1.1, and over TLS HTTP/2 as well. HTTP/2 without TLS is not
// offered: no client of a time-series database speaks it unasked, and its
// upgrade from HTTP/1.1 has a history of smuggled requests behind proxies.
//
// No limit here is a single deadline for a whole request. A body may take as
// long as it keeps coming, an answer as long as it is taken; what is cut off is
// waiting without progress (see Limits).
//
// Everything here is safe for concurrent use. The goroutines of a port are those
// of net/http; Serve starts and awaits them. Certificates has one of its own,
// which its owner ends by Close.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a port is.
type Config struct {
	Name    string // in logs and metrics
	Addr    string // host:port
	Handler http.Handler
	Limits  Limits // MaxConnections is not 0
	// TLS is nil for a port without.
	TLS *Certificates
	Log *slog.Logger
}

// Port is an open port with its handler.
type Port struct {
	name     string
	limits   Limits
	handler  http.Handler
	listener net.Listener
	tls      *Certificates
	log      *slog.Logger
	server   *http.Server
	conns    connections
	hits     hits
	requests atomic.Int64 // under way
	cut      context.CancelFunc
}

const (
	// receiveBuffer is what HTTP/2 may hold of bodies that handlers have not
	// read yet, for each connection: what fits between two round trips of 50 ms
	// at 40 Mbit/s. The default of net/http is four times as much.
	receiveBuffer = 256 << 10
	// http2Ping asks a connection whether it is alive that sends nothing.
	http2Ping = 30 * time.Second
)

// Listen opens a port. It answers when Serve is called.
func Listen(c Config) (*Port, error) {
	if c.Limits.MaxConnections < 1 {
		panic("BUG: a port without a limit of connections")
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("open %s port: %w", c.Name, err)
	}
	p := &Port{name: c.Name, limits: c.Limits, handler: c.Handler, listener: l, tls: c.TLS, log: c.Log}
	p.conns.max, p.conns.open = c.Limits.MaxConnections, make(map[*conn]struct{})
	base, cut := context.WithCancel(context.Background())
	p.cut = cut
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(c.TLS != nil)
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: c.Limits.HeaderTimeout,
		IdleTimeout:       c.Limits.IdleTimeout,
		MaxHeaderBytes:    int(c.Limits.MaxHeaderBytes),
		Protocols:         protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          c.Limits.MaxStreams,
			MaxReceiveBufferPerConnection: receiveBuffer,
			MaxReceiveBufferPerStream:     receiveBuffer,
			SendPingTimeout:               http2Ping,
			WriteByteTimeout:              c.Limits.WriteTimeout,
			CountError:                    p.http2Error,
		},
		ConnState: p.state,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, under(c))
		},
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(serverLog{c.Log.Handler(), &p.hits}, slog.LevelWarn),
	}
	if c.TLS != nil {
		p.server.TLSConfig = c.TLS.config()
	}
	return p, nil
}

// Addr is where the port listens.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Close lets go of a port that Serve was not called for.
func (p *Port) Close() error {
	p.cut()
	return p.listener.Close()
}

type connKey struct{}

// ServeHTTP puts the limits around the handler.
func (p *Port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		c.served.Store(true)
	}
	defer p.requests.Add(-1)
	if p.requests.Add(1) > int64(p.limits.MaxConnections) {
		p.hits.requests.Add(1)
		refuse(w)
		return
	}
	if r.Method == "PRI" {
		http.Error(w, "HTTP/2 needs TLS here: set tls.cert and tls.key at the server, or use HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	control := http.NewResponseController(w)
	if r.ProtoMajor > 1 {
		w = &streamWriter{w, control, &p.limits, &p.hits}
	}
	if r.Body != nil && r.Body != http.NoBody {
		b := &pacedBody{ReadCloser: r.Body, w: w, control: control, limits: &p.limits, hits: &p.hits, http1: r.ProtoMajor == 1}
		// What the handler leaves unread is read by net/http, under the same
		// deadline.
		if b.arm(time.Now()) != nil {
			panic(http.ErrAbortHandler) // the connection is gone
		}
		r.Body = b
	}
	p.handler.ServeHTTP(w, r)
}

// refuse answers in the words of either port.
func refuse(w http.ResponseWriter) {
	const text = "too many requests at once; try again later, or raise http.max_connections at the server"
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Retry-After", "2")
	w.WriteHeader(http.StatusServiceUnavailable)
	// A client that left needs no answer.
	_, _ = fmt.Fprintf(w, `{"code":"unavailable","message":%q,"detail":%q}`+"\n", text, text)
}

// http2Error counts what net/http ends because HTTP/2 does not allow it. The
// kind is of the form stream_PROTOCOL_ERROR_over_max_streams.
func (p *Port) http2Error(kind string) {
	for _, s := range []string{"over_max_streams", "over_max_streams_race", "too_many_early_resets"} {
		if strings.HasSuffix(kind, s) {
			p.hits.http2.Add(1)
			return
		}
	}
	p.hits.malformed.Add(1)
}

// serverLog is the log of net/http. A handshake that fails is of interest to
// who looks for it; scanners make many.
type serverLog struct {
	slog.Handler
	hits *hits
}

func (l serverLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "TLS handshake error") {
		l.hits.handshakes.Add(1)
		r.Level = slog.LevelDebug
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// Enabled is always true, for the sake of counting.
func (serverLog) Enabled(context.Context, slog.Level) bool { return true }

func (p *Port) serve() error {
	var l net.Listener = accepting{p.listener, p}
	var err error
	if p.tls != nil {
		err = p.server.ServeTLS(l, "", "")
	} else {
		err = p.server.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s port: %w", p.name, err)
	}
	return nil
}

// stop takes no more requests and waits until deadline for those under way;
// those that are left then are cut off.
func (p *Port) stop(deadline context.Context) {
	p.conns.closeSilent()
	if p.server.Shutdown(deadline) != nil {
		p.log.Warn("requests did not end in time and were cut off", "port", p.name, "requests", p.requests.Load())
		// An error would be of the listener, which is closed already.
		_ = p.server.Close()
	}
	p.cut()
	p.await()
}

// cutTime is how long handlers may take to notice that their client is gone. A
// query looks at its context for each block; a write waits for an fsync.
const cutTime = 5 * time.Second

// await waits for handlers, which net/http does not do for connections that it
// was made to close.
func (p *Port) await() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(cutTime); p.requests.Load() > 0; <-tick.C {
		if time.Now().After(end) {
			p.log.Warn("requests go on although their clients were cut off", "port", p.name, "requests", p.requests.Load())
			return
		}
	}
}

// Stop says how a server stops.
type Stop struct {
	// Delay is how long requests are still taken after the server was told to
	// stop, for balancers to learn that it is not ready any more.
	Delay time.Duration
	// Timeout is how long requests may take to end after that.
	Timeout time.Duration
	// Begin is called as soon as the server is told to stop.
	Begin func()
}

// Serve answers on all ports until ctx ends or a port fails, and stops them. It
// returns when no request is under way any more.
func Serve(ctx context.Context, s Stop, log *slog.Logger, ports ...*Port) error {
	failed := make(chan error, len(ports))
	var wg sync.WaitGroup
	for _, p := range ports {
		wg.Go(func() {
			if err := p.serve(); err != nil {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
		log.Info("stopping", "delay", s.Delay, "drain", s.Timeout)
		s.Begin()
		select {
		case <-time.After(s.Delay):
		case err = <-failed:
		}
	case err = <-failed:
		s.Begin()
	}
	// Not derived from ctx, which has ended.
	deadline, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	for _, p := range ports {
		wg.Go(func() { p.stop(deadline) })
	}
	wg.Wait()
	return err
}
