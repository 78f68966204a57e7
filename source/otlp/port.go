package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // which exporters may be told to use
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/varvedb/varve/httpapi"
)

// Admit says whether a sender may send a message, before any of it is read:
// httpapi.API.
type Admit func(ctx context.Context, s httpapi.Sender) (Admission, *httpapi.Error)

// Admission is the leave to have one message stored.
type Admission interface {
	// Store returns when the message is stored, or with the pipeline that wants
	// it. It keeps nothing of message.
	Store(ctx context.Context, message []byte) (httpapi.Rejected, *httpapi.Error)
	// Close is called once.
	Close()
}

// PortConfig says what a port is.
type PortConfig struct {
	Addr string      // host:port
	TLS  *tls.Config // nil: none
	// MaxMessageBytes is the largest message, after decompression.
	MaxMessageBytes int
	// MaxMessages is how many may be under way, and MaxConnections how many
	// connections open.
	MaxMessages    int
	MaxConnections int
	// ReceiveTimeout is how long a message may take to come.
	ReceiveTimeout time.Duration
}

// DefaultPort returns the limits of a port for so many processors.
func DefaultPort(procs int) PortConfig {
	return PortConfig{
		// Four times what gRPC takes unasked. Exporters send some thousand data
		// points at a time, of some hundred bytes each.
		MaxMessageBytes: 16 << 20,
		// Most of them wait for the disk together.
		MaxMessages:    32 * procs,
		MaxConnections: 4096,
		ReceiveTimeout: 15 * time.Second,
	}
}

// Port is an open port.
type Port struct {
	cfg      PortConfig
	admit    Admit
	log      *slog.Logger
	listener *limited
	server   *grpc.Server
	places   chan struct{} // one is in it for each message under way
}

const (
	// idle is how long a connection may do nothing: several times as long as
	// exporters wait between two reports, which is a minute or less.
	idle = 10 * time.Minute
	// pingEvery asks a connection whether it is alive that sends nothing.
	pingEvery = time.Minute
	// window is what gRPC may hold of messages that nobody has asked for yet, of
	// one call and of a connection.
	window = 256 << 10
)

// Listen opens a port. It answers when Serve is called.
func Listen(c PortConfig, admit Admit, log *slog.Logger) (*Port, error) {
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("open OTLP port: %w", err)
	}
	p := &Port{cfg: c, admit: admit, log: log, places: make(chan struct{}, c.MaxMessages),
		listener: &limited{Listener: l, places: make(chan struct{}, c.MaxConnections)}}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(c.MaxMessageBytes),
		grpc.MaxConcurrentStreams(uint32(min(c.MaxMessages, 100))),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle, Time: pingEvery, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if c.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(c.TLS)))
	}
	p.server = grpc.NewServer(options...)
	// As a stream, of which the client sends one message: the handler is then
	// called before that is read.
	p.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.metrics.v1.MetricsService",
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{{StreamName: "Export", ClientStreams: true, Handler: p.export}},
	}, p)
	return p, nil
}

// Addr is where the port listens.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Serve answers until Stop.
func (p *Port) Serve() error {
	if err := p.server.Serve(p.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve OTLP port: %w", err)
	}
	return nil
}

// Close lets go of a port that Serve was not called for.
func (p *Port) Close() {
	p.server.Stop()
	_ = p.listener.Close() // nothing was taken from it
}

// Stop takes no more messages and waits for those under way until ctx ends.
func (p *Port) Stop(ctx context.Context) {
	stopped := make(chan struct{})
	go func() {
		p.server.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		p.server.Stop() // which ends GracefulStop too
		<-stopped
	}
}

// message is one that is received or sent, in the encoding of protobuf.
type message []byte

// codec leaves messages as they are.
type codec struct{}

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*message))}, nil
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*message) = data.Materialize()
	return nil
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// export is MetricsService.Export.
func (p *Port) export(_ any, stream grpc.ServerStream) (err error) {
	ctx := stream.Context()
	defer func() {
		if failed := recover(); failed != nil {
			p.log.ErrorContext(ctx, "a message of OTLP failed", "error", fmt.Sprintf("panic: %v\n%s", failed, debug.Stack()))
			err = status.Error(codes.Internal, "an internal error has occurred; the server's log has the cause")
		}
	}()
	admission, refused := p.admit(ctx, sender(ctx))
	if refused != nil {
		return statusOf(refused)
	}
	defer admission.Close()
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		return statusOf(&httpapi.Error{Code: httpapi.Unavailable, Message: "too many messages at once"})
	}
	m, err := p.receive(stream)
	if err != nil {
		return err
	}
	rejected, refused := admission.Store(ctx, m)
	if refused != nil {
		return statusOf(refused)
	}
	answer := message(rejected.AppendAnswer(nil))
	return stream.SendMsg(&answer)
}

// receive reads the message of a stream. One that does not come in time ends
// the stream, and with it the reading.
func (p *Port) receive(stream grpc.ServerStream) (message, error) {
	var m message
	received := make(chan error, 1)
	go func() { received <- stream.RecvMsg(&m) }()
	timeout := time.NewTimer(p.cfg.ReceiveTimeout)
	defer timeout.Stop()
	select {
	case err := <-received:
		return m, err
	case <-timeout.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "the message did not come within %s", p.cfg.ReceiveTimeout)
	}
}

// sender reads who sends, and where to, from the metadata.
func sender(ctx context.Context) httpapi.Sender {
	var s httpapi.Sender
	m, _ := metadata.FromIncomingContext(ctx)
	first := func(name string) string {
		if values := m.Get(name); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	s.Token, s.Org, s.Bucket = first("authorization"), first(httpapi.HeaderOrg), first(httpapi.HeaderBucket)
	if from, ok := peer.FromContext(ctx); ok {
		s.Address = from.Addr.String()
		if host, _, err := net.SplitHostPort(s.Address); err == nil {
			s.Address = host
		}
	}
	return s
}

// statusOf says e in the words of gRPC. Exporters try again after Unavailable,
// and when the details say.
func statusOf(e *httpapi.Error) error {
	s := status.New(codes.Code(e.Code.GRPC()), e.Message)
	if after := e.RetryDelay(); after > 0 {
		if detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); err == nil {
			s = detailed
		}
	}
	return s.Err()
}

// limited closes connections beyond so many at once.
type limited struct {
	net.Listener
	places chan struct{}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			_ = c.Close() // it had nothing yet
		}
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
