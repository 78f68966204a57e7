// Package segment owns Varve's immutable columnar file: its writer, its
// reader and its checker. Flush and compaction write segments; scan and
// compaction read each section of one (the rows of one measurement) as a
// run.Run. The byte layout is in FORMAT.md.
//
// A file is read by ranges only, through Blob, so that it may lie on a disk
// or in an object store. Opening one reads the footer; everything else is
// read when it is asked for, piece by piece, and each piece carries a
// checksum of its own: a piece that went bad fails those reads that need it
// and no others.
//
// A Reader and its Sections are safe for concurrent use; a Cursor, a key
// cursor and a Writer belong to one goroutine.
package segment

import (
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/encoding"
)

const (
	magic         = "VRVSEG\r\n" // a transfer that rewrites line ends breaks it
	formatVersion = 1
	tailSize      = 32

	// footerGuess is how much of the end of a file Open fetches: the footer
	// of any but the widest files, in one request.
	footerGuess = 64 << 10

	// maxBlockRows is the most that package encoding takes for one column.
	maxBlockRows = encoding.MaxValues

	// groupBlocks is the number of blocks that share pieces of statistics:
	// enough spans (some 370 of 360 rows) that the encoders' headers vanish,
	// few enough that the summaries of one series decode in microseconds.
	groupBlocks = 16

	// maxSpanRows and minSpanRows bound the rows of a span: summaries of
	// longer spans answer fewer queries, those of shorter ones cost more than
	// the reading that they save.
	maxSpanRows = 512
	minSpanRows = 64

	// gapBytes is the longest stretch of unwanted bytes that is read along to
	// save a request: less than a system call costs.
	gapBytes = 512
)

// Blob is the immutable bytes of a segment file.
type Blob interface {
	io.ReaderAt
	Size() int64
}

// CacheKey names what was decoded from one piece of one file. File names are
// never reused.
type CacheKey struct {
	File   string
	Offset int64
}

// Cache keeps decoded parts of indexes, shared by the readers of many files.
// It must be safe for concurrent use; it may forget anything at any time.
// Values are immutable.
type Cache interface {
	Get(key CacheKey) (any, bool)
	Put(key CacheKey, value any, bytes int64)
}

// Caches are what readers of many files share. Either may be nil: indexes then
// have a small cache for each reader, blocks have none.
type Caches struct {
	Indexes Cache
	Blocks  BlockCache
}

// Info describes a whole file.
type Info struct {
	Bucket           uint64
	PartMin, PartMax int64 // bounds of the partition, nanoseconds
	MinSeq, MaxSeq   uint64
	MinTime, MaxTime int64 // of the rows; 0 and 0 without any
	Size             int64
	Sections         int
	Series           int64
	Rows             int64
	Values           int64  // that are not null
	Checksum         uint64 // xxhash64 of all bytes; 0 from a Reader, see Checksum
}

// CorruptError says that bytes of a file are not what was written.
type CorruptError struct {
	File   string
	Offset int64 // of the piece that is damaged
	What   string
}

// Error names the file, the place and the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("segment %s is corrupt at offset %d: %s", e.File, e.Offset, e.What)
}

// Checksum computes what Writer.Finish returned as Info.Checksum.
func Checksum(b Blob) (uint64, error) {
	h := xxhash.New()
	if _, err := io.Copy(h, io.NewSectionReader(b, 0, b.Size())); err != nil {
		return 0, fmt.Errorf("read segment: %w", err)
	}
	return h.Sum64(), nil
}
