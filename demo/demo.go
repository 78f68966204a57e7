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
	// Report is the time between two lines of progress, Ask between two
	// rounds of questions; 0 asks none.
	Report, Ask time.Duration
	// Live keeps progress on one line, as fits a terminal; Width is how many
	// characters a line of it has, and Color says whether it has colours.
	Live  bool
	Width int
	Color bool
	Now   func() time.Time
}

// Default returns the configuration of `make demo`.
func Default() Config {
	return Config{
		Hosts:   1000,
		Trucks:  500,
		Backlog: 24 * time.Hour,
		MaxRate: 100_000,
		Report:  2 * time.Second,
		Ask:     10 * time.Second,
		Width:   100, // what most terminals have at least, and a page shows
		Now:     time.Now,
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
	d := &demo{Config: c, screen: &screen{out: out, live: c.Live, width: c.Width, color: c.Color}, link: &link{connect: c.Connect, client: &http.Client{}}}
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
	screen *screen
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

// report shows progress until ctx ends.
func (d *demo) report(ctx context.Context) {
	tick := time.NewTicker(d.Report)
	defer tick.Stop()
	before, beforeBytes, at := int64(0), int64(0), time.Now()
	asked := at
	gone := false
	for {
		select {
		case <-ctx.Done():
			d.screen.settle()
			return
		case <-tick.C:
		}
		if since, away := d.link.away(); away {
			if !gone {
				d.screen.line("%s  the server is gone; waiting for it", since.Format(time.TimeOnly))
			}
			gone = true
			continue
		}
		points, bytes, now := d.points.Load(), d.bytes.Load(), time.Now()
		seconds := now.Sub(at).Seconds()
		gone = false
		if d.link.returned() {
			d.screen.line("%s  the server is back", now.Format(time.TimeOnly))
			d.count(ctx)
		} else {
			rate := float64(points-before) / seconds
			d.screen.progress(rate, fmt.Sprintf("%s  %11s points/s  %6.1f MB/s of line protocol  %14s points acknowledged", now.Format(time.TimeOnly),
				grouped(int64(rate)), float64(bytes-beforeBytes)/seconds/1e6, grouped(points)))
		}
		before, beforeBytes, at = points, bytes, now
		if d.Ask > 0 && now.Sub(asked) >= d.Ask {
			d.askAround(ctx)
			asked = now
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
		d.screen.line("          count failed: %v", err)
		return
	}
	var got int64
	for _, r := range rows {
		n, err := r.Value.Int64()
		if err != nil {
			d.screen.line("          count failed: %v", err)
			return
		}
		got += n
	}
	d.screen.line("          %s points of the host fleet acknowledged, %s found, %s missing (counted in %s)",
		grouped(want), grouped(got), grouped(want-got), rounded(took))
}

// grouped renders a number with thousands apart.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
