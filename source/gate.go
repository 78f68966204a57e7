package source

import (
	"errors"
	"sync"
	"time"
)

// Gate stands between a handler of requests, which is there all the time, and
// the pipeline that wants what they bring, which may be declared or not. Source
// packages of protocols over HTTP open it in Run; the handler enters it, and
// stores by itself where it is not open. S is what the declaration says of how
// to read the protocol. Safe for concurrent use.
type Gate[S any] struct {
	mu     sync.Mutex // guards what follows
	open   *Opening[S]
	closed time.Time // when it was closed last; zero: it never was open
}

// Opening is a gate that is open.
type Opening[S any] struct {
	Settings S
	Intake   Intake
	inside   sync.WaitGroup
}

// reopenGrace is how long after a gate was closed requests are told to come
// again: while a declaration is loaded anew, which takes the time of what is under
// way in the slowest pipeline, nothing goes past its rules.
const reopenGrace = 15 * time.Second

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
		g.open, g.closed = nil, time.Now()
		g.mu.Unlock()
		o.inside.Wait()
	}, nil
}

// Enter returns the opening, which the caller leaves when it has handed over
// what it has; nil if no pipeline wants it. It fails with an ErrBusy if one did
// a moment ago and probably will again.
func (g *Gate[S]) Enter() (*Opening[S], error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.open != nil:
		g.open.inside.Add(1)
		return g.open, nil
	case !g.closed.IsZero() && time.Since(g.closed) < reopenGrace:
		return nil, &BusyError{Reason: "the pipeline for this source is being loaded", RetryAfter: time.Second}
	}
	return nil, nil
}

// Leave is called once for each Enter.
func (o *Opening[S]) Leave() { o.inside.Done() }
