// Package export writes what a bucket holds to files: Parquet, CSV or line
// protocol, in folders as Hive names them, in a folder of this machine or a
// bucket of S3. The command line calls Run; the rows come from a Source, which
// is a store of this process or, with Remote, a server.
//
// Rows come measurement by measurement and stretch by stretch of the
// partition, so that one file is open at a time. What is held in memory is a
// row group of it (Config.RowGroupRows, Config.RowGroupBytes) and what is on
// its way.
//
// A file gets its name when it is complete. _SUCCESS is written last: without
// it some files are missing.
//
// Run works in the goroutine of its caller; an upload has one beside it, which
// has ended when its file is committed or given up.
package export

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/export/stream"
)

// Source gives out the rows of a bucket.
type Source interface {
	// Export calls out as stream.Receiver says. An error of out ends the
	// export and is returned.
	Export(ctx context.Context, r *stream.Request, out stream.Receiver) error
}

// Destination keeps the files of an export.
type Destination interface {
	// Check reports why nothing can be exported to here, before anything is.
	Check(ctx context.Context) error
	// Create begins a file. name has slashes between folders.
	Create(ctx context.Context, name string) (File, error)
}

// File is a file that is being written. One of Commit and Abort is called,
// once.
type File interface {
	Write(p []byte) (int, error)
	// Commit returns when the file is durable under its name.
	Commit() error
	// Abort leaves nothing behind.
	Abort()
}

// Format is how files are written.
type Format string

// The formats.
const (
	Parquet Format = "parquet"
	CSV     Format = "csv"
	Lines   Format = "lines"
)

// Compression is how files, or the pages of Parquet, are compressed.
type Compression string

// The compressions. Snappy is for Parquet.
const (
	Zstd   Compression = "zstd"
	Gzip   Compression = "gzip"
	Snappy Compression = "snappy"
	Plain  Compression = "none"
)

// TimeUnit is the unit of times in Parquet.
type TimeUnit string

// The units. A time that has parts of a unit ends the export: it would be
// another one when it is read.
const (
	Nanoseconds  TimeUnit = "ns"
	Microseconds TimeUnit = "us"
	Milliseconds TimeUnit = "ms"
)

// Config says how to export.
type Config struct {
	Format      Format
	Compression Compression
	// RowGroupRows and RowGroupBytes (of values, before encoding) bound a row
	// group of Parquet, which is held in memory until it is complete.
	RowGroupRows  int
	RowGroupBytes int
	TimeUnit      TimeUnit
	// Progress, if set, is called after each batch of rows.
	Progress func(Report)
}

// Default returns the configuration of a format.
func Default(f Format) Config {
	return Config{
		Format:        f,
		Compression:   Zstd,
		RowGroupRows:  122_880,  // DuckDB's own; its threads each take a row group
		RowGroupBytes: 64 << 20, // reached by wide or long rows only
		TimeUnit:      Nanoseconds,
	}
}

// Validate reports the first setting that makes no sense.
func (c *Config) Validate() error {
	switch c.Format {
	case Parquet, CSV, Lines:
	default:
		return fmt.Errorf("format %q is not known: want parquet, csv or lines", string(c.Format))
	}
	switch c.Compression {
	case Zstd, Gzip, Plain:
	case Snappy:
		if c.Format != Parquet {
			return errors.New("compression snappy is for parquet: want zstd, gzip or none")
		}
	default:
		return fmt.Errorf("compression %q is not known: want zstd, gzip, snappy or none", string(c.Compression))
	}
	switch c.TimeUnit {
	case Nanoseconds, Microseconds, Milliseconds:
	default:
		return fmt.Errorf("time unit %q is not known: want ns, us or ms", string(c.TimeUnit))
	}
	if c.RowGroupRows < 1 || c.RowGroupBytes < 1 {
		return fmt.Errorf("row group of %d rows and %d bytes: want at least 1", c.RowGroupRows, c.RowGroupBytes)
	}
	return nil
}

// Report is what an export wrote.
type Report struct {
	Rows   int64
	Values int64 // of fields
	Files  int64
	Bytes  int64 // of files
}

// successFile is what Hadoop's writers leave when all files are there.
const successFile = "_SUCCESS"

// Run exports what a request asks for. The report is valid with an error too.
func Run(ctx context.Context, src Source, r *stream.Request, dst Destination, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, fmt.Errorf("export: %w", err)
	}
	if err := r.Partition.Validate(); err != nil {
		return Report{}, fmt.Errorf("export: %w", err)
	}
	if err := dst.Check(ctx); err != nil {
		return Report{}, err
	}
	w := &writer{ctx: ctx, cfg: &cfg, partition: r.Partition, dst: dst}
	if err := src.Export(ctx, r, w); err != nil {
		w.abort()
		return w.report, err
	}
	if err := w.close(); err != nil {
		return w.report, err
	}
	f, err := dst.Create(ctx, successFile)
	if err != nil {
		return w.report, err
	}
	return w.report, f.Commit()
}
