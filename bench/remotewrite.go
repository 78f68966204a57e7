package bench

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/varvedb/varve/bench/remotewrite"
)

// RemoteWriteConfig says what RunRemoteWrite sends, and where.
type RemoteWriteConfig struct {
	Target Target
	// Path is that of the endpoint, below the target's URL.
	Path           string
	Load           remotewrite.Config
	Workers        int
	Duration       time.Duration
	RequestTimeout time.Duration
	JSON           bool
}

// DefaultRemoteWrite returns the usual load: two connections for ten seconds.
func DefaultRemoteWrite() RemoteWriteConfig {
	return RemoteWriteConfig{
		Target: Target{API: V2}, Path: "/api/v1/write", Load: remotewrite.Default(),
		Workers: 2, Duration: 10 * time.Second, RequestTimeout: 30 * time.Second,
	}
}

// Validate says what makes no sense.
func (c *RemoteWriteConfig) Validate() error {
	if err := c.Target.Validate(); err != nil {
		return err
	}
	if c.Workers < 1 || c.Duration <= 0 || c.RequestTimeout <= 0 {
		return fmt.Errorf("%d workers for %s with %s a request: want more than none of each", c.Workers, c.Duration, c.RequestTimeout)
	}
	return c.Load.Validate()
}

// RemoteWriteReport is what came of it.
type RemoteWriteReport struct {
	Version          int      `json:"version"`
	SamplesPerSecond float64  `json:"samples_per_second"`
	Samples          int64    `json:"samples"`
	Bytes            int64    `json:"bytes"` // of messages before compression
	Seconds          float64  `json:"seconds"`
	Requests         int64    `json:"requests"`
	Latency          Latency  `json:"latency"`
	LoaderCPUSeconds float64  `json:"loader_cpu_seconds"`
	ServerCPUSeconds float64  `json:"server_cpu_seconds,omitempty"`
	ServerPeakBytes  int64    `json:"server_peak_bytes,omitempty"`
	Failures         []Reason `json:"failures,omitempty"`
}

// remoteWorker sends over one connection.
type remoteWorker struct {
	conn     *conn
	latency  Histogram
	failures tally
	samples  int64
	bytes    int64
	requests int64
	last     time.Time
}

// RunRemoteWrite sends requests as fast as the server takes them and writes the
// report to out. A request that fails is not sent again. It returns an error
// when nothing was acknowledged, or ctx ended.
func RunRemoteWrite(ctx context.Context, cfg RemoteWriteConfig, out io.Writer) (RemoteWriteReport, error) {
	r := RemoteWriteReport{Version: cfg.Load.Version}
	if err := cfg.Validate(); err != nil {
		return r, err
	}
	g := remotewrite.New(cfg.Load)
	workers := make([]*remoteWorker, cfg.Workers)
	for i := range workers {
		c, err := newConnTo(cfg.Target, cfg.remotePath(), cfg.headers(), cfg.RequestTimeout)
		if err != nil {
			return r, err
		}
		workers[i] = &remoteWorker{conn: c, failures: tally{}}
	}
	own, err := ownCPU()
	if err != nil {
		return r, err
	}
	server := process{cfg.Target.PID}
	var serverCPU time.Duration
	if server.pid > 0 {
		if serverCPU, err = server.cpu(); err != nil {
			return r, err
		}
	}
	start := time.Now()
	stop := start.Add(cfg.Duration)
	var next atomic.Int64
	var sending sync.WaitGroup
	for _, w := range workers {
		sending.Go(func() { w.run(ctx, g, &next, stop) })
	}
	sending.Wait()

	end, failures := start, tally{}
	var latency Histogram
	for _, w := range workers {
		latency.Merge(&w.latency)
		failures.merge(w.failures)
		r.Samples += w.samples
		r.Bytes += w.bytes
		r.Requests += w.requests
		if w.last.After(end) {
			end = w.last
		}
	}
	r.Seconds, r.Latency, r.Failures = end.Sub(start).Seconds(), latency.Latency(), failures.list()
	r.SamplesPerSecond = ratio(float64(r.Samples), r.Seconds)
	now, err := ownCPU()
	if err != nil {
		return r, err
	}
	r.LoaderCPUSeconds = (now - own).Seconds()
	if server.pid > 0 {
		cpu, err := server.cpu()
		if err != nil {
			return r, err
		}
		m, err := server.memory()
		if err != nil {
			return r, err
		}
		r.ServerCPUSeconds, r.ServerPeakBytes = (cpu - serverCPU).Seconds(), m.peak
	}
	if cfg.JSON {
		err = writeJSON(out, r)
	} else {
		err = r.writeText(out)
	}
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("bench remote-write: %w", ctx.Err())
	case err != nil:
		return r, err
	case r.Samples == 0 && len(r.Failures) > 0:
		return r, fmt.Errorf("bench remote-write: no sample was acknowledged: %s", r.Failures[0].Reason)
	}
	return r, nil
}

