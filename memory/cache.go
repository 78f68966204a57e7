package memory

import (
	"hash/maphash"
	"math/bits"
)

// Cache keeps values by key within a number of bytes. It evicts by S3-FIFO
// (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023):
// a value must be asked for again while it is in a small queue before it may
// stay, so that a scan of everything does not push out what is in use.
//
// Values are shared by all who get them and must not be changed.
type Cache[K comparable, V any] struct {
	seed   maphash.Seed
	shards []cacheShard[K, V]
}

const (
	// maxCacheShards keeps callers on some tens of cores apart.
	maxCacheShards = 16
	// minShardBytes lets a shard hold some large values: a value takes at
	// most half a shard.
	minShardBytes = 8 << 20
	// itemBytes is counted for each value besides its own size: the entry,
	// its place in the map, and the ghost that it may leave.
	itemBytes = 128
)

// NewCache returns a cache of limit bytes.
func NewCache[K comparable, V any](limit int64) *Cache[K, V] {
	n := min(max(limit/minShardBytes, 1), maxCacheShards)
	c := &Cache[K, V]{
		seed:   maphash.MakeSeed(),
		shards: make([]cacheShard[K, V], 1<<(bits.Len64(uint64(n))-1)),
	}
	for i := range c.shards {
		c.shards[i].init()
	}
	c.SetLimit(limit)
	return c
}

func (c *Cache[K, V]) shard(key K) (*cacheShard[K, V], uint64) {
	h := maphash.Comparable(c.seed, key)
	return &c.shards[h>>32%uint64(len(c.shards))], h
}

// Get returns the value of key.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	s, _ := c.shard(key)
	return s.get(key)
}

// Put keeps value, which takes so many bytes, in place of an earlier one of
// key. A value of more than half a shard is not kept.
func (c *Cache[K, V]) Put(key K, value V, bytes int64) {
	mustBeSize(bytes)
	s, h := c.shard(key)
	s.put(key, h, value, bytes+itemBytes)
}

// Again reports whether it was called with this key lately. A value that is
// dear to keep is put only when it is asked for again; otherwise those who go
// through everything once would pay for it. Some keys may be taken for others.
func (c *Cache[K, V]) Again(key K) bool {
	s, h := c.shard(key)
	return s.again(h)
}

// Remove forgets key.
func (c *Cache[K, V]) Remove(key K) {
	s, _ := c.shard(key)
	s.remove(key)
}

// RemoveFunc forgets all keys for which drop is true and returns their number.
// It visits every key and locks one shard at a time; drop must not use c.
func (c *Cache[K, V]) RemoveFunc(drop func(key K) bool) int {
	n := 0
	for i := range c.shards {
		n += c.shards[i].removeFunc(drop)
	}
	return n
}

// SetLimit changes the limit and evicts what is beyond it.
func (c *Cache[K, V]) SetLimit(bytes int64) {
	for i := range c.shards {
		c.shards[i].setLimit(max(bytes, 0) / int64(len(c.shards)))
	}
}

// CacheStats is a snapshot of a Cache.
type CacheStats struct {
	Name      string // given by Budget
	Limit     int64  // bytes
	Bytes     int64
	Entries   int64
	Hits      int64
	Misses    int64
	Evictions int64
	Refused   int64 // values too large to be kept
}

// Stats returns a snapshot.
func (c *Cache[K, V]) Stats() CacheStats {
	var st CacheStats
	for i := range c.shards {
		c.shards[i].addStats(&st)
	}
	return st
}
