// Package live hands points to those who listen, as they are stored. The write
// driver shows its batches to a Hub (ingest.Observer); httpapi subscribes for
// its clients.
//
// A batch goes:
//
//  1. Is anybody listening to its bucket? One load of a pointer, if not.
//  2. For each feed of the bucket, the rows that it wants are found: by
//     measurement, tags (once a series), fields and conditions on values. All
//     subscribers that want the same share a feed, so that a hundred browsers
//     with one page cost one look at each batch. Feeds that want one value of a
//     tag are found by that value, so that a hundred browsers with a page each
//     for a device cost little more (listeners.go).
//  3. These rows are copied in chunks of some 32 KiB, once for a feed, and a
//     pointer to each is put into the queue of each subscriber.
//  4. A subscriber takes chunks, of which the first to come renders the lines
//     of JSON for all.
//
// Steps 1 to 3 happen in the goroutine of the writer. They never wait for a
// subscriber: a queue that is full loses its oldest chunks, whose points the
// subscriber is told the number of. So the newest points are what a slow reader
// still gets. Rejected: a goroutine that filters for everybody. Writers would
// pay for a copy of every batch, and when it falls behind nobody can tell how
// many points a subscriber missed.
//
// Queues take memory from the pool of questions, all of them together no more
// than a part of it (share.go).
//
// A Hub is safe for concurrent use. A Subscription belongs to one goroutine,
// which closes it. The package starts no goroutine.
package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
)

// Memory is what queues are paid from: a pool of package memory.
type Memory interface {
	TryReserve(n int64) bool
	Release(n int64)
}

// Config sets the limits of a Hub.
type Config struct {
	// MaxSubscribers is how many may listen at once.
	MaxSubscribers int
	// BufferBytes is how much may wait for a subscriber, in bytes of JSON.
	BufferBytes int64
	// MemoryBytes is how much the queues of all subscribers may take together,
	// so that those who read slowly leave memory to questions.
	MemoryBytes int64
}

// Default returns the limits that a server starts with.
func Default() Config {
	return Config{
		// A connection, a goroutine and a buffer each.
		MaxSubscribers: 1000,
		// Some 25,000 small points: two seconds and a half at 10,000 a second,
		// which is longer than a collection in a browser or a lost packet.
		BufferBytes: 4 << 20,
		// A quarter of what questions have in a process of 1 GiB; the server
		// takes the quarter of what they really have.
		MemoryBytes: 64 << 20,
	}
}

// Validate reports the first limit that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.MaxSubscribers < 0:
		return fmt.Errorf("live: at most %d subscribers, want 0 (none) or more", c.MaxSubscribers)
	case c.BufferBytes < leastQueue:
		return fmt.Errorf("live: buffer of a subscriber is %d bytes, want at least %d", c.BufferBytes, leastQueue)
	case c.MemoryBytes < leastQueue:
		return fmt.Errorf("live: memory of all subscribers is %d bytes, want at least %d", c.MemoryBytes, leastQueue)
	}
	return nil
}

// Errors of Subscribe, and with which subscriptions end.
var (
	// ErrStopped says that the server stops.
	ErrStopped = errors.New("the server is stopping")
	// ErrFull says that too many listen.
	ErrFull = errors.New("too many listen already")
)

// Hub knows who listens to what.
type Hub struct {
	cfg    Config
	memory share
	counts counts
	work   sync.Pool // *work

	// buckets holds who listens to each. It never changes, it is replaced; nil
	// while nobody listens.
	buckets atomic.Pointer[map[uint64]*listeners]

	mu      sync.Mutex // guards changes of feeds and of the subscribers of a feed, and what follows
	all     map[*Subscription]struct{}
	stopped bool
}

// New returns a hub. It registers its metrics with the registry.
func New(cfg Config, memory Memory, registry prometheus.Registerer) (*Hub, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	h := &Hub{cfg: cfg, memory: share{pool: memory, limit: cfg.MemoryBytes}, all: map[*Subscription]struct{}{}}
	h.work.New = func() any { return &work{} }
	h.counts.register(registry, h)
	return h, nil
}

// Wants implements ingest.Observer.
func (h *Hub) Wants(bucket uint64) bool {
	buckets := h.buckets.Load()
	return buckets != nil && (*buckets)[bucket] != nil
}

