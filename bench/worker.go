package bench

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/varvedb/varve/bench/fleet"
)

// load is what the workers of a run share.
type load struct {
	cfg    WriteConfig
	pool   *fleet.Pool
	packed [][]byte // the first round's bodies compressed, if they are
	start  time.Time
	stop   time.Time // zero if only rows end the load
	next   atomic.Int64
	due    atomic.Int64 // rows handed out, which is when the next body is due
	rows   atomic.Int64 // acknowledged
}

// worker sends bodies to one server until the load ends.
type worker struct {
	load    *load
	target  int
	conn    *conn
	squeeze *gzip.Writer
	buffer  bytes.Buffer

	latency    Histogram
	failures   tally
	rows       int64 // acknowledged, as values and bytes
	values     int64
	bytes      int64
	requests   int64
	retries    int64
	failed     int64 // bodies given up
	failedRows int64
	lastAnswer time.Time
}

const (
	// firstWait is the pause before a body is sent again when the server did
	// not say how long; it doubles up to longestWait.
	firstWait   = 50 * time.Millisecond
	longestWait = 5 * time.Second
)

// run sends until the load ends or ctx is cancelled.
func (w *worker) run(ctx context.Context) {
	defer w.conn.close()
	for ctx.Err() == nil {
		n := w.load.next.Add(1) - 1
		due, ok := w.wait(ctx, n)
		if !ok {
			return
		}
		w.send(ctx, n, due)
	}
}

// wait returns when body n is due, and whether it is wanted at all.
func (w *worker) wait(ctx context.Context, n int64) (time.Time, bool) {
	l := w.load
	rows := int64(l.pool.BodyRows(n))
	before := l.due.Add(rows) - rows
	if l.cfg.Rows > 0 && before >= l.cfg.Rows {
		return time.Time{}, false
	}
	now := time.Now()
	due := now
	if l.cfg.RowsPerSecond > 0 {
		due = l.start.Add(time.Duration(float64(before) / l.cfg.RowsPerSecond * float64(time.Second)))
	}
	if !l.stop.IsZero() && (due.After(l.stop) || now.After(l.stop)) {
		return time.Time{}, false
	}
	return due, pause(ctx, due.Sub(now))
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send posts body n until it is acknowledged or given up.
func (w *worker) send(ctx context.Context, n int64, due time.Time) {
	l := w.load
	body := l.pool.Take(n)
	defer body.Release()
	text := w.pack(n, body)
	wait := firstWait
	for try := 0; ; try++ {
		w.requests++
		a, err := w.conn.post(ctx, text)
		now := time.Now()
		if ctx.Err() != nil {
			return
		}
		if err == nil && a.status/100 == 2 {
			w.latency.Add(now.Sub(due))
			w.lastAnswer = now
			w.rows += int64(body.Rows())
			w.values += int64(body.Values())
			w.bytes += int64(len(body.Text()))
			l.rows.Add(int64(body.Rows()))
			return
		}
		w.failures.add(reason(a, err), 1)
		pass := err != nil || a.status == 429 || a.status == 502 || a.status == 503 || a.status == 504
		pauseFor := max(wait, a.retryAfter)
		late := !l.stop.IsZero() && now.Add(pauseFor).After(l.stop)
		if !pass || try >= l.cfg.MaxRetries || late || !pause(ctx, pauseFor) {
			w.failed++
			w.failedRows += int64(body.Rows())
			return
		}
		w.retries++
		wait = min(2*wait, longestWait)
	}
}

// pack returns the bytes to send: the text, or its compression.
func (w *worker) pack(n int64, body *fleet.Body) []byte {
	l := w.load
	if !l.cfg.Gzip {
		return body.Text()
	}
	if n < int64(len(l.packed)) {
		return l.packed[n]
	}
	w.buffer.Reset()
	compress(w.squeeze, &w.buffer, body.Text())
	return w.buffer.Bytes()
}

// newGzip is a compressor at the level that writers like Telegraf use to
// save bandwidth rather than space.
func newGzip() *gzip.Writer {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return z
}

func compress(z *gzip.Writer, dst *bytes.Buffer, text []byte) {
	z.Reset(dst)
	if _, err := z.Write(text); err != nil {
		panic("BUG: writing to memory failed: " + err.Error())
	}
	if err := z.Close(); err != nil {
		panic("BUG: writing to memory failed: " + err.Error())
	}
}

// reason describes a failure in so few words that equal failures are equal.
func reason(a answer, err error) string {
	if err == nil {
		return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.message))
	}
	// The text of a network error starts with addresses, of which the local
	// port differs each time: its end is the reason.
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return "connection: " + text[:min(len(text), maxMessage)]
}
