// Package demo fills a server with this machine's own metrics and with a
// simulated fleet, and shows in a terminal how fast points arrive and what
// the server answers. It counts what was acknowledged, so that it can say
// after a crash of the server whether something is missing.
//
// A demo needs nothing but the server's ports; the command line starts the
// server. Run starts its goroutines and waits for them.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

// Config says what a demo does.
type Config struct {
	// Connect tells where the server is; it is called again when the server
	// does not answer.
	Connect func() (Target, error)
	// Proc is the root of /proc, Host this machine's name.
	Proc fs.FS
	Host string
	// Hosts and Trucks are the sizes of the simulated fleets.
	Hosts, Trucks int
	// Backlog is how far back the fleets' history begins. It is written as
	// fast as MaxRate allows, then the fleets report as time goes on.
	Backlog time.Duration
	// MaxRate bounds the rows per second of each fleet, to leave a laptop
	// some air.
	MaxRate int
	// Report is the time between two lines of progress; every AskEvery'th is
	// followed by questions and answers.
	Report   time.Duration
	AskEvery int
	Now      func() time.Time
}

// Default returns the configuration of `make demo`.
func Default() Config {
	return Config{
		Hosts:    1000,
		Trucks:   500,
		Backlog:  24 * time.Hour,
		MaxRate:  100_000,
		Report:   2 * time.Second,
		AskEvery: 5,
		Now:      time.Now,
	}
}

const (
	// fleetInterval is the time between two rows of a device.
	fleetInterval = 10 * time.Second
	// bodyLines is what agents like Telegraf send at most, times five.
	bodyLines = 5000
	// hostInterval is the time between two readings of this machine.
	hostInterval = time.Second
	// lastWords is how long the final count may take when the demo ends.
	lastWords = 5 * time.Second
)

// Run demonstrates until ctx ends.
func Run(ctx context.Context, c Config, out io.Writer) error {
	d := &demo{Config: c, out: out, link: &link{connect: c.Connect, client: &http.Client{}}}
	feeding, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	feed := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(feeding); err != nil && feeding.Err() == nil {
				stop(err)
			}
		})
	}
	d.hosts = &feeder{demo: d, kind: fleet.Host, devices: c.Hosts}
	d.trucks = &feeder{demo: d, kind: fleet.Truck, devices: c.Trucks}
	feed(d.feedHost)
	feed(d.hosts.run)
	feed(d.trucks.run)
	d.report(feeding)
	wg.Wait()
	if err := context.Cause(feeding); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	d.count(last)
	return nil
}

type demo struct {
	Config
	out    io.Writer
	link   *link
	hosts  *feeder
	trucks *feeder
	points atomic.Int64 // acknowledged
	bytes  atomic.Int64 // of line protocol
}

