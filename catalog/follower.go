package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// retryWatch is how long a Follower waits after an error of the store before
// it asks again: short beside what people notice, long beside a spin.
const retryWatch = 200 * time.Millisecond

// A View is a copy in memory of the records below a prefix. Both methods are
// called from one goroutine at a time; an error means that the view cannot
// read a record, and ends the Follower.
type View interface {
	// Reset replaces everything.
	Reset(records []Record) error
	// Apply makes changes, which are in the order of their versions.
	Apply(changes []Change) error
}

// Follower keeps a View fresh by watching a catalog. It is the only one that
// changes the view, so that changes arrive there in their order; a caller
// that changed the catalog waits until its own change has come around.
//
// It is safe for concurrent use.
type Follower struct {
	catalog Catalog
	prefix  string
	view    View
	stop    context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	seen    uint64        // guarded by mu: the view has everything up to here
	err     error         // guarded by mu: why the follower ended
	advance chan struct{} // guarded by mu: closed when seen or err changes
}

// Follow fills view with the records below prefix and keeps it fresh until
// Close. ctx is for the filling only.
func Follow(ctx context.Context, c Catalog, prefix string, view View) (*Follower, error) {
	f := &Follower{catalog: c, prefix: prefix, view: view, done: make(chan struct{}), advance: make(chan struct{})}
	if err := f.load(ctx); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.run(run)
	return f, nil
}

// Close stops following and waits until the view is not touched any more.
func (f *Follower) Close() {
	f.stop()
	<-f.done
}

// Wait returns once the view holds what the catalog held at revision. The
// revision must be that of a change below the prefix.
func (f *Follower) Wait(ctx context.Context, revision uint64) error {
	for {
		f.mu.Lock()
		seen, err, advance := f.seen, f.err, f.advance
		f.mu.Unlock()
		if seen >= revision {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-advance:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Err tells why the view is not kept fresh any more, nil while it is.
func (f *Follower) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *Follower) load(ctx context.Context) error {
	records, revision, err := f.catalog.List(ctx, f.prefix)
	if err != nil {
		return err
	}
	if err := f.view.Reset(records); err != nil {
		return &viewError{err}
	}
	f.set(revision, nil)
	return nil
}

func (f *Follower) run(ctx context.Context) {
	defer close(f.done)
	reload := false
	for {
		err := f.follow(ctx, reload)
		var broken *viewError
		if ctx.Err() != nil || errors.Is(err, ErrClosed) || errors.As(err, &broken) {
			f.set(0, fmt.Errorf("follow catalog %s: %w", f.prefix, err))
			return
		}
		if reload = errors.Is(err, ErrCompacted); reload {
			continue
		}
		select {
		case <-time.After(retryWatch):
		case <-ctx.Done():
		}
	}
}

// follow applies changes until the watch ends, and returns why it did.
func (f *Follower) follow(ctx context.Context, reload bool) error {
	if reload {
		if err := f.load(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	since := f.seen
	f.mu.Unlock()
	for changes, err := range f.catalog.Watch(ctx, f.prefix, since) {
		if err != nil {
			return err
		}
		if err := f.view.Apply(changes); err != nil {
			return &viewError{err}
		}
		f.set(changes[len(changes)-1].Version, nil)
	}
	return ErrClosed
}

func (f *Follower) set(seen uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = max(f.seen, seen)
	f.err = err
	close(f.advance)
	f.advance = make(chan struct{})
}

// viewError marks an error of the view, which no further attempt mends.
type viewError struct{ error }

func (e *viewError) Unwrap() error { return e.error }
