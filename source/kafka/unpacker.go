package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// messageBytes is what the client takes for a message besides its bytes, and
	// leastMessage what the smallest message has in a batch.
	messageBytes = int(unsafe.Sizeof(kgo.Record{}) + unsafe.Sizeof((*kgo.Record)(nil)))
	leastMessage = 7
)

// atOnce is up to what size a batch is unpacked without looking first how large it gets:
// the library lets its buffers grow to four times of what they are to hold.
const atOnce = 8 << 20

// unpacker unpacks batches to at most a number of bytes, with what their messages take in
// memory: some hundred bytes of a topic can stand for gigabytes, or for millions of empty
// messages. It trusts batches in how many messages they have, which brokers check. It is
// safe for concurrent use.
type unpacker struct {
	small kgo.Decompressor // bounded by atOnce and max
	whole kgo.Decompressor // bounded by max
	max   int
}

func newUnpacker(most int) (*unpacker, error) {
	small, err := bounded(min(most, atOnce))
	if err != nil {
		return nil, err
	}
	whole, err := bounded(most)
	if err != nil {
		return nil, err
	}
	return &unpacker{small, whole, most}, nil
}

// bounded returns the library's decompressor, which it bounds for a client only.
func bounded(most int) (kgo.Decompressor, error) {
	c, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(most))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer c.Close()
	d, ok := c.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	if !ok {
		panic("BUG: a client of Kafka without a decompressor")
	}
	return d, nil
}

// Decompress implements kgo.Decompressor.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	out, err := u.small.Decompress(src, codec)
	if err != nil && u.max > atOnce {
		out, err = u.large(src, codec)
	}
	if err != nil || len(out)/leastMessage*messageBytes <= u.max {
		return out, err
	}
	if countMessages(out) > u.max/messageBytes {
		return nil, kgo.ErrMaxDecompress
	}
	return out, nil
}

// large unpacks what is not small: once to see how large it gets, and once more into as
// much memory.
func (u *unpacker) large(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	var unpacked func(do func(io.Reader) error) error
	switch codec {
	case kgo.CodecGzip:
		unpacked = func(do func(io.Reader) error) error {
			r, err := gzip.NewReader(bytes.NewReader(src))
			if err != nil {
				return err
			}
			return do(r)
		}
	case kgo.CodecLz4:
		unpacked = func(do func(io.Reader) error) error { return do(lz4.NewReader(bytes.NewReader(src))) }
	case kgo.CodecZstd:
		unpacked = func(do func(io.Reader) error) error {
			r, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1),
				zstd.WithDecoderMaxMemory(uint64(u.max)), zstd.WithDecoderMaxWindow(uint64(u.max)))
			if err != nil {
				return err
			}
			defer r.Close()
			return do(r)
		}
	default:
		return u.whole.Decompress(src, codec) // snappy says how large it is
	}
	var size int64
	err := unpacked(func(r io.Reader) (err error) {
		size, err = io.Copy(io.Discard, io.LimitReader(r, int64(u.max)+1))
		return err
	})
	switch {
	case size > int64(u.max), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, kgo.ErrMaxDecompress
	case err != nil:
		return nil, err
	}
	out := make([]byte, size)
	err = unpacked(func(r io.Reader) error {
		_, err := io.ReadFull(r, out)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// countMessages returns how many messages are in an unpacked batch of format 2. Those of
// older formats are larger, and not counted.
func countMessages(in []byte) int {
	n := 0
	for len(in) > 0 {
		length, used := binary.Varint(in)
		if used <= 0 || length < leastMessage-1 || length > int64(len(in)-used) {
			break
		}
		in = in[used+int(length):]
		n++
	}
	return n
}
