// Package bench measures servers that speak the InfluxDB write API, and the
// answers of several kinds of servers to the same questions: Varve and its
// peers with the same tool. It is called by "varve bench" and by the scripts
// that compare. Every function is safe for concurrent use, but two runs on
// one machine measure each other.
package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

// RunWrite renders the bodies, sends them as the configuration says, and
// writes the report to out, with what would raise its figures. It returns an
// error when nothing was acknowledged, or ctx ended.
func RunWrite(ctx context.Context, cfg WriteConfig, out io.Writer) (WriteReport, error) {
	if err := cfg.Validate(); err != nil {
		return WriteReport{}, err
	}
	progress := out
	if cfg.JSON {
		progress = io.Discard
	}
	report, err := send(ctx, cfg, progress)
	if err != nil {
		return report, err
	}
	report.Advice = advise(cfg, &report)
	if cfg.Trial > 0 && ctx.Err() == nil && report.Rows > 0 {
		if report.Trials, err = tryOut(ctx, cfg, &report, progress); err != nil {
			return report, err
		}
	}
	if cfg.JSON {
		err = writeJSON(out, report)
	} else {
		err = report.WriteText(out)
	}
	switch {
	case ctx.Err() != nil:
		return report, fmt.Errorf("bench write: %w", ctx.Err())
	case err != nil:
		return report, err
	case report.Rows == 0 && len(report.Failures) > 0:
		return report, fmt.Errorf("bench write: no row was acknowledged: %s", report.Failures[0].Reason)
	}
	return report, nil
}

// send is one load, from rendering to the figures.
func send(ctx context.Context, cfg WriteConfig, progress io.Writer) (WriteReport, error) {
	pool, err := fleet.NewPool(fleet.PoolConfig{
		Fleet:     cfg.Fleet,
		BodyLines: cfg.BodyLines,
		MaxBytes:  cfg.PoolBytes,
		MaxRows:   cfg.Rows,
	})
	if err != nil {
		return WriteReport{}, err
	}
	l := &load{cfg: cfg, pool: pool}
	if cfg.Gzip {
		l.packed = packAll(pool)
	}
	workers := make([]*worker, cfg.Workers)
	for i := range workers {
		w := &worker{load: l, target: i % len(cfg.Targets), failures: tally{}, squeeze: newGzip()}
		if w.conn, err = newConn(cfg.Targets[w.target], cfg.Gzip, cfg.RequestTimeout); err != nil {
			return WriteReport{}, err
		}
		workers[i] = w
	}
	fmt.Fprintf(progress, "%s rows of %.0f bytes rendered, sending\n",
		grouped(float64(pool.Rows())), ratio(float64(pool.Bytes()), float64(pool.Rows())))
	watch := newWatch(cfg, l, progress)
	if err := watch.begin(ctx); err != nil {
		return WriteReport{}, err
	}
	l.start = time.Now()
	if cfg.Duration > 0 {
		l.stop = l.start.Add(cfg.Duration)
	}
	watched := make(chan struct{})
	quit := make(chan struct{})
	go func() { defer close(watched); watch.run(quit) }()
	var sending sync.WaitGroup
	for _, w := range workers {
		sending.Go(func() { w.run(ctx) })
	}
	sending.Wait()
	close(quit)
	<-watched

	report := summarise(cfg, l, workers)
	if err := watch.end(ctx, &report); err != nil {
		return report, err
	}
	report.derive()
	return report, nil
}

// packAll compresses the bodies of the first round.
func packAll(pool *fleet.Pool) [][]byte {
	z := newGzip()
	packed := make([][]byte, pool.Bodies())
	var buffer bytes.Buffer
	for i := range packed {
		body := pool.Take(int64(i))
		buffer.Reset()
		compress(z, &buffer, body.Text())
		packed[i] = bytes.Clone(buffer.Bytes())
		body.Release()
	}
	return packed
}

// summarise adds up what the workers counted.
func summarise(cfg WriteConfig, l *load, workers []*worker) WriteReport {
	r := WriteReport{
		Fleet:        string(cfg.Fleet.Kind),
		SliceSeconds: cfg.Slice.Seconds(),
		Servers:      make([]ServerReport, len(cfg.Targets)),
	}
	for i, t := range cfg.Targets {
		r.Servers[i].URL = t.URL
	}
	var latency Histogram
	byServer := make([]Histogram, len(cfg.Targets))
	failures := tally{}
	end := l.start
	var taken int64
	for _, w := range workers {
		latency.Merge(&w.latency)
		byServer[w.target].Merge(&w.latency)
		failures.merge(w.failures)
		r.Rows += w.rows
		r.Values += w.values
		r.Bytes += w.bytes
		r.Requests += w.requests
		r.Retries += w.retries
		r.FailedBodies += w.failed
		r.FailedRows += w.failedRows
		r.Servers[w.target].Rows += w.rows
		r.Servers[w.target].Values += w.values
		taken += w.rows + w.failedRows
		if w.lastAnswer.After(end) {
			end = w.lastAnswer
		}
	}
	r.Seconds = end.Sub(l.start).Seconds()
	r.Latency = latency.Latency()
	for i := range r.Servers {
		r.Servers[i].Latency = byServer[i].Latency()
	}
	r.Failures = failures.list()
	r.Rounds = ratio(float64(taken), float64(l.pool.Rows()))
	return r
}
