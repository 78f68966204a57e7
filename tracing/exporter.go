package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/protobuf/proto"
)

// exporter sends spans to a collector. The SDK calls ExportSpans from one
// goroutine.
type exporter struct {
	url    *url.URL
	header http.Header
	client *http.Client
	log    *slog.Logger

	sent, failed atomic.Uint64
	complained   time.Time // when the log was last told that spans were lost
}

// retryWaits come before another attempt to send: a collector restarts in
// seconds.
func retryWaits() []time.Duration { return []time.Duration{200 * time.Millisecond, 2 * time.Second} }

// complainEvery keeps a collector that is away from filling the log.
const complainEvery = time.Minute

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

func newExporter(c Config, log *slog.Logger) (*exporter, error) {
	u, err := c.url()
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, errors.New("no endpoint is given")
	}
	h, err := c.header()
	if err != nil {
		return nil, err
	}
	h.Set("Content-Type", "application/x-protobuf")
	return &exporter{url: u, header: h, log: log, client: &http.Client{
		// A collector does not redirect; a header may be secret, and belongs to
		// this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ExportSpans implements sdk.SpanExporter. What cannot be sent is counted and
// logged here, and is no error: the SDK would write of it to standard error.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	body, err := proto.Marshal(tracesOf(spans))
	if err == nil {
		err = e.send(ctx, body)
	}
	if err == nil {
		e.sent.Add(uint64(len(spans)))
		return nil
	}
	e.failed.Add(uint64(len(spans)))
	if now := time.Now(); now.Sub(e.complained) >= complainEvery {
		e.complained = now
		e.log.Warn("spans were not sent", "spans", len(spans), "collector", e.url.Redacted(), "error", err)
	}
	return nil
}

// Shutdown implements sdk.SpanExporter.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// send posts body, again where that may help, until ctx ends.
func (e *exporter) send(ctx context.Context, body []byte) error {
	waits := retryWaits()
	for {
		again, err := e.post(ctx, body)
		if err == nil || !again || len(waits) == 0 {
			return err
		}
		select {
		case <-time.After(waits[0]):
			waits = waits[1:]
		case <-ctx.Done():
			return err
		}
	}
}

// post makes one attempt. again says whether another may succeed: the statuses
// are those of the OTLP specification, section "Failures".
func (e *exporter) post(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header = e.header.Clone()
	resp, err := e.client.Do(r)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	// Read to its end the connection can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	switch resp.StatusCode {
	case http.StatusOK:
		return false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return again, fmt.Errorf("the collector answered %s", resp.Status)
}