// Observe implements ingest.Observer.
func (h *Hub) Observe(bucket uint64, b *column.Batch) {
	buckets := h.buckets.Load()
	if buckets == nil || (*buckets)[bucket] == nil {
		return
	}
	w := h.work.Get().(*work)
	defer h.work.Put(w)
	for _, t := range b.Tables {
		(*buckets)[bucket].observe(t, w)
	}
}

// Subscribe begins to listen for the points that a plan over rows is about:
// its bucket, measurements, tags, conditions and fields. Its range, order and
// pages are of no importance.
func (h *Hub) Subscribe(p *plan.Plan) (*Subscription, error) {
	what, key, err := normalise(p)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return nil, ErrStopped
	case len(h.all) >= h.cfg.MaxSubscribers:
		return nil, fmt.Errorf("%w: at most %d may (live.max_subscribers)", ErrFull, h.cfg.MaxSubscribers)
	}
	f := h.feed(p.Bucket, key)
	if f == nil {
		if f, err = newFeed(h, what, key); err != nil {
			return nil, err
		}
	}
	s := &Subscription{hub: h, feed: f, ready: make(chan struct{}, 1)}
	h.all[s] = struct{}{}
	f.set(append(slices.Clone(f.subscribers()), s))
	if len(f.subscribers()) == 1 {
		h.change(f.bucket, append(slices.Clone(h.of(f.bucket)), f))
	}
	return s, nil
}

// normalise returns p without what does not matter, and what it is known by: ""
// if that cannot be told.
func normalise(p *plan.Plan) (*plan.Plan, string, error) {
	if p.Rows == nil {
		return nil, "", errors.New("live: the plan is not about rows")
	}
	what := plan.New(p.Bucket, 0, 1)
	what.Measurements = slices.Compact(slices.Sorted(slices.Values(p.Measurements)))
	what.Tags, what.Where = p.Tags, p.Where
	what.Rows = &plan.Rows{Fields: slices.Compact(slices.Sorted(slices.Values(p.Rows.Fields)))}
	if err := what.Validate(); err != nil {
		return nil, "", err
	}
	key, err := json.Marshal(what)
	if bytes.Contains(key, []byte(`\ufffd`)) {
		return what, "", nil // bytes that JSON cannot hold: other plans may look the same
	}
	return what, string(key), err
}

// remove ends a subscription.
func (h *Hub) remove(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, s)
	f := s.feed
	f.set(slices.DeleteFunc(slices.Clone(f.subscribers()), func(o *Subscription) bool { return o == s }))
	if len(h.all) == 0 {
		defer h.memory.shrink(0)
	}
	if len(f.subscribers()) == 0 {
		h.change(f.bucket, slices.DeleteFunc(slices.Clone(h.of(f.bucket)), func(o *feed) bool { return o == f }))
	}
}

// of returns the feeds of a bucket.
func (h *Hub) of(bucket uint64) []*feed {
	if buckets := h.buckets.Load(); buckets != nil && (*buckets)[bucket] != nil {
		return (*buckets)[bucket].all
	}
	return nil
}

// feed returns the feed of a key, nil if there is none.
func (h *Hub) feed(bucket uint64, key string) *feed {
	for _, f := range h.of(bucket) {
		if f.key == key && key != "" {
			return f
		}
	}
	return nil
}

// change replaces the feeds of a bucket; mu is held.
func (h *Hub) change(bucket uint64, to []*feed) {
	next := map[uint64]*listeners{}
	if buckets := h.buckets.Load(); buckets != nil {
		maps.Copy(next, *buckets)
	}
	if delete(next, bucket); len(to) > 0 {
		next[bucket] = newListeners(to)
	}
	if len(next) == 0 {
		h.buckets.Store(nil)
		return
	}
	h.buckets.Store(&next)
}

// Stop ends all subscriptions with ErrStopped, and takes no more.
func (h *Hub) Stop() {
	h.mu.Lock()
	h.stopped = true
	all := make([]*Subscription, 0, len(h.all))
	for s := range h.all {
		all = append(all, s)
	}
	h.mu.Unlock()
	for _, s := range all {
		s.end(ErrStopped)
	}
}

// subscribersNow is for metrics.
func (h *Hub) subscribersNow() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// costly reports whether to look at the tags of a series takes longer than to
// look up what came of it the last time.
func costly(e *predicate.Expr) bool {
	if e == nil {
		return false
	}
	// A list of values is walked, at about the cost of a lookup for each ten.
	return e.Op == predicate.Regexp || len(e.Values) > 10 || slices.ContainsFunc(e.Args, costly)
}