// feedHost writes this machine's metrics.
func (d *demo) feedHost(ctx context.Context) error {
	h := newHost(d.Proc, d.Host)
	tick := time.NewTicker(hostInterval)
	defer tick.Stop()
	for {
		body, n, err := h.read(d.Now())
		if err != nil {
			return err
		}
		if n > 0 {
			if err := d.write(ctx, body, n); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *demo) write(ctx context.Context, body []byte, points int) error {
	if err := d.link.write(ctx, body); err != nil {
		return err
	}
	d.points.Add(int64(points))
	d.bytes.Add(int64(len(body)))
	return nil
}

// feeder writes one simulated fleet.
type feeder struct {
	*demo
	kind    fleet.Kind
	devices int

	mu    sync.Mutex // guards what follows
	start time.Time
	steps int64 // intervals that are acknowledged as a whole
}

func (f *feeder) run(ctx context.Context) error {
	if f.devices == 0 {
		return nil
	}
	c := fleet.Default(f.kind)
	c.Devices, c.Interval = f.devices, fleetInterval
	// On the grid of a former demo in the same store, so that points of both
	// coincide instead of doubling.
	c.Start = f.Now().Add(-f.Backlog).Truncate(time.Hour)
	g, err := fleet.New(c)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.start = c.Start
	f.mu.Unlock()
	var body []byte
	began := time.Now()
	rows := 0
	for ctx.Err() == nil {
		body = body[:0]
		n := 0
		for n < bodyLines && !f.due(c.Start, g.Step()).After(f.Now()) {
			body, _ = g.Append(body)
			n++
		}
		if n == 0 {
			if err := sleep(ctx, time.Until(f.due(c.Start, g.Step()))); err != nil {
				return nil
			}
			continue
		}
		if err := f.write(ctx, body, n); err != nil {
			return err
		}
		f.mu.Lock()
		f.steps = g.Step() // the interval of the next line may have begun
		f.mu.Unlock()
		rows += n
		if f.MaxRate > 0 {
			ahead := time.Duration(rows)*time.Second/time.Duration(f.MaxRate) - time.Since(began)
			if ahead > 0 && sleep(ctx, ahead) != nil {
				return nil
			}
		}
	}
	return nil
}

func (f *feeder) due(start time.Time, step int64) time.Time {
	return start.Add(time.Duration(step) * fleetInterval)
}

// written returns the span of time for which every row is acknowledged.
func (f *feeder) written() (start, end time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.start, f.due(f.start, f.steps)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// report prints progress until ctx ends.
func (d *demo) report(ctx context.Context) {
	tick := time.NewTicker(d.Report)
	defer tick.Stop()
	before, beforeBytes, at := int64(0), int64(0), time.Now()
	gone := false
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if since, away := d.link.away(); away {
			if !gone {
				fmt.Fprintf(d.out, "%s  the server is gone; waiting for it\n", since.Format(time.TimeOnly))
			}
			gone = true
			continue
		}
		points, bytes, now := d.points.Load(), d.bytes.Load(), time.Now()
		seconds := now.Sub(at).Seconds()
		gone = false
		if d.link.returned() {
			fmt.Fprintf(d.out, "%s  the server is back\n", now.Format(time.TimeOnly))
			d.count(ctx)
		} else {
			fmt.Fprintf(d.out, "%s  %11s points/s  %6.1f MB/s of line protocol  %14s points acknowledged\n", now.Format(time.TimeOnly),
				grouped(int64(float64(points-before)/seconds)), float64(bytes-beforeBytes)/seconds/1e6, grouped(points))
		}
		before, beforeBytes, at = points, bytes, now
		if d.AskEvery > 0 && n%d.AskEvery == 0 {
			d.askAround(ctx)
		}
	}
}

// count compares what was acknowledged of the host fleet, whose rows are all
// on a grid, with what the server has.
func (d *demo) count(ctx context.Context) {
	start, end := d.hosts.written()
	want := int64(end.Sub(start)/fleetInterval) * int64(d.Hosts)
	if want == 0 {
		return
	}
	rows, took, err := d.link.ask(ctx, question{Measurement: "cpu", Start: start.UnixNano(), Stop: end.UnixNano(),
		Fields: []string{fleet.HostFields()[0]}, Aggregation: "count", GroupBy: []string{}})
	if err != nil {
		fmt.Fprintf(d.out, "          count failed: %v\n", err)
		return
	}
	var got int64
	for _, r := range rows {
		n, err := r.Value.Int64()
		if err != nil {
			fmt.Fprintf(d.out, "          count failed: %v\n", err)
			return
		}
		got += n
	}
	fmt.Fprintf(d.out, "          %s points of the host fleet acknowledged, %s found, %s missing (counted in %s)\n",
		grouped(want), grouped(got), grouped(want-got), rounded(took))
}

// askAround prints a few questions with their answers.
func (d *demo) askAround(ctx context.Context) {
	now := d.Now()
	_, end := d.hosts.written()
	_, trucksEnd := d.trucks.written()
	for _, q := range []struct {
		words string
		question
		show func(row) string
	}{
		{"this host, busy with, last 30 s", question{Measurement: "host_cpu", Start: now.Add(-30 * time.Second).UnixNano(), Stop: now.UnixNano(),
			Fields: []string{"usage_user", "usage_system"}, Filters: map[string][]string{"cpu": {"cpu"}}, Aggregation: "mean", GroupBy: []string{}},
			func(r row) string { return strings.TrimPrefix(r.Field, "usage_") + " " + short(r.Value) + " %" }},
		{"this host, memory used", question{Measurement: "host_mem", Start: now.Add(-time.Minute).UnixNano(), Stop: now.UnixNano(),
			Fields: []string{"used_percent"}, Aggregation: "last", GroupBy: []string{}},
			func(r row) string { return short(r.Value) + " %" }},
		{"fleet, mean usage_user by region, last hour of it", question{Measurement: "cpu", Start: end.Add(-time.Hour).UnixNano(), Stop: end.UnixNano(),
			Fields: []string{"usage_user"}, Aggregation: "mean", GroupBy: []string{"region"}},
			func(r row) string { return r.Tags["region"] + " " + short(r.Value) }},
		{"trucks, top speed by fleet, last hour of it", question{Measurement: "readings", Start: trucksEnd.Add(-time.Hour).UnixNano(), Stop: trucksEnd.UnixNano(),
			Fields: []string{"velocity"}, Aggregation: "max", GroupBy: []string{"fleet"}},
			func(r row) string { return r.Tags["fleet"] + " " + short(r.Value) }},
	} {
		rows, took, err := d.link.ask(ctx, q.question)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintf(d.out, "          %s: %v\n", q.words, err)
			}
			continue
		}
		if len(rows) == 0 {
			continue // its points have not come yet
		}
		var parts []string
		for _, r := range rows {
			parts = append(parts, q.show(r))
		}
		fmt.Fprintf(d.out, "          %s (%s): %s\n", q.words, rounded(took), strings.Join(parts, ", "))
	}
}

func short(n interface{ Float64() (float64, error) }) string {
	f, err := n.Float64()
	if err != nil {
		return "?"
	}
	return fmt.Sprintf("%.1f", f)
}

func rounded(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

// grouped renders a number with thousands apart.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
