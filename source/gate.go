package source

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Gate stands between a handler of requests, which is there all the time, and
// the pipeline that wants what they bring, which may be declared or not. The
// handler enters it, and stores by itself where no pipeline wants it. S is what
// the declaration says of how to read the protocol. Safe for concurrent use.
type Gate[S any] struct {
	mu   sync.Mutex // guards what follows
	open *Opening[S]
	held int // sources that hold it
}

// Opening is a gate that is open.
type Opening[S any] struct {
	Settings S
	Intake   Intake
	inside   sync.WaitGroup
}

// ErrTaken says that another pipeline has the gate.
var ErrTaken = errors.New("another pipeline has this source already: requests do not say which of them they are for")

// Open opens the gate until the returned function is called, which waits for
// those inside.
func (g *Gate[S]) Open(settings S, intake Intake) (closing func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		return nil, ErrTaken
	}
	o := &Opening[S]{Settings: settings, Intake: intake}
	g.open = o
	return func() {
		g.mu.Lock()
		g.open = nil
		g.mu.Unlock()
		o.inside.Wait()
	}, nil
}

// Enter returns the opening, which the caller leaves when it has handed over
// what it has; nil if no pipeline wants it. It fails with an ErrBusy if one does
// that does not run at the moment: nothing goes past its rules.
func (g *Gate[S]) Enter() (*Opening[S], error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.open != nil:
		g.open.inside.Add(1)
		return g.open, nil
	case g.held > 0:
		return nil, &BusyError{Reason: "the pipeline for this source is being loaded", RetryAfter: time.Second}
	}
	return nil, nil
}

// Leave is called once for each Enter.
func (o *Opening[S]) Leave() { o.inside.Done() }

// AtGate is the source of a pipeline that wants what comes through a gate: it
// opens it while it runs. It has no goroutine of its own.
type AtGate[S any] struct {
	gate     *Gate[S]
	settings S
	runs     atomic.Bool
}

// Source returns a source that opens g with these settings. Of those that run at
// the same time the first has the gate.
func (g *Gate[S]) Source(settings S) *AtGate[S] { return &AtGate[S]{gate: g, settings: settings} }

// Hold implements Holder.
func (s *AtGate[S]) Hold() (release func()) {
	s.gate.hold(1)
	return sync.OnceFunc(func() { s.gate.hold(-1) })
}

func (g *Gate[S]) hold(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += n
}

// Run implements Source.
func (s *AtGate[S]) Run(ctx context.Context, intake Intake) error {
	closing, err := s.gate.Open(s.settings, intake)
	if err != nil {
		return err
	}
	s.runs.Store(true)
	<-ctx.Done()
	s.runs.Store(false)
	closing()
	return nil
}

// Status implements Source.
func (s *AtGate[S]) Status() Status { return Status{Connected: s.runs.Load(), Lag: -1} }