func (c *RemoteWriteConfig) headers() []string {
	kind := "application/x-protobuf"
	if c.Load.Version == 2 {
		kind += ";proto=io.prometheus.write.v2.Request"
	}
	return []string{
		"Content-Type: " + kind, "Content-Encoding: snappy",
		fmt.Sprintf("X-Prometheus-Remote-Write-Version: %s", map[int]string{1: "0.1.0", 2: "2.0.0"}[c.Load.Version]),
	}
}

// remotePath is the path of the endpoint with its query.
func (c *RemoteWriteConfig) remotePath() string {
	u, err := url.Parse(c.Target.URL)
	if err != nil {
		panic("BUG: target was not validated: " + err.Error())
	}
	q := url.Values{}
	if c.Target.Bucket != "" {
		q.Set("bucket", c.Target.Bucket)
	}
	if c.Target.Org != "" {
		q.Set("org", c.Target.Org)
	}
	return strings.TrimSuffix(u.EscapedPath(), "/") + c.Path + "?" + q.Encode()
}

func (w *remoteWorker) run(ctx context.Context, g *remotewrite.Generator, next *atomic.Int64, stop time.Time) {
	defer w.conn.close()
	var b remotewrite.Buffer
	for ctx.Err() == nil && time.Now().Before(stop) {
		body, samples, size := g.Request(next.Add(1)-1, &b)
		sent := time.Now()
		a, err := w.conn.post(ctx, body)
		if ctx.Err() != nil {
			return
		}
		w.requests++
		if err != nil || a.status/100 != 2 {
			w.failures.add(reason(a, err), 1)
			if !pause(ctx, max(firstWait, a.retryAfter)) {
				return
			}
			continue
		}
		w.last = time.Now()
		w.latency.Add(w.last.Sub(sent))
		w.samples += int64(samples)
		w.bytes += int64(size)
	}
}

func (r *RemoteWriteReport) writeText(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\t\n", name, fmt.Sprintf(format, args...))
	}
	row("samples/s", "%s", grouped(r.SamplesPerSecond))
	row("samples", "%s in %.1f s, by remote write %d.0", grouped(float64(r.Samples)), r.Seconds, r.Version)
	row("MB/s", "%.1f before compression", ratio(float64(r.Bytes), r.Seconds)/1e6)
	row("latency ms", "p50 %.2f  p90 %.2f  p99 %.2f  max %.2f", r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max)
	row("requests", "%d", r.Requests)
	row("loader CPU", "%.2f s", r.LoaderCPUSeconds)
	if r.ServerCPUSeconds > 0 {
		row("server CPU", "%.2f s, %s samples a second of it", r.ServerCPUSeconds, grouped(ratio(float64(r.Samples), r.ServerCPUSeconds)))
		row("peak memory", "%.0f MiB", mebibytes(r.ServerPeakBytes))
	}
	for _, f := range r.Failures {
		row("failed", "%d × %s", f.Count, f.Reason)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
