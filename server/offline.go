package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export/stream"
	"github.com/varvedb/varve/meta"
)

// Offline is a data folder that is worked on without a server.
type Offline struct{ s *server }

// HasStore reports why dir is no data folder that a server has made, or nil.
func HasStore(dir string) error {
	_, err := os.Stat(filepath.Join(dir, storeFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no data folder of a varve", dir)
	}
	if err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	return nil
}

// OpenOffline opens a data folder for this process alone. It is made if it is
// not there, with the names of c.
func OpenOffline(ctx context.Context, c Config, out, logs io.Writer) (*Offline, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	s := newServer(c, out, logs)
	if err := s.open(ctx); err != nil {
		// What is open is closed; the first error is the one to tell.
		_ = s.close()
		return nil, err
	}
	return &Offline{s}, nil
}

// Close gives the folder back. What was written is durable.
func (o *Offline) Close() error { return o.s.close() }

// Bucket returns what writes to a bucket of the first organisation, by name
// or id; the empty name is the bucket that the first start made.
func (o *Offline) Bucket(ref string) (*OfflineBucket, error) {
	if ref == "" {
		ref = o.s.init.Bucket.String()
	}
	b, ok := o.s.meta.FindBucket(o.s.init.Org, ref)
	if !ok {
		return nil, fmt.Errorf("there is no bucket %q", ref)
	}
	return &OfflineBucket{o.s, b}, nil
}

// OfflineBucket is a bucket of an Offline. It implements the destination of
// package importer and the source of package export.
type OfflineBucket struct {
	s      *server
	bucket meta.Bucket
}

// Write stores a batch and returns when it is durable.
func (b *OfflineBucket) Write(ctx context.Context, batch *column.Batch) error {
	return b.s.ingest.Write(ctx, b.bucket, batch)
}

// Export gives out with what the bucket holds.
func (b *OfflineBucket) Export(ctx context.Context, r *stream.Request, out stream.Receiver) error {
	return b.s.exporter().Export(ctx, uint64(b.bucket.ID), r, out)
}
