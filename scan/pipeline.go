package scan

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// pipeline works on units in parallel and hands out what they emit in the
// order of the units. Workers take units in order, so the one that the reader
// waits for is always being worked on.
type pipeline struct {
	out    []chan *Batch // by unit; closed when the unit is done
	at     int
	ctx    context.Context
	cancel context.CancelFunc
	group  *errgroup.Group
	after  func() // called once when all workers have ended
}

// inFlight is how many batches a unit may be ahead of the reader.
const inFlight = 4

// unitWorker does units; end is called when there are no more.
type unitWorker interface {
	do(ctx context.Context, unit int, emit func(*Batch) error) error
	end()
}

func startPipeline(ctx context.Context, units, parallel int, newWorker func() unitWorker, after func()) *pipeline {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	p := &pipeline{out: make([]chan *Batch, units), ctx: ctx, cancel: cancel, group: group, after: after}
	for i := range p.out {
		p.out[i] = make(chan *Batch, inFlight)
	}
	var next atomic.Int64
	for range min(units, parallel) {
		group.Go(func() error {
			w := newWorker()
			defer w.end()
			for {
				unit := int(next.Add(1)) - 1
				if unit >= units {
					return nil
				}
				err := w.do(ctx, unit, func(b *Batch) error {
					select {
					case p.out[unit] <- b:
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				})
				if err != nil {
					return err
				}
				close(p.out[unit])
			}
		})
	}
	return p
}

// next returns the next batch, nil at the end.
func (p *pipeline) next() (*Batch, error) {
	for p.at < len(p.out) {
		select {
		case b, ok := <-p.out[p.at]:
			if ok {
				return b, nil
			}
			p.at++
		case <-p.ctx.Done():
			return nil, p.end()
		}
	}
	return nil, p.end()
}

// end waits for the workers and returns why they stopped, nil if all is done.
func (p *pipeline) end() error {
	err := p.group.Wait()
	if err == nil && p.at < len(p.out) {
		err = context.Cause(p.ctx)
	}
	p.cancel()
	if p.after != nil {
		p.after()
		p.after = nil
	}
	return err
}

// stop ends the work, whatever is left of it.
func (p *pipeline) stop() {
	p.cancel()
	_ = p.end() // of the cancellation
}
