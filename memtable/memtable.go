// Package memtable holds the newest rows in memory, queryable at once, until
// they are flushed. The shard owns memtables: it applies durable batches in
// log order, seals a memtable that is full, and drops it once its rows are in
// segments.
//
// The newest rows of a measurement lie column by column in the order in which
// they arrived, each linked to the row of its series before it. When they are
// some ten thousand they are turned round into a group: rows of one series
// together, in the order of time, in as few bytes a value as the range of a
// column needs. So a series is read in stretches, by queries and by the flush
// alike, and costs a few numbers and its key in an arena, no object of its
// own. Rejected: a list or tree per series, whose pointers a million series
// make the collector walk; leaving all rows in order of arrival, where reading
// a series misses the processor's cache with nearly every value.
//
// Apply and Seal are called by one goroutine at a time; everything else may
// run beside them.
package memtable

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/column"
)

// Memtable is the rows of all buckets of a shard between two flushes.
type Memtable struct {
	mu     sync.RWMutex // guards tables (the map, not what it points to)
	tables map[tableKey]*table

	chunkRows int // of each table; tests take less
	bytes     atomic.Int64
	rows      atomic.Int64
	minSeq    uint64 // guarded by mu
	maxSeq    uint64 // guarded by mu
}

type tableKey struct {
	bucket      uint64
	measurement string
}

// New returns an empty memtable.
func New() *Memtable {
	return &Memtable{tables: map[tableKey]*table{}, chunkRows: chunkRows}
}

// Apply adds a batch whose records have the sequences first to last. The
// batch is copied.
func (m *Memtable) Apply(bucket uint64, b *column.Batch, first, last uint64) {
	for _, t := range b.Tables {
		if len(t.Time) == 0 {
			continue
		}
		grown := m.table(bucket, t.Measurement).apply(t, last)
		m.bytes.Add(grown)
		m.rows.Add(int64(len(t.Time)))
	}
	m.mu.Lock()
	if m.minSeq == 0 {
		m.minSeq = first
	}
	m.maxSeq = last
	m.mu.Unlock()
}

func (m *Memtable) table(bucket uint64, measurement string) *table {
	m.mu.RLock()
	t := m.tables[tableKey{bucket, measurement}]
	m.mu.RUnlock()
	if t != nil {
		return t
	}
	t = newTable(measurement, m.chunkRows)
	m.mu.Lock()
	m.tables[tableKey{bucket, measurement}] = t
	m.mu.Unlock()
	m.bytes.Add(tableOverhead)
	return t
}

// Bytes returns the memory in use, estimated from what was allocated.
func (m *Memtable) Bytes() int64 { return m.bytes.Load() }

// Rows returns the number of rows that were applied.
func (m *Memtable) Rows() int64 { return m.rows.Load() }

// Seqs returns the sequences of the first and last record, 0 if there are
// none.
func (m *Memtable) Seqs() (first, last uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.minSeq, m.maxSeq
}

// Buckets returns the buckets that have rows, ascending.
func (m *Memtable) Buckets() []uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []uint64
	for k := range m.tables {
		out = append(out, k.bucket)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Measurements returns the measurements of a bucket, ascending.
func (m *Memtable) Measurements(bucket uint64) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []string
	for k := range m.tables {
		if k.bucket == bucket {
			out = append(out, k.measurement)
		}
	}
	slices.Sort(out)
	return out
}

// View returns the rows of a measurement that records up to sequence seq
// brought, as a sorted run; nil if there are none.
func (m *Memtable) View(bucket uint64, measurement string, seq uint64) *View {
	m.mu.RLock()
	t := m.tables[tableKey{bucket, measurement}]
	first := m.minSeq
	m.mu.RUnlock()
	if t == nil {
		return nil
	}
	return t.view(first, seq)
}
