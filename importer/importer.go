// Package importer brings files in: line protocol, and CSV with a mapping of
// its columns to time, tags and fields. It writes through a Destination, which
// is this server's ingest or, with Remote, any server that speaks the write
// API of InfluxDB 2.
//
// Rows are written in the order of the file, so that of two with the same
// series and time the later wins, and an import that was broken off can be
// repeated from the start. A row that cannot be read is reported with its
// number and left out; the import stops when there are more of them than
// Config.MaxBad.
//
// An import runs in the goroutine of its caller and, for line protocol, some
// parsers beside it, which have ended when it returns.
package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/column"
)

// Destination takes batches. An error ends the import, unless it tells of rows
// that were left out while the rest was stored: then it, or one that it wraps,
// has the method DroppedRows() int.
type Destination interface {
	// Write returns when b is stored. It keeps nothing of b.
	Write(ctx context.Context, b *column.Batch) error
}

// Config says how to import.
type Config struct {
	// BatchRows is the number of rows of CSV in a batch.
	BatchRows int
	// BatchBytes is about how much text is in a batch.
	BatchBytes int
	// MaxRowBytes refuses longer rows.
	MaxRowBytes int
	// MaxBad stops the import when more rows than that could not be read or
	// were left out; negative means never.
	MaxBad int64
	// MaxProblems is how many problems a report lists.
	MaxProblems int
	// Parsers is the number of chunks of line protocol that are parsed at a
	// time.
	Parsers int
	// Now is the time of lines without a timestamp.
	Now func() time.Time
	// Progress, if set, is called after each batch, by the goroutine that
	// imports.
	Progress func(Progress)
}

// Default returns a configuration for so many processors.
func Default(procs int, now func() time.Time) Config {
	return Config{
		BatchRows:   10_000,    // the size at which the benchmarks of most stores are at their best
		BatchBytes:  2 << 20,   // some ten thousand lines
		MaxRowBytes: 128 << 10, // a row must fit into a record of the log
		MaxBad:      1000,
		MaxProblems: 100,
		Parsers:     max(procs, 1),
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
	case c.Parsers < 1:
		return fmt.Errorf("import: Parsers is %d, want at least 1", c.Parsers)
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

// Problem is about one row, or about several that begin there.
type Problem struct {
	Row    int64 // line of the file, from 1
	Reason string
}

func (p Problem) String() string { return fmt.Sprintf("row %d: %s", p.Row, p.Reason) }

// Report is what an import did.
type Report struct {
	Progress
	Values   int64     // field values stored
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

// problem notes what is wrong with a row; the caller counts it.
func (r *run) problem(row int64, reason string) {
	p := Problem{row, reason}
	if r.first.Reason == "" {
		r.first = p
	}
	if len(r.report.Problems) < r.cfg.MaxProblems {
		r.report.Problems = append(r.report.Problems, p)
	}
}

// check returns an error if there were too many bad rows.
func (r *run) check() error {
	if n := r.report.Bad + r.report.Dropped; r.cfg.MaxBad >= 0 && n > r.cfg.MaxBad {
		return &TooManyBadError{Rows: n, Limit: r.cfg.MaxBad, First: r.first}
	}
	return nil
}

// write stores a batch whose first row is row of the source.
func (r *run) write(ctx context.Context, b *column.Batch, row, bytes int64) error {
	rows, values := int64(b.Rows()), int64(b.Values())
	if rows > 0 {
		err := r.dst.Write(ctx, b)
		var partial interface{ DroppedRows() int }
		switch {
		case err == nil:
		case errors.As(err, &partial):
			dropped := int64(partial.DroppedRows())
			r.problem(row, fmt.Sprintf("in the batch that begins here: %v", err))
			r.report.Dropped += dropped
			values -= values * dropped / rows // nobody says which they were
			rows -= dropped
		default:
			return fmt.Errorf("write batch of row %d: %w", row, err)
		}
	}
	r.report.Points += rows
	r.report.Values += values
	r.report.Bytes = bytes
	if r.cfg.Progress != nil {
		r.cfg.Progress(r.report.Progress)
	}
	return r.check()
}
