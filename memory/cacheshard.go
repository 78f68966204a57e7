package memory

import "sync"

// cacheShard is a part of a Cache. Values are in one of two queues, oldest
// first: those put lately in small, those that proved useful in main. Keys
// lately evicted from small are remembered in ghosts, by hash; a key put
// again while it is there goes to main at once.
type cacheShard[K comparable, V any] struct {
	mu     sync.Mutex // guards all
	index  map[K]uint32
	items  []cacheItem[K, V]
	free   uint32 // first of the unused items, linked by next
	small  cacheQueue
	main   cacheQueue
	ghosts ghostQueue
	door   []uint32 // what again was asked, by a part of the hash; nil until then

	limit                            int64
	hits, misses, evictions, refused int64

	_ [64]byte // keeps the locks of neighbours on different cache lines
}

type cacheItem[K comparable, V any] struct {
	key        K
	value      V
	hash       uint64
	bytes      int64
	prev, next uint32 // of its queue, 0 at the ends
	asked      uint8  // times since it was put or last spared, up to maxAsked
	main       bool
}

type cacheQueue struct {
	first, last uint32 // items; 0 is none
	bytes       int64
}

const (
	maxAsked = 3 // as in the paper: more changes little
	// smallPercent is the share of the small queue, as in the paper.
	smallPercent = 10
)

func (s *cacheShard[K, V]) init() {
	s.index = make(map[K]uint32)
	s.items = make([]cacheItem[K, V], 1)
}

func (s *cacheShard[K, V]) get(key K) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[key]
	if !ok {
		s.misses++
		var none V
		return none, false
	}
	s.hits++
	it := &s.items[i]
	it.asked = min(it.asked+1, maxAsked)
	return it.value, true
}

func (s *cacheShard[K, V]) put(key K, hash uint64, value V, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes > s.limit/2 {
		s.refused++
		if i, ok := s.index[key]; ok {
			s.drop(i) // what it holds is no longer what was put last
		}
		return
	}
	if i, ok := s.index[key]; ok {
		it := &s.items[i]
		s.queue(it).bytes += bytes - it.bytes
		it.value, it.bytes = value, bytes
	} else {
		i := s.free
		if i != 0 {
			s.free = s.items[i].next
		} else {
			i = uint32(len(s.items))
			s.items = append(s.items, cacheItem[K, V]{})
		}
		s.items[i] = cacheItem[K, V]{key: key, value: value, hash: hash, bytes: bytes, main: s.ghosts.has(hash)}
		s.index[key] = i
		s.push(i)
	}
	s.evict()
}

// doorSlots is how many keys of a shard again remembers: some times as many as
// blocks have room there, and so few that who reads far more than that finds
// most of it forgotten, the second time as well.
const doorSlots = 1 << 13

// again remembers hash and reports whether it knew it.
func (s *cacheShard[K, V]) again(hash uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door == nil {
		s.door = make([]uint32, doorSlots)
	}
	slot := &s.door[hash%doorSlots]
	// The bits above those that chose the shard and the slot.
	mark := uint32(hash>>40) | 1
	known := *slot == mark
	*slot = mark
	return known
}

func (s *cacheShard[K, V]) queue(it *cacheItem[K, V]) *cacheQueue {
	if it.main {
		return &s.main
	}
	return &s.small
}

// push appends item i to its queue.
func (s *cacheShard[K, V]) push(i uint32) {
	it := &s.items[i]
	q := s.queue(it)
	it.prev, it.next = q.last, 0
	if q.last != 0 {
		s.items[q.last].next = i
	} else {
		q.first = i
	}
	q.last = i
	q.bytes += it.bytes
}

// unlink takes item i out of its queue.
func (s *cacheShard[K, V]) unlink(i uint32) {
	it := &s.items[i]
	q := s.queue(it)
	if it.prev != 0 {
		s.items[it.prev].next = it.next
	} else {
		q.first = it.next
	}
	if it.next != 0 {
		s.items[it.next].prev = it.prev
	} else {
		q.last = it.prev
	}
	q.bytes -= it.bytes
}

// drop forgets item i.
func (s *cacheShard[K, V]) drop(i uint32) {
	s.unlink(i)
	delete(s.index, s.items[i].key)
	s.items[i] = cacheItem[K, V]{next: s.free}
	s.free = i
}

// evict drops values until the rest is within the limit.
func (s *cacheShard[K, V]) evict() {
	for s.small.bytes+s.main.bytes > s.limit {
		if i := s.small.first; i != 0 && (s.small.bytes > s.limit/100*smallPercent || s.main.first == 0) {
			it := &s.items[i]
			if it.asked > 0 {
				s.unlink(i)
				it.main, it.asked = true, 0
				s.push(i)
				continue
			}
			s.ghosts.add(it.hash, len(s.index))
			s.drop(i)
			s.evictions++
			continue
		}
		i := s.main.first
		if it := &s.items[i]; it.asked > 0 {
			it.asked--
			s.unlink(i)
			s.push(i)
			continue
		}
		s.drop(i)
		s.evictions++
	}
}

func (s *cacheShard[K, V]) remove(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[key]; ok {
		s.drop(i)
	}
}

func (s *cacheShard[K, V]) removeFunc(drop func(K) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key, i := range s.index {
		if drop(key) {
			s.drop(i)
			n++
		}
	}
	return n
}

func (s *cacheShard[K, V]) setLimit(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = bytes
	s.evict()
}

func (s *cacheShard[K, V]) addStats(st *CacheStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Limit += s.limit
	st.Bytes += s.small.bytes + s.main.bytes
	st.Entries += int64(len(s.index))
	st.Hits += s.hits
	st.Misses += s.misses
	st.Evictions += s.evictions
	st.Refused += s.refused
}

// ghostQueue remembers the hashes of keys, the latest few.
type ghostQueue struct {
	count map[uint64]uint8 // how often each is in ring
	ring  []uint64         // from next on the oldest first, once it is full
	next  int
}

// minGhosts is how many hashes are remembered at least.
const minGhosts = 64

func (g *ghostQueue) has(hash uint64) bool { return g.count[hash] > 0 }

// add remembers hash, along with about as many others as there are entries.
func (g *ghostQueue) add(hash uint64, entries int) {
	if g.count == nil {
		g.count = make(map[uint64]uint8)
	}
	if g.count[hash] == 255 {
		return
	}
	g.count[hash]++
	if len(g.ring) < max(entries, minGhosts) && g.next == 0 {
		g.ring = append(g.ring, hash)
		return
	}
	old := g.ring[g.next]
	if g.count[old]--; g.count[old] == 0 {
		delete(g.count, old)
	}
	g.ring[g.next] = hash
	g.next = (g.next + 1) % len(g.ring)
}
