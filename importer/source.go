package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Source is a file that is being imported, decompressed if it begins as gzip
// or zstd do. It belongs to one goroutine.
type Source struct {
	raw  *countingReader
	body *bufio.Reader
	zstd *zstd.Decoder // nil: it is not zstd
}

// headBytes is what of a file tells it from others: more than a header, little
// enough to read at once.
const headBytes = 64 << 10

// maxWindow bounds the memory that a zstd file can ask for. It is what the zstd
// command writes at most unless it is told to (--long=28 and more).
const maxWindow = 128 << 20

// NewSource returns a source that reads raw.
func NewSource(raw io.Reader) (*Source, error) {
	s := &Source{raw: &countingReader{r: raw}}
	b := bufio.NewReaderSize(s.raw, headBytes)
	magic, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("decompress gzip: %w", err)
		}
		b = bufio.NewReaderSize(z, headBytes)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		if s.zstd, err = zstd.NewReader(b, zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
			return nil, fmt.Errorf("decompress zstd: %w", err)
		}
		b = bufio.NewReaderSize(s.zstd, headBytes)
	}
	s.body = b
	return s, nil
}

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) { return s.body.Read(p) }

// RawBytes returns how much of the file was read, before decompression.
func (s *Source) RawBytes() int64 { return s.raw.n }

// Head returns a fingerprint of the beginning; nothing was read yet.
func (s *Source) Head() (string, error) {
	b, err := s.body.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read: %w", err)
	}
	return fmt.Sprintf("%016x-%d", xxhash.Sum64(b), len(b)), nil
}

// Skip passes over bytes after decompression.
func (s *Source) Skip(n int64) error {
	skipped, err := io.CopyN(io.Discard, s.body, n)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("skip to byte %d: the file ends at byte %d", n, skipped)
	}
	if err != nil {
		return fmt.Errorf("skip to byte %d: %w", n, err)
	}
	return nil
}

// Close ends decompression; the file is the caller's.
func (s *Source) Close() {
	if s.zstd != nil {
		s.zstd.Close()
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
