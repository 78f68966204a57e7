// Package run declares the sorted run: immutable rows of one measurement,
// ordered by series key and then by time. A memtable view and a section of a
// segment are runs; flush, compaction and scan read nothing else, so that
// they need not know where rows lie.
//
// A Run is safe for concurrent use until its owner closes it. A Cursor and a
// KeyCursor belong to one goroutine.
package run

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
)

// Meta describes a run as a whole. Bounds are inclusive and may be wider than
// the rows, never narrower.
type Meta struct {
	MinTime, MaxTime int64 // nanoseconds since 1970
	MinSeq, MaxSeq   uint64
	Rows             int64 // for a memtable view, repeats of (series, time) count
	Series           int
	Fields           []column.FieldInfo // ascending by name
	// Keys is a fingerprint of the set of series: runs of a measurement with
	// equal ones have the same series. Zero where it is not known.
	Keys [2]uint64
}

// Run is a set of rows of one measurement. Series are numbered from 0 by
// ordinals; ordinals of a segment ascend with the key, those of a memtable do
// not have to.
type Run interface {
	Meta() *Meta
	// Index gives the postings; ordinals are the run's.
	Index() predicate.Index
	// Select returns the ordinals of the series that match (nil: all), in
	// ascending order of their keys. The caller does not change the slice.
	Select(m *predicate.Matcher) ([]uint32, error)
	// Keys returns a reader of series keys.
	Keys() KeyCursor
	// TagKeys returns the tag keys that occur, ascending.
	TagKeys() ([]string, error)
	// Cursor reads the named fields. A field that the run does not have gives
	// a column of nulls with Type 0.
	Cursor(fields []string) (Cursor, error)
}

// KeyCursor reads series keys. Going through ordinals in the order of their
// keys is cheap; any other order is allowed.
type KeyCursor interface {
	// Key returns the canonical key of a series, valid until the next call.
	Key(ord uint32) ([]byte, error)
}

// Cursor reads rows of one series at a time. Seeking series in the order of
// their keys is cheap; any other order is allowed.
type Cursor interface {
	// Seek goes to the first row of series ord with min <= time <= max.
	Seek(ord uint32, min, max int64) error
	// Next returns the next rows within the bounds of Seek, as many as come
	// cheaply (at most some thousands), nil when there are none left. The
	// rows are valid until the next call of any method and are not changed by
	// the caller.
	Next() (*column.Rows, error)
	// Close gives memory back.
	Close()
}

// SummaryCursor is a Cursor that knows summaries of spans: stretches of
// consecutive rows of one series.
type SummaryCursor interface {
	Cursor
	// Span describes the span that begins at the cursor, if one begins there
	// with all its rows within the bounds of Seek; ok is false otherwise
	// (call Next, which reads up to where the next span begins or further).
	Span() (span Span, ok bool, err error)
	// Summary returns the summary of one of the cursor's fields over that
	// span.
	Summary(col int) (column.Summary, error)
	// Skip goes to the row behind the span.
	Skip() error
	// ReadSpan returns the rows of the span and goes behind it.
	ReadSpan() (*column.Rows, error)
	// SeekLast is Seek to the last span of series ord within the bounds, and
	// describes it. ok is false if the last row within them is in no span, or
	// in one that reaches beyond them; the cursor then stands nowhere.
	SeekLast(ord uint32, min, max int64) (span Span, ok bool, err error)
}

// Span says where the rows of a span lie in time.
type Span struct {
	MinTime, MaxTime int64 // of its first and last row
	Rows             int
}

// Stats counts what readers did; explained plans show it. The reader of a
// cursor adds to the Stats that it was given and to no other.
type Stats struct {
	BlocksRead   int64 // blocks of which at least one column was decoded
	BlocksPruned int64 // blocks that bounds or statistics excluded
	Spans        int64 // spans answered from their summaries
	BytesRead    int64 // stored bytes read, before decoding
	RowsRead     int64 // rows decoded
}

// Counted is a Cursor that keeps count.
type Counted interface {
	Stats() Stats
}
