package otlp_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/source/otlp"
)

// desk admits everybody but those without a token, and stores nothing.
type desk struct {
	from     chan httpapi.Sender // of each admission
	rejected httpapi.Rejected
	err      *httpapi.Error
	block    chan struct{} // if set, Store waits for it
	panics   bool
	open     atomic.Int64 // admissions that are not closed
}

func (d *desk) admit(_ context.Context, s httpapi.Sender) (otlp.Admission, *httpapi.Error) {
	if s.Token == "" {
		return nil, &httpapi.Error{Code: httpapi.Unauthorized, Message: "unauthorized access"}
	}
	d.from <- s
	d.open.Add(1)
	return d, nil
}

func (d *desk) Store(ctx context.Context, _ []byte) (httpapi.Rejected, *httpapi.Error) {
	if d.panics {
		panic("a bug")
	}
	if d.block != nil {
		select {
		case <-d.block:
		case <-ctx.Done():
		}
	}
	return d.rejected, d.err
}

func (d *desk) Close() { d.open.Add(-1) }

// listen opens a port on a desk and returns a connection to it.
func listen(t *testing.T, d *desk, change func(*otlp.PortConfig)) (*otlp.Port, *grpc.ClientConn) {
	t.Helper()
	d.from = make(chan httpapi.Sender, 100)
	c := otlp.DefaultPort(1)
	c.Addr = "127.0.0.1:0"
	if change != nil {
		change(&c)
	}
	p, err := otlp.Listen(c, d.admit, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve() }()
	conn, err := grpc.NewClient("passthrough:///"+p.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close() // the test is over
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		p.Stop(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
		if n := d.open.Load(); n != 0 {
			t.Errorf("%d admissions were not closed", n)
		}
	})
	return p, conn
}

const method = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

func send(conn *grpc.ClientConn) (*collector.ExportMetricsServiceResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out := new(collector.ExportMetricsServiceResponse)
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer x", "varve-bucket", "b", "varve-org", "o")
	return out, conn.Invoke(ctx, method, new(collector.ExportMetricsServiceRequest), out)
}

func TestPort(t *testing.T) {
	d := &desk{}
	_, conn := listen(t, d, nil)
	if _, err := send(conn); err != nil {
		t.Fatal(err)
	}
	if got, want := <-d.from, (httpapi.Sender{Token: "Bearer x", Org: "o", Bucket: "b", Address: "127.0.0.1"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	d.rejected = httpapi.Rejected{Points: 3, Reason: "too old"}
	if out, err := send(conn); err != nil || out.GetPartialSuccess().GetRejectedDataPoints() != 3 || out.GetPartialSuccess().GetErrorMessage() != "too old" {
		t.Errorf("%v, %v", out, err)
	}
	for code, want := range map[httpapi.Code]codes.Code{
		httpapi.Invalid: codes.InvalidArgument, httpapi.NotFound: codes.NotFound, httpapi.Forbidden: codes.PermissionDenied,
		httpapi.Unavailable: codes.Unavailable, httpapi.Internal: codes.Internal,
	} {
		d.err = &httpapi.Error{Code: code, Message: "why", RetryAfter: 7 * time.Second}
		_, err := send(conn)
		s := status.Convert(err)
		if s.Code() != want || s.Message() != "why" {
			t.Errorf("%s: %v", code, err)
		}
		var after time.Duration
		for _, detail := range s.Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				after = info.GetRetryDelay().AsDuration()
			}
		}
		if (after == 7*time.Second) != (code == httpapi.Unavailable) {
			t.Errorf("%s: come again after %s", code, after)
		}
	}
	d.err, d.panics = nil, true
	if _, err := send(conn); status.Code(err) != codes.Internal {
		t.Errorf("a bug: %v", err)
	}
	if err := conn.Invoke(t.Context(), method, new(collector.ExportMetricsServiceRequest), new(collector.ExportMetricsServiceResponse)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	if err := conn.Invoke(t.Context(), "/x.Y/Z", new(collector.ExportMetricsServiceRequest), new(collector.ExportMetricsServiceResponse)); status.Code(err) != codes.Unimplemented {
		t.Errorf("another method: %v", err)
	}
}

// TestSlowMessage: who begins to send and does not go on gives the place back.
func TestSlowMessage(t *testing.T) {
	d := &desk{}
	_, conn := listen(t, d, func(c *otlp.PortConfig) { c.MaxMessages, c.ReceiveTimeout = 1, 100*time.Millisecond })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x")
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(collector.ExportMetricsServiceResponse)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a message that does not come: %v", err)
	}
	if _, err := send(conn); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestTooManyMessages(t *testing.T) {
	d := &desk{block: make(chan struct{})}
	p, conn := listen(t, d, func(c *otlp.PortConfig) { c.MaxMessages = 2 })
	ended := make(chan error, 2)
	for range 2 {
		go func() { _, err := send(conn); ended <- err }()
		<-d.from
	}
	// On a connection of its own: gRPC makes calls of one connection wait.
	other, err := grpc.NewClient("passthrough:///"+p.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	deadline := time.Now().Add(10 * time.Second)
	for {
		// The two may have been admitted and not have their places yet.
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x"), time.Second)
		err := other.Invoke(ctx, method, new(collector.ExportMetricsServiceRequest), new(collector.ExportMetricsServiceResponse))
		cancel()
		if status.Code(err) == codes.Unavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a third message: %v", err)
		}
	}
	close(d.block)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	d := &desk{}
	p, conn := listen(t, d, func(c *otlp.PortConfig) { c.MaxConnections = 2 })
	if _, err := send(conn); err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	second := dial()
	third := dial()
	if err := third.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := third.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a third connection reads %d bytes, %v: want that it is closed", n, err)
	}
	second.Close()
	if _, err := send(conn); err != nil {
		t.Error(err)
	}
}
