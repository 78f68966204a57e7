package httpapi

import (
	"context"
	"sync"
	"time"
)

// pooled is a decoder that is used for one body after the other.
type pooled interface {
	// MemoryBytes is what it holds between two bodies.
	MemoryBytes() int
}

// decoders bounds how many bodies are decoded and stored at a time, and keeps
// decoders for the next ones. The one that was used last is taken first, so
// that few writers warm up few decoders and the others are never made.
type decoders[D pooled] struct {
	make func() D
	keep int           // bytes that idle decoders may hold together
	wait time.Duration // for a place

	places chan struct{} // one is in it for each decoder in use, of any kind

	mu   sync.Mutex // guards what follows
	idle []D
	kept int // bytes that idle holds
}

// take returns a decoder when there is a place for one.
func (ds *decoders[D]) take(ctx context.Context) (d D, err error) {
	select {
	case ds.places <- struct{}{}:
	default:
		if err := ds.queue(ctx); err != nil {
			return d, err
		}
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if n := len(ds.idle); n > 0 {
		d = ds.idle[n-1]
		ds.idle = ds.idle[:n-1]
		ds.kept -= d.MemoryBytes()
		return d, nil
	}
	return ds.make(), nil
}

// queue waits for a place.
func (ds *decoders[D]) queue(ctx context.Context) error {
	timeout := time.NewTimer(ds.wait)
	defer timeout.Stop()
	select {
	case ds.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return &Error{Code: Unavailable, Message: "too many writes at once"}
	}
}

// give returns a decoder. One that panicked, which may be in any state, is not
// kept, nor one for which there is no room.
func (ds *decoders[D]) give(d D, sound bool) {
	ds.mu.Lock()
	if n := d.MemoryBytes(); sound && ds.kept+n <= ds.keep {
		ds.idle = append(ds.idle, d)
		ds.kept += n
	}
	ds.mu.Unlock()
	<-ds.places
}

// smallText is the largest body that takes a small decoder: some twenty points
// of a machine.
const smallText = 4 << 10

// smallDecoderBytes is what a small decoder keeps, so that hundreds of them, all
// waiting for the disk, are no burden.
const smallDecoderBytes = 64 << 10

// sizedDecoders has decoders for small bodies and for others. Single points
// spend their time waiting for the disk, and share an fsync only if many are
// under way; that many decoders that know a fleet would not fit into memory.
type sizedDecoders[D pooled] struct {
	small, large *decoders[D]
}

// newDecoders returns decoders of one kind, which may keep so many bytes together
// while they wait; the places are shared with other kinds.
func newDecoders[D pooled](one func(keep int) D, keep int, wait time.Duration, large, small chan struct{}) *sizedDecoders[D] {
	return &sizedDecoders[D]{
		small: &decoders[D]{make: func() D { return one(smallDecoderBytes) }, keep: keep / 4, wait: wait, places: small},
		large: &decoders[D]{make: func() D { return one(0) }, keep: keep / 4 * 3, wait: wait, places: large},
	}
}

// of returns those for a body of n bytes.
func (ds *sizedDecoders[D]) of(n int) *decoders[D] {
	if n <= smallText {
		return ds.small
	}
	return ds.large
}
