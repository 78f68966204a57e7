package detect

import "sync"

// DefaultSeries is the declared maximum of series unless another is given.
// With a window of 200 readings it bounds a detector to some 200 MB (zscore) or
// 400 MB (mad), which it takes only if so many series come.
const DefaultSeries = 100_000

const (
	// tableShards lets as many goroutines work at once as there are cores on the
	// machines this is for, most of the time.
	tableShards = 16
	// fewSeries is the maximum up to which a table has one shard: cut into 16,
	// the shards of a small table would fill unevenly.
	fewSeries = 4096
)

// table keeps a state S for each series, at most so many. When a shard is full,
// the clock algorithm (Corbató 1968, "A Paging Experiment with the Multics
// System") picks who goes: the first slot that was not used since the hand last
// passed. It is LRU for practical purposes, and costs one byte a series. A shard
// is full when it has its part of the maximum, so that the first eviction comes
// a few per cent before the maximum is reached.
type table[S any] struct {
	shards []shard[S]
}

type shard[S any] struct {
	mu      sync.Mutex // guards all below
	index   map[uint64]uint32
	series  []uint64
	used    []bool // since the hand passed
	states  []S
	most    int
	hand    int
	evicted uint64
	_       [64]byte // keeps the locks of two shards on lines of their own
}

func newTable[S any](most int) *table[S] {
	n := tableShards
	if most <= fewSeries {
		n = 1
	}
	t := &table[S]{shards: make([]shard[S], n)}
	for i := range t.shards {
		t.shards[i].most = most / n
		t.shards[i].index = map[uint64]uint32{}
	}
	return t
}

// lock returns the shard of a series, locked.
func (t *table[S]) lock(series uint64) *shard[S] {
	s := &t.shards[series*0x9E3779B97F4A7C15>>32%uint64(len(t.shards))]
	s.mu.Lock()
	return s
}

// state returns the state of a series, and whether it is new. A new state may
// be that of a series that had to go: the caller starts it over, and can use
// its memory again. It is valid until the shard is unlocked.
func (s *shard[S]) state(series uint64) (state *S, fresh bool) {
	if i, ok := s.index[series]; ok {
		s.used[i] = true
		return &s.states[i], false
	}
	if len(s.states) < s.most {
		i := len(s.states)
		s.series = append(s.series, series)
		s.used = append(s.used, false)
		s.states = append(s.states, *new(S))
		s.index[series] = uint32(i)
		return &s.states[i], true
	}
	for s.used[s.hand] {
		s.used[s.hand] = false
		s.hand = (s.hand + 1) % len(s.used)
	}
	i := s.hand
	s.hand = (s.hand + 1) % len(s.used)
	s.evicted++
	delete(s.index, s.series[i])
	s.series[i] = series
	s.index[series] = uint32(i)
	return &s.states[i], true
}

// peek returns the state of a series, nil if it has none.
func (s *shard[S]) peek(series uint64) *S {
	if i, ok := s.index[series]; ok {
		return &s.states[i]
	}
	return nil
}

func (t *table[S]) stats() Stats {
	var all Stats
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		all.Series += len(s.states)
		all.Evicted += s.evicted
		s.mu.Unlock()
	}
	return all
}

// tracker is what detectors with a state S for each series have in common.
type tracker[S any] struct {
	id    identity
	table *table[S]
}

func newTracker[S any](t Track) tracker[S] {
	return tracker[S]{newIdentity(t.By), newTable[S](max(t.Series, 1))}
}

// Stats tells how full the state is.
func (t *tracker[S]) Stats() Stats { return t.table.stats() }
