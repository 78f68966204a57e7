// Package memory divides the memory of the process: pools that work reserves
// from before it allocates, and caches that are kept within a number of
// bytes. Nothing here allocates for its callers; it counts, refuses and
// evicts.
//
// The server makes one Budget and hands its pools to ingest and queries and
// its caches to readers. Everything is safe for concurrent use.
//
// What queries leave idle is lent to the block cache. A reservation takes it
// back before it returns, by eviction; the collector frees the bytes some time
// later, which is one thing that the headroom is for.
package memory

import (
	"fmt"
	"sync"
)

// How a budget is divided, in percent. What is left besides headroom is for
// caches, divided in turn below.
const (
	ingestPercent   = 25 // memtables and bodies in work
	queriesPercent  = 25
	headroomPercent = 15 // the runtime, garbage not yet collected, what nobody counts
	cachesPercent   = 100 - ingestPercent - queriesPercent - headroomPercent

	blocksPercent  = 70 // of caches
	indexesPercent = 15
	resultsPercent = 10
	scratchPercent = 100 - blocksPercent - indexesPercent - resultsPercent
)

// MinLimit is the least budget with which the parts can work: a memtable of a
// few MiB and some blocks.
const MinLimit = 64 << 20

// Config sets the size of a Budget.
type Config struct {
	Limit int64 // bytes that the process should stay within
}

// Validate reports a limit too small to work with.
func (c Config) Validate() error {
	if c.Limit < MinLimit {
		return fmt.Errorf("memory limit is %d bytes, want at least %d", c.Limit, MinLimit)
	}
	return nil
}

// CacheKind names one of the caches of a Budget.
type CacheKind uint8

// The caches of a Budget.
const (
	Blocks  CacheKind = iota // decoded blocks
	Indexes                  // dictionaries, postings, directories of segments
	Results                  // answers of queries
)

// String returns the name that metrics use.
func (k CacheKind) String() string {
	return [...]string{"blocks", "indexes", "results"}[k]
}

// Budget is the memory of a process.
type Budget struct {
	Limit   int64
	Ingest  *Pool
	Queries *Pool
	Scratch *Pool // buffers kept for reuse

	mu     sync.Mutex // guards caches
	caches []attached
}

type attached struct {
	kind  CacheKind
	cache Sized
}

// Sized is a cache whose limit can be changed.
type Sized interface {
	SetLimit(bytes int64)
	Stats() CacheStats
}

// New returns the budget of cfg, which is valid.
func New(cfg Config) *Budget {
	caches := share(cfg.Limit, cachesPercent)
	return &Budget{
		Limit:   cfg.Limit,
		Ingest:  NewPool("ingest", share(cfg.Limit, ingestPercent)),
		Queries: NewPool("queries", share(cfg.Limit, queriesPercent)),
		Scratch: NewPool("scratch", share(caches, scratchPercent)),
	}
}

func share(n, percent int64) int64 { return n / 100 * percent }

// CacheLimit returns the bytes that a cache has for itself.
func (b *Budget) CacheLimit(k CacheKind) int64 {
	percent := [...]int64{blocksPercent, indexesPercent, resultsPercent}[k]
	return share(share(b.Limit, cachesPercent), percent)
}

// Attach gives c the limit of its kind and adds it to Stats. The block cache
// gets what queries leave idle besides. A kind is attached once.
func (b *Budget) Attach(k CacheKind, c Sized) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.caches {
		if a.kind == k {
			panic(fmt.Sprintf("BUG: cache %v is attached twice", k))
		}
	}
	b.caches = append(b.caches, attached{k, c})
	own := b.CacheLimit(k)
	c.SetLimit(own)
	if k == Blocks {
		b.Queries.Lend(func(idle int64) { c.SetLimit(own + idle) })
	}
}

// Stats is a snapshot of a Budget for metrics.
type Stats struct {
	Limit  int64
	Pools  []PoolStats
	Caches []CacheStats
}

// Stats returns a snapshot. Its parts are each consistent in themselves.
func (b *Budget) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{Limit: b.Limit, Pools: []PoolStats{b.Ingest.Stats(), b.Queries.Stats(), b.Scratch.Stats()}}
	for _, a := range b.caches {
		c := a.cache.Stats()
		c.Name = a.kind.String()
		s.Caches = append(s.Caches, c)
	}
	return s
}
