package demo

import (
	"context"
	"sync"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

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
