// Package importer brings files in: line protocol, and CSV with a mapping of
// its columns to time, tags and fields. It writes through a Destination, which
// is this server's ingest or, with Remote, any server that speaks the write
// API of InfluxDB 2.
//
// Of two rows with the same series and time the later wins, and an import that
// was broken off can be repeated from the start, or resumed from a Position
// that Config.Reached was told of: everything before it is stored. A row that
// cannot be read, or that the destination leaves out, is reported with its
// number, its text and the reason; the import stops when there are more of
// them than Config.MaxBad.
//
// An import runs in the goroutine of its caller and, for line protocol, some
// lanes beside it (lines.go), which have ended when it returns. Callbacks are
// called by the goroutine of the caller.
package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

// Destination takes batches. An error ends the import, unless it tells of rows
// that were left out while the rest was stored: then it, or one that it wraps,
// has the method DroppedRows() int.
type Destination interface {
	// Write returns when b is stored. It keeps nothing of b. It may be called
	// by several goroutines at once.
	Write(ctx context.Context, b *column.Batch) error
}

// TextDestination is a Destination that takes line protocol as it stands, so
// that an import of it need not be parsed here. Lines without a timestamp get
// the time that the destination gives them.
type TextDestination interface {
	Destination
	// TakesPrecision reports whether timestamps may be of a unit.
	TakesPrecision(p lineproto.Precision) bool
	// WriteText returns when the lines are stored. Besides errors as those of
	// Write it may return a *BodyError. It may be called by several goroutines
	// at once.
	WriteText(ctx context.Context, lines []byte, p lineproto.Precision) error
}

// BodyError says that nothing of a body was stored, because of some lines or of
// its size. Other bodies are not concerned.
type BodyError struct {
	Reason   string
	TooLarge bool
}

func (e *BodyError) Error() string { return e.Reason }

// droppedRows returns how many rows an error says were left out while the rest
// was stored; 0 if it is another error.
func droppedRows(err error) int {
	var partial interface{ DroppedRows() int }
	if errors.As(err, &partial) {
		return partial.DroppedRows()
	}
	return 0
}

// Config says how to import.
type Config struct {
	// BatchRows is the number of rows of CSV in a batch.
	BatchRows int
	// BatchBytes is about how much text of CSV is in a batch.
	BatchBytes int
	// RoundBytes is how much line protocol is divided among lanes at a time.
	RoundBytes int
	// MaxRowBytes refuses longer rows.
	MaxRowBytes int
	// MaxBad stops the import when more rows than that could not be read or
	// were left out; negative means never.
	MaxBad int64
	// MaxProblems is how many problems a report lists.
	MaxProblems int
	// Lanes is the number of bodies of line protocol that are written at a
	// time.
	Lanes int
	// Now is the time of lines without a timestamp.
	Now func() time.Time
	// Start is where the source is to be taken up: a Position that Reached was
	// told of. Of line protocol, the source begins there; of CSV, it begins at
	// its beginning, because its header and first rows are needed.
	Start Position
	// Reached, if set, is called when everything before a position is stored
	// and what was rejected of it has passed Reject.
	Reached func(Position, Progress) error
	// Reject, if set, takes the rows that are left out, in their order.
	Reject func(Reject) error
	// Header, if set, takes the header of a CSV file as it stands there.
	Header func(text []byte)
	// Progress, if set, is called after each batch.
	Progress func(Progress)
}

// Position is a place between two rows of a source.
type Position struct {
	Offset int64 `json:"offset"` // bytes before it, after decompression
	Rows   int64 `json:"rows"`   // lines before it
}

// Reject is a row that was left out.
type Reject struct {
	Row    int64  // line of the file, from 1
	Text   []byte // as it stands there, with its newline
	Reason string
}

// Default returns a configuration for so many processors.
func Default(procs int, now func() time.Time) Config {
	return Config{
		BatchRows:   10_000,    // the size at which the benchmarks of most stores are at their best
		BatchBytes:  2 << 20,   // some ten thousand lines
		RoundBytes:  8 << 20,   // bodies of some thousand lines for each lane
		MaxRowBytes: 128 << 10, // a row must fit into a record of the log
		MaxBad:      1000,
		MaxProblems: 100,
		Lanes:       2 * max(procs, 1), // while one waits for the disk another is decoded
		Now:         now,
	}
}

// Validate reports the first setting that makes no sense.
func (c *Config) Validate() error {
	switch {
	case c.BatchRows < 1:
		return fmt.Errorf("import: BatchRows is %d, want at least 1", c.BatchRows)
	case c.BatchBytes < 1:
		return fmt.Errorf("import: BatchBytes is %d, want at least 1", c.BatchBytes)
	case c.MaxRowBytes < 1:
		return fmt.Errorf("import: MaxRowBytes is %d, want at least 1", c.MaxRowBytes)
	case c.MaxProblems < 0:
		return fmt.Errorf("import: MaxProblems is %d, want 0 or more", c.MaxProblems)
	case c.RoundBytes < 1:
		return fmt.Errorf("import: RoundBytes is %d, want at least 1", c.RoundBytes)
	case c.Lanes < 1:
		return fmt.Errorf("import: Lanes is %d, want at least 1", c.Lanes)
	case c.Now == nil:
		return errors.New("import: Now is needed")
	}
	return nil
}

// Progress tells how far an import is.
type Progress struct {
	Bytes   int64 // of the source, read
	Points  int64 // stored; the later of two with the same time counts too
	Bad     int64 // rows that could not be read
	Dropped int64 // rows that were read but left out: see Problem
	Empty   int64 // rows of CSV without any value
}

// Problem is about one row.
type Problem struct {
	Row    int64 // line of the file, from 1
	Reason string
}

func (p Problem) String() string { return fmt.Sprintf("row %d: %s", p.Row, p.Reason) }

// Report is what an import did.
type Report struct {
	Progress
	Values   int64     // field values stored; 0 where the lines were passed on as they stand
	Problems []Problem // the first Config.MaxProblems of them
}

// TooManyBadError says that an import was stopped because of rows that could
// not be read or were left out. What came before is stored.
type TooManyBadError struct {
	Rows  int64
	Limit int64
	First Problem
}

func (e *TooManyBadError) Error() string {
	return fmt.Sprintf("import stopped: %d rows could not be imported, more than %d; first: %v", e.Rows, e.Limit, e.First)
}

// run is one import under way.
type run struct {
	cfg    *Config
	dst    Destination
	report Report
	first  Problem
}

// reject accounts for rows that were left out; the caller counts them.
func (r *run) reject(rows []Reject) error {
	for _, row := range rows {
		p := Problem{row.Row, row.Reason}
		if r.first.Reason == "" {
			r.first = p
		}
		if len(r.report.Problems) < r.cfg.MaxProblems {
			r.report.Problems = append(r.report.Problems, p)
		}
		if r.cfg.Reject != nil {
			if err := r.cfg.Reject(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// reached tells of a position; everything before it is accounted for.
func (r *run) reached(p Position) error {
	r.report.Bytes = p.Offset
	if r.cfg.Reached != nil {
		if err := r.cfg.Reached(p, r.report.Progress); err != nil {
			return err
		}
	}
	if r.cfg.Progress != nil {
		r.cfg.Progress(r.report.Progress)
	}
	return r.check()
}

// check returns an error if there were too many bad rows.
func (r *run) check() error {
	if n := r.report.Bad + r.report.Dropped; r.cfg.MaxBad >= 0 && n > r.cfg.MaxBad {
		return &TooManyBadError{Rows: n, Limit: r.cfg.MaxBad, First: r.first}
	}
	return nil
}
