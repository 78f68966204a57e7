package bench

import (
	"context"
	"fmt"
	"io"
	"time"
)

// watch observes a load from beside: the rate of every slice of time, the
// servers' processes and the loader's own CPU time.
type watch struct {
	cfg      WriteConfig
	load     *load
	progress io.Writer
	ownCPU   time.Duration
	servers  []serverWatch
	course   []float64
}

type serverWatch struct {
	process process
	known   bool
	cpu     time.Duration // at the beginning
	anon    int64         // the most seen
	trouble error
	before  scrape // nil if the server is not a Varve
}

// glance is how often the servers' memory is read: a peak lasts longer than
// that, and reading /proc ten times a second costs nothing to speak of.
const glance = 100 * time.Millisecond

func newWatch(cfg WriteConfig, l *load, progress io.Writer) *watch {
	w := &watch{cfg: cfg, load: l, progress: progress, servers: make([]serverWatch, len(cfg.Targets))}
	for i, t := range cfg.Targets {
		w.servers[i] = serverWatch{process: process{t.PID}, known: t.PID != 0}
	}
	return w
}

// begin notes the CPU times, and what servers tell of themselves, before the
// load. A server without metrics is measured from outside only.
func (w *watch) begin(ctx context.Context) error {
	for i := range w.servers {
		s := &w.servers[i]
		s.before, _ = readMetrics(ctx, w.cfg.Targets[i].URL)
		if !s.known {
			continue
		}
		var err error
		if s.cpu, err = s.process.cpu(); err != nil {
			return fmt.Errorf("watch process %d of %s: %w", s.process.pid, w.cfg.Targets[i].URL, err)
		}
	}
	var err error
	w.ownCPU, err = ownCPU()
	return err
}

// run watches until quit is closed.
func (w *watch) run(quit <-chan struct{}) {
	tick := time.NewTicker(min(glance, w.cfg.Slice))
	defer tick.Stop()
	began, rows := w.load.start, int64(0)
	slice := func(now time.Time) {
		n := w.load.rows.Load()
		rate := ratio(float64(n-rows), now.Sub(began).Seconds())
		w.course = append(w.course, rate)
		fmt.Fprintf(w.progress, "%6.0f s %14s rows/s\n", now.Sub(w.load.start).Seconds(), grouped(rate))
		began, rows = now, n
	}
	for {
		select {
		case <-tick.C:
			for i := range w.servers {
				w.servers[i].look()
			}
			if now := time.Now(); now.Sub(began) >= w.cfg.Slice {
				slice(now)
			}
		case <-quit:
			slice(time.Now())
			return
		}
	}
}

func (s *serverWatch) look() {
	if !s.known || s.trouble != nil {
		return
	}
	m, err := s.process.memory()
	if err != nil {
		s.trouble = err
		return
	}
	s.anon = max(s.anon, m.anon)
}

// end fills the report with what was observed.
func (w *watch) end(ctx context.Context, r *WriteReport) error {
	cpu, err := ownCPU()
	if err != nil {
		return err
	}
	r.LoaderCPUSeconds = (cpu - w.ownCPU).Seconds()
	r.Course = w.course
	for i := range w.servers {
		s, to := &w.servers[i], &r.Servers[i]
		if s.known {
			s.look()
			if err := s.finish(to); err != nil {
				to.Trouble = err.Error()
			}
		}
		if s.before != nil {
			after, err := readMetrics(ctx, w.cfg.Targets[i].URL)
			if err != nil {
				to.Trouble = err.Error()
			} else {
				to.Inside = between(s.before, after)
			}
		}
		if dir := w.cfg.Targets[i].DataDir; dir != "" {
			if to.DiskBytes, err = folderSize(dir); err != nil {
				to.Trouble = err.Error()
			}
		}
	}
	return nil
}

func (s *serverWatch) finish(to *ServerReport) error {
	if s.trouble != nil {
		return s.trouble
	}
	cpu, err := s.process.cpu()
	if err != nil {
		return err
	}
	m, err := s.process.memory()
	if err != nil {
		return err
	}
	to.CPUSeconds = (cpu - s.cpu).Seconds()
	to.PeakRSSBytes, to.PeakAnonBytes = m.peak, s.anon
	return nil
}
