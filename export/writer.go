package export

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export/stream"
)

// encoder writes rows of one measurement, or, of line protocol, of several.
type encoder interface {
	rows(a *aligned) error
	// close writes what ends the file.
	close() error
}

// writer is the stream.Receiver that makes files.
type writer struct {
	ctx       context.Context
	cfg       *Config
	partition stream.Partition
	dst       Destination
	report    Report

	aligned aligned
	name    string // of the open file
	file    File   // nil: none is open
	out     *bufio.Writer
	packer  io.WriteCloser // nil: not compressed
	encoder encoder
}

// writeBytes is how much is gathered for a write to a file.
const writeBytes = 256 << 10

// Measurement implements stream.Receiver.
func (w *writer) Measurement(s *stream.Schema) error {
	w.aligned.reset(s)
	return nil
}

// Rows implements stream.Receiver.
func (w *writer) Rows(t *column.Table) error {
	if len(t.Time) == 0 {
		return nil
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	name := w.path(t.Measurement, w.partition.Label(t.Time[0]))
	if w.file == nil || name != w.name {
		if err := w.close(); err != nil {
			return err
		}
		if err := w.open(name); err != nil {
			return err
		}
	}
	if err := w.aligned.align(t); err != nil {
		return err
	}
	if err := w.encoder.rows(&w.aligned); err != nil {
		return fmt.Errorf("write %s: %w", w.name, err)
	}
	w.report.Rows += int64(len(t.Time))
	for i := range t.Fields {
		w.report.Values += int64(t.Fields[i].Valid.Count(len(t.Time)))
	}
	if w.cfg.Progress != nil {
		w.cfg.Progress(w.report)
	}
	return nil
}

func (w *writer) open(name string) error {
	f, err := w.dst.Create(w.ctx, name)
	if err != nil {
		return err
	}
	w.name, w.file = name, f
	w.out = bufio.NewWriterSize(&countingWriter{f, &w.report.Bytes}, writeBytes)
	body := io.Writer(w.out)
	if w.cfg.Format != Parquet {
		if w.packer, err = newPacker(w.cfg.Compression, w.out); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if w.packer != nil {
			body = w.packer
		}
	}
	switch w.cfg.Format {
	case Parquet:
		w.encoder, err = newParquetEncoder(body, w.aligned.schema, w.cfg)
	case CSV:
		w.encoder = newCSVEncoder(body, w.aligned.schema)
	case Lines:
		w.encoder = &linesEncoder{w: body}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// newPacker returns a compressor, nil for none.
func newPacker(c Compression, out io.Writer) (io.WriteCloser, error) {
	switch c {
	case Zstd:
		return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	case Gzip:
		return gzip.NewWriter(out), nil
	}
	return nil, nil
}

// close completes the open file, if there is one.
func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	if err := w.finish(); err != nil {
		w.abort()
		return fmt.Errorf("write %s: %w", w.name, err)
	}
	f := w.file
	w.file = nil
	if err := f.Commit(); err != nil {
		return err
	}
	w.report.Files++
	return nil
}

func (w *writer) finish() error {
	if err := w.encoder.close(); err != nil {
		return err
	}
	if w.packer != nil {
		if err := w.packer.Close(); err != nil {
			return err
		}
	}
	return w.out.Flush()
}

// abort gives the open file up.
func (w *writer) abort() {
	if w.file != nil {
		w.file.Abort()
		w.file = nil
	}
}

// countingWriter counts what reaches a file.
type countingWriter struct {
	w File
	n *int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}
