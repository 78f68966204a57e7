// Package wlog is the seam of the write-ahead log: the durable order of
// accepted batches of one shard. It holds the contract, the record and the
// errors; implementations live in subfolders, and wlogtest is the suite that
// each of them passes.
//
// The write path appends and acknowledges after that; the shard replays at
// start; live streams, edge shipping and backups follow with a Reader. All
// methods of a Log are safe for concurrent use; a Reader belongs to one
// goroutine.
package wlog

import "context"

// Log is the log of one shard.
type Log interface {
	// Append makes recs durable, contiguous and in order, each one wholly or
	// not at all. deliver, which may be nil, is called exactly once on
	// success with the positions of the first and the last record: after they
	// are durable, before Append returns, in the order of positions over all
	// appends, one call at a time. It must not append to the same log.
	//
	// On an error nothing was delivered, and no Reader has seen or will see
	// the records while this log is open; they may be found after the next
	// open, and if not, their positions go to others. Errors are ErrClosed,
	// ErrTooLarge, the error of ctx, or wrap ErrFailed and the cause; after
	// ErrFailed a later Append may succeed.
	//
	// ctx can end the wait for room in the queue. Once the records are queued
	// Append waits for their fate whatever ctx says. The payloads belong to
	// the caller again when Append returns.
	Append(ctx context.Context, recs []Record, deliver func(first, last Position)) error

	// Read returns a Reader of the records at from and after it. The zero
	// Position stands for the oldest record that is retained. ErrTrimmed says
	// that records at from are gone already, ErrAhead that the log ends
	// before from although someone has seen it reach further: it lost records
	// or is another log.
	Read(ctx context.Context, from Position, o ReadOptions) (Reader, error)

	// Trim says that records up to and including upTo are no longer needed.
	// They go when their storage can be freed as a whole, so First may stay
	// at or below upTo.
	Trim(upTo Position) error

	// First is the position of the oldest record that is retained, or when
	// there is none, of the next one to be appended.
	First() Position
	// Last is the position of the newest durable record; when the log is
	// empty its Seq is one less than that of First.
	Last() Position
	// Size is how many bytes the log takes on disk.
	Size() int64
	// SizeFrom is how many of them would stay if all before from was trimmed:
	// those of the records at and after it, and up to a unit of storage more.
	SizeFrom(from Position) int64
	// Stats tells what was done since the log was opened.
	Stats() Stats
	// Close waits for appends under way, and ends Readers with ErrClosed.
	Close() error
}

// ReadOptions say how a Reader behaves.
type ReadOptions struct {
	// Follow makes Next wait at the durable end instead of returning io.EOF.
	Follow bool
	// OnCorrupt, if set, is told of records that cannot be read, and reading
	// goes on with the next whole one. Otherwise Next returns the
	// *CorruptError, and does so again if called again.
	OnCorrupt func(*CorruptError)
}

// Reader reads records in order. Only durable ones are seen.
type Reader interface {
	// Next returns the next record. Its payload is valid until the next call
	// of Next or Close. It returns io.EOF at the end if the reader does not
	// follow, ErrTrimmed if trimming has overtaken the reader, ErrClosed
	// after the log was closed, a *CorruptError, or the error of ctx.
	Next(ctx context.Context) (Record, error)
	Close() error
}

// Stats counts since the log was opened.
type Stats struct {
	Appends     uint64 // that succeeded
	Records     uint64 // that are durable
	RawBytes    uint64 // payloads before compression
	StoredBytes uint64 // written to disk: headers, payloads as stored, padding
	Syncs       uint64 // of files; those of directories are not counted
	Failures    uint64 // writes or syncs of a file that failed
	Refused     uint64 // appends that failed with ErrFailed
}
