package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Budget is the memory that request bodies may take together: a pool of
// package memory.
type Budget interface {
	// Acquire takes n bytes and waits for them until ctx ends.
	Acquire(ctx context.Context, n int64) error
	// Release gives n bytes back.
	Release(n int64)
}

const (
	// firstRead is what a body is given before anything of it has come, and
	// grantRatio how many times that which has come it is given then: who says
	// that much will follow, and sends nothing, holds little. A body that keeps
	// its word is copied once or twice, the smallest parts of it.
	firstRead  = 8 << 10
	grantRatio = 8
	// unknownSize is taken for the size of a body that does not tell it: that of
	// a common batch of a hundred lines, and what a TCP window brings.
	unknownSize = 64 << 10
	// usualRatio is how much line protocol shrinks by gzip -1 or zstd -3,
	// rounded up: a body is then read without growing the buffer.
	usualRatio = 10
	// smallBody parts the buffers that are kept, so that single lines do not
	// occupy the large ones.
	smallBody = 128 << 10
	// keepBody is the largest buffer that is kept for the next request. Ten
	// thousand lines of a host fleet are 3.4 MB.
	keepBody = 8 << 20
	// keepBodies is how much such buffers may hold together: one each for a few
	// writers of full batches.
	keepBodies = 12 << 20
	// maxZstdWindow bounds what a frame's header makes the decoder allocate.
	// 8 MiB is the window of level 19, the highest that tools use unasked.
	maxZstdWindow = 8 << 20
)

var errBodyTooLarge = errors.New("points batch is too large")

// bodies reads request bodies, plain or compressed, into buffers that are
// used again. Safe for concurrent use.
type bodies struct {
	max    int64 // bytes, after decompression
	budget Budget
	small  sync.Pool // *[]byte of at most smallBody
	large  shelf     // of more, at most keepBody
	gzips  sync.Pool // *gzip.Reader
	zstds  sync.Pool // *zstd.Decoder
}

// body is a request body in memory. Its owner calls close once.
type body struct {
	Bytes  []byte
	from   *bodies
	buffer *[]byte
	taken  int64 // of the budget
	wait   time.Duration
}

// read reads the body of r. It waits for each part of its memory at most so
// long; a client that sends slowly is the business of the server's timeouts.
func (bs *bodies) read(r *http.Request, wait time.Duration) (*body, error) {
	src, done, err := bs.decompress(r)
	if err != nil {
		return nil, err
	}
	defer done()
	size := r.ContentLength // -1 if it is not known
	if src == io.Reader(r.Body) && size > bs.max {
		return nil, tooLarge()
	}
	if src != io.Reader(r.Body) {
		size *= usualRatio
	}
	if size < 0 {
		size = unknownSize
	}
	size = min(size, bs.max)
	b := &body{from: bs, wait: wait, buffer: bs.get(min(size, firstRead))}
	if err := b.fill(r.Context(), src, size); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// fill reads src to its end; size is its length or a guess.
func (b *body) fill(ctx context.Context, src io.Reader, size int64) error {
	buf := (*b.buffer)[:0]
	for {
		// One byte more than there should be shows the end without another
		// round of growing.
		want := min(size, max(firstRead, grantRatio*int64(len(buf)))) + 1
		var err error
		if buf, err = b.grow(ctx, buf, want); err != nil {
			return err
		}
		for len(buf) < cap(buf) {
			n, err := src.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if int64(len(buf)) > b.from.max {
				return tooLarge()
			}
			if err == io.EOF {
				b.Bytes = buf
				return nil
			}
			if err != nil {
				return unreadable(err)
			}
		}
		if full := int64(cap(buf)); full > size {
			size = min(2*full, b.from.max)
		}
	}
}

// grow returns buf with room for at least want bytes.
func (b *body) grow(ctx context.Context, buf []byte, want int64) ([]byte, error) {
	if int64(cap(buf)) >= want {
		return buf, b.take(ctx, int64(cap(buf)))
	}
	next := b.from.get(want - 1)
	if err := b.take(ctx, max(want, int64(cap(*next)))); err != nil {
		b.from.put(next)
		return nil, err
	}
	if int64(cap(*next)) < want {
		*next = make([]byte, 0, want)
	}
	*next = append((*next)[:0], buf...)
	b.from.keep(b.buffer)
	b.buffer = next
	return *next, nil
}

// take raises the body's share of the budget to n bytes.
func (b *body) take(ctx context.Context, n int64) error {
	if n <= b.taken {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	if err := b.from.budget.Acquire(ctx, n-b.taken); err != nil {
		return &Error{Code: Unavailable, Message: "no memory for the body of this request now", Err: err}
	}
	b.taken = n
	return nil
}

// recycle gives the buffer back before the body is closed. The share of the
// budget stays: it stands for the batch now, which is about as large.
func (b *body) recycle() {
	if b.buffer != nil {
		b.from.keep(b.buffer)
	}
	b.buffer, b.Bytes = nil, nil
}

// close gives the body's memory back.
func (b *body) close() {
	b.recycle()
	b.from.budget.Release(b.taken)
	b.taken = 0
}

// get returns a buffer for a body of a size, which may be smaller or empty.
func (bs *bodies) get(size int64) *[]byte {
	if size > smallBody {
		return bs.large.take(size + 1) // as fill wants it
	}
	if buffer, ok := bs.small.Get().(*[]byte); ok {
		return buffer
	}
	return new([]byte)
}

// keep puts a buffer back unless it is too large to be kept.
func (bs *bodies) keep(buffer *[]byte) {
	if cap(*buffer) <= keepBody {
		bs.put(buffer)
	}
}

func (bs *bodies) put(buffer *[]byte) {
	if cap(*buffer) <= smallBody {
		bs.small.Put(buffer)
		return
	}
	bs.large.give(buffer, int(min(keepBodies, bs.max)))
}

// decompress returns a reader of the plain body and a function that gives the
// decoder back. Encodings that are not known are read as they are, as InfluxDB
// does; the parser then finds fault with them.
func (bs *bodies) decompress(r *http.Request) (io.Reader, func(), error) {
	switch r.Header.Get("Content-Encoding") {
	case "gzip", "x-gzip":
		z, _ := bs.gzips.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if err := z.Reset(r.Body); err != nil {
			return nil, nil, unreadable(err)
		}
		return z, func() { bs.gzips.Put(z) }, nil
	case "zstd":
		z, _ := bs.zstds.Get().(*zstd.Decoder)
		if z == nil {
			var err error
			// Concurrency 1 decodes in the caller: no goroutine has to be
			// stopped, so that a pooled decoder may simply be collected.
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(maxZstdWindow))
			if err != nil {
				return nil, nil, fmt.Errorf("make zstd decoder: %w", err)
			}
		}
		if err := z.Reset(r.Body); err != nil {
			return nil, nil, unreadable(err)
		}
		return z, func() { bs.zstds.Put(z) }, nil
	}
	return r.Body, func() {}, nil
}

func tooLarge() *Error {
	return &Error{Code: TooLarge, Message: "unable to read data: " + errBodyTooLarge.Error(), Err: errBodyTooLarge}
}

func unreadable(err error) *Error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// Not Invalid: a writer would throw the points away instead of trying
		// again.
		return &Error{Code: Unavailable, Message: "unable to read data: " + err.Error(), Err: err}
	}
	return &Error{Code: Invalid, Message: "unable to read data: " + err.Error(), Err: err}
}
