package query

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// results keeps whole answers for those who ask the same again.
//
// What is kept is found by the plan and by the fingerprints of what the plan
// looks at in every pinned shard. So there is nothing to invalidate: after a
// write, a delete or anything else that changes what a run would read, the
// key is another one, and the old answer is evicted in time.
//
// Not kept:
//
//   - Answers that were not read to their end, or ended in an error.
//   - Those of plans that are clipped to the retention: where they begin moves
//     with the clock. A plan that is not clipped is looked up only as long as it
//     is not, so time alone does not make a kept answer wrong.
//   - Lists of names. Deletes beside the range can change them, and they come
//     from indexes in memory anyway.
//   - Large ones, see maxStored.
//
// Rejected: one key for a plan with the fingerprint in the value, so that an
// old answer makes room at once. Two clients with snapshots of two moments
// would push out each other's answer, and the counts of the cache would call a
// stale answer a hit.
type results struct {
	cache *ResultCache
	limit int64 // bytes of an answer
}

// ResultCache is where answers are kept, by hash.
type ResultCache = memory.Cache[[sha256.Size]byte, *Stored]

const (
	// maxStored is some 50,000 rows: whoever asks for more waits for them to be
	// rendered and read, not for the scan.
	maxStored = 1 << 20
	// minAnswers is how many answers have room at least.
	minAnswers = 16
	// maxKeyed is how many measurements a plan may look at: each costs some
	// microseconds in each shard, before it is known whether it was worth it.
	maxKeyed = 32
)

// NewResultCache returns a cache of so many bytes.
func NewResultCache(limit int64) *ResultCache {
	return memory.NewCache[[sha256.Size]byte, *Stored](limit)
}

func newResults(c *ResultCache) *results {
	if c == nil {
		return nil
	}
	return &results{cache: c, limit: min(c.Stats().Limit/minAnswers, maxStored)}
}

// resultKey finds an answer; nil finds none.
type resultKey *[sha256.Size]byte

// key returns the key of p over pinned snapshots, nil if its answer is not to
// be kept.
func (r *results) key(p *plan.Plan, snaps []Snapshot) resultKey {
	if r == nil || p.List != nil {
		return nil
	}
	text, err := json.Marshal(p)
	if err != nil || bytes.Contains(text, []byte(`\ufffd`)) {
		return nil // bytes that JSON cannot hold: other plans may look the same
	}
	first, last := p.Bounds()
	names := p.Measurements
	if len(names) == 0 {
		for _, s := range snaps {
			some, err := s.Measurements(p.Bucket, first, last)
			if err != nil {
				return nil // the run finds it too, and says so
			}
			names = append(names, some...)
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	if len(names) > maxKeyed {
		return nil
	}
	for _, name := range names {
		text = append(append(text, 0), name...)
		for _, s := range snaps {
			f := s.Fingerprint(p.Bucket, name, first, last)
			text = append(text, f[:]...)
		}
	}
	sum := sha256.Sum256(text)
	return &sum
}

// get returns the answer of a key, if it is kept.
func (r *results) get(k resultKey) *Stored {
	if k == nil {
		return nil
	}
	s, _ := r.cache.Get(*k)
	return s
}

// recorder keeps a copy of the rows that pass, as long as it may, and puts
// them among the results when they are whole.
type recorder struct {
	rows
	results *results
	key     resultKey
	memory  scan.Memory
	limit   int64   // of rows, from the plan; 0: none
	copy    *Stored // nil: it is not to be kept
}

// Next implements rows.
func (r *recorder) Next() (*scan.Batch, error) {
	began := time.Now()
	b, err := r.rows.Next()
	if r.copy == nil {
		return b, err
	}
	r.copy.took += time.Since(began)
	switch {
	case err != nil:
		r.drop()
	case b == nil:
		r.put()
	default:
		r.add(b)
	}
	return b, err
}

func (r *recorder) add(b *scan.Batch) {
	n := sizeOf(b)
	if r.copy.bytes+n > r.results.limit || r.memory.Reserve(n) != nil {
		r.drop()
		return
	}
	r.copy.add(b, n)
	if r.limit > 0 && r.copy.rows == r.limit {
		r.put() // those who have all that they asked for do not ask for the end
	}
}

func (r *recorder) put() {
	s := r.copy
	r.drop()
	s.at = time.Now()
	r.results.cache.Put(*r.key, s, s.bytes+storedBytes)
}

func (r *recorder) drop() {
	if r.copy != nil {
		r.memory.Release(r.copy.bytes)
		r.copy = nil
	}
}

// Close implements rows.
func (r *recorder) Close() {
	r.drop()
	r.rows.Close()
}
