// Package bolt keeps a catalog in one file of bbolt, for a server on one
// machine. Only server opens it. FORMAT.md has the layout.
//
// A commit is one transaction of bbolt, which syncs the file before it
// returns. A Catalog is safe for concurrent use; the file is locked against
// other processes.
package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/varvedb/varve/catalog"
)

const (
	// keepDeletions is how many deletions a watch can be behind before it has
	// to list everything anew: some hundred kilobytes.
	keepDeletions = 10_000
	// trimSlack is how many more there may be, so that they are not trimmed
	// one by one.
	trimSlack = 1_000
)

// Config says where the catalog is.
type Config struct {
	// Path is the file. Its folder exists.
	Path string
	// LockTimeout is how long to wait for another process to let go of the
	// file; 0 means the default.
	LockTimeout time.Duration
}

// Default returns the configuration for a file.
func Default(path string) Config {
	// A process that is going away has let go of its files by then.
	return Config{Path: path, LockTimeout: 2 * time.Second}
}

// Validate reports what is missing.
func (c Config) Validate() error {
	if c.Path == "" {
		return errors.New("catalog: Path is empty")
	}
	if c.LockTimeout < 0 {
		return fmt.Errorf("catalog: LockTimeout is %v, want 0 or more", c.LockTimeout)
	}
	return nil
}

// Catalog implements catalog.Catalog.
type Catalog struct {
	path string
	db   *bbolt.DB

	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed by the next commit
	closed  chan struct{} // closed by Close

	commit    sync.Mutex // held by Commit; never while taking another
	deletions int        // guarded by commit: entries of bucket deletions
}

var _ catalog.Catalog = (*Catalog)(nil)

// names are the names of buckets and keys in the file.
var names = struct{ varve, records, changes, deletions, format, revision, compacted, magic []byte }{
	[]byte("varve"), []byte("records"), []byte("changes"), []byte("deletions"),
	[]byte("format"), []byte("revision"), []byte("compacted"), []byte("VARVECAT\x01"),
}

// Open opens the catalog in a file, or makes it.
func Open(cfg Config) (*Catalog, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.LockTimeout == 0 {
		cfg.LockTimeout = Default("").LockTimeout
	}
	_, err := os.Stat(cfg.Path)
	made := errors.Is(err, fs.ErrNotExist)
	db, err := bbolt.Open(cfg.Path, 0o600, &bbolt.Options{
		Timeout:      cfg.LockTimeout,
		FreelistType: bbolt.FreelistMapType, // the array is slow once there are many free pages
		NoStatistics: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open catalog %s: another process holds it", cfg.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", cfg.Path, err)
	}
	c := &Catalog{path: cfg.Path, db: db, changed: make(chan struct{}), closed: make(chan struct{})}
	if err := c.prepare(); err != nil {
		db.Close()
		return nil, err
	}
	if made {
		if err := syncDir(filepath.Dir(cfg.Path)); err != nil {
			db.Close()
			return nil, fmt.Errorf("open catalog %s: %w", cfg.Path, err)
		}
	}
	return c, nil
}

// syncDir makes the name of the new file durable. It asks the system itself,
// as bbolt does, and not a vfs: the file is mapped into memory.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// prepare makes the buckets of a new file and checks those of an old one.
func (c *Catalog) prepare() error {
	fresh := false
	err := c.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(names.varve)
		if b == nil {
			if k, _ := tx.Cursor().First(); k != nil {
				return fmt.Errorf("open catalog %s: the file is of another program", c.path)
			}
			fresh = true
			return nil
		}
		if f := b.Get(names.format); !bytes.Equal(f, names.magic) {
			return fmt.Errorf("open catalog %s: format %q is unknown, want %q", c.path, f, names.magic)
		}
		for _, name := range [][]byte{names.records, names.changes, names.deletions} {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("open catalog %s: bucket %q is missing", c.path, name)
			}
		}
		c.deletions = tx.Bucket(names.deletions).Stats().KeyN
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	err = c.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{names.varve, names.records, names.changes, names.deletions} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(names.varve).Put(names.format, names.magic)
	})
	if err != nil {
		return fmt.Errorf("make catalog %s: %w", c.path, err)
	}
	return nil
}

// Get implements catalog.Catalog.
func (c *Catalog) Get(ctx context.Context, key string) (catalog.Record, error) {
	var r catalog.Record
	err := c.view(ctx, func(tx *bbolt.Tx) error {
		v := tx.Bucket(names.records).Get([]byte(key))
		if v == nil {
			return fmt.Errorf("catalog record %s: %w", key, catalog.ErrNotFound)
		}
		var err error
		r, err = c.record([]byte(key), v)
		return err
	})
	return r, err
}

// List implements catalog.Catalog.
func (c *Catalog) List(ctx context.Context, prefix string) ([]catalog.Record, uint64, error) {
	var all []catalog.Record
	var revision uint64
	err := c.view(ctx, func(tx *bbolt.Tx) error {
		revision = number(tx.Bucket(names.varve).Get(names.revision))
		p := []byte(prefix)
		cur := tx.Bucket(names.records).Cursor()
		for k, v := cur.Seek(p); k != nil && bytes.HasPrefix(k, p); k, v = cur.Next() {
			r, err := c.record(k, v)
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		return nil
	})
	return all, revision, err
}

// Commit implements catalog.Catalog.
func (c *Catalog) Commit(ctx context.Context, ops ...catalog.Op) (uint64, error) {
	if err := catalog.CheckOps(ops); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	first, err := c.commitOps(ops)
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return 0, catalog.ErrClosed
	case errors.Is(err, catalog.ErrConflict):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("commit to catalog %s: %w", c.path, err)
	}
	c.mu.Lock()
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	return first, nil
}

func (c *Catalog) commitOps(ops []catalog.Op) (first uint64, err error) {
	c.commit.Lock()
	defer c.commit.Unlock()
	deletions := c.deletions
	err = c.db.Update(func(tx *bbolt.Tx) error {
		w := writer{c: c, records: tx.Bucket(names.records),
			changes: tx.Bucket(names.changes), deletions: tx.Bucket(names.deletions)}

		// Check every version before anything changes.
		for i := range ops {
			if err := w.check(&ops[i]); err != nil {
				return err
			}
		}

		// Give out the revisions and make the changes.
		root := tx.Bucket(names.varve)
		revision := number(root.Get(names.revision))
		first = revision + 1
		for i := range ops {
			revision++
			if err := w.apply(&ops[i], revision); err != nil {
				return err
			}
		}
		if err := root.Put(names.revision, u64(revision)); err != nil {
			return err
		}

		// Forget the oldest deletions once there are too many.
		if w.deleted += c.deletions; w.deleted > keepDeletions+trimSlack {
			if err := w.trim(root); err != nil {
				return err
			}
		}
		deletions = w.deleted
		return nil
	})
	if err == nil {
		c.deletions = deletions
	}
	return first, err
}

// writer is one write transaction.
type writer struct {
	c                           *Catalog
	records, changes, deletions *bbolt.Bucket
	deleted                     int
}

func (w *writer) check(op *catalog.Op) error {
	var have uint64
	if v := w.records.Get([]byte(op.Key)); v != nil {
		r, err := w.c.record([]byte(op.Key), v)
		if err != nil {
			return err
		}
		have = r.Version
	}
	if have != op.Version {
		return fmt.Errorf("catalog record %s has version %d, expected %d: %w", op.Key, have, op.Version, catalog.ErrConflict)
	}
	return nil
}

func (w *writer) apply(op *catalog.Op, revision uint64) error {
	key := []byte(op.Key)
	if op.Version != 0 {
		if err := w.changes.Delete(u64(op.Version)); err != nil {
			return err
		}
	}
	if op.Delete {
		w.deleted++
		if err := w.deletions.Put(u64(revision), key); err != nil {
			return err
		}
		return w.records.Delete(key)
	}
	if err := w.changes.Put(u64(revision), key); err != nil {
		return err
	}
	return w.records.Put(key, appendRecord(nil, op.Key, revision, op.Value))
}

func (w *writer) trim(root *bbolt.Bucket) error {
	var old [][]byte
	cur := w.deletions.Cursor()
	for k, _ := cur.First(); k != nil && w.deleted-len(old) > keepDeletions; k, _ = cur.Next() {
		old = append(old, bytes.Clone(k))
	}
	for _, k := range old {
		if err := w.deletions.Delete(k); err != nil {
			return err
		}
	}
	w.deleted -= len(old)
	return root.Put(names.compacted, old[len(old)-1])
}

// Watch implements catalog.Catalog.
func (c *Catalog) Watch(ctx context.Context, prefix string, since uint64) iter.Seq2[[]catalog.Change, error] {
	return func(yield func([]catalog.Change, error) bool) {
		for {
			c.mu.Lock()
			changed := c.changed // taken before reading, so that no commit is missed
			c.mu.Unlock()
			changes, upTo, err := c.changesSince(ctx, prefix, since)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(changes) > 0 && !yield(changes, nil) {
				return
			}
			since = upTo
			select {
			case <-changed:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			case <-c.closed:
				yield(nil, catalog.ErrClosed)
				return
			}
		}
	}
}

// changesSince returns the changes after since and the revision of the
// catalog.
func (c *Catalog) changesSince(ctx context.Context, prefix string, since uint64) (changes []catalog.Change, upTo uint64, err error) {
	err = c.view(ctx, func(tx *bbolt.Tx) error {
		root := tx.Bucket(names.varve)
		if since < number(root.Get(names.compacted)) {
			return fmt.Errorf("watch catalog from revision %d: %w", since, catalog.ErrCompacted)
		}
		upTo = number(root.Get(names.revision))
		records := tx.Bucket(names.records)
		sets, deletes := tx.Bucket(names.changes).Cursor(), tx.Bucket(names.deletions).Cursor()
		from := u64(since + 1)
		setAt, setKey := sets.Seek(from)
		delAt, delKey := deletes.Seek(from)
		for setAt != nil || delAt != nil {
			ch := catalog.Change{}
			if delAt == nil || setAt != nil && bytes.Compare(setAt, delAt) < 0 {
				if bytes.HasPrefix(setKey, []byte(prefix)) {
					v := records.Get(setKey)
					if v == nil {
						return fmt.Errorf("catalog %s: change %d is of %q, which does not exist", c.path, number(setAt), setKey)
					}
					if ch.Record, err = c.record(setKey, v); err != nil {
						return err
					}
				}
				setAt, setKey = sets.Next()
			} else {
				if bytes.HasPrefix(delKey, []byte(prefix)) {
					ch = catalog.Change{Record: catalog.Record{Key: string(delKey), Version: number(delAt)}, Deleted: true}
				}
				delAt, delKey = deletes.Next()
			}
			if ch.Key != "" {
				changes = append(changes, ch)
			}
		}
		return nil
	})
	return changes, upTo, err
}

// Check walks the whole file: the pages of bbolt, and the invariants of
// FORMAT.md. It reports each thing that is wrong to found.
func (c *Catalog) Check(ctx context.Context, found func(error)) error {
	return c.view(ctx, func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			found(fmt.Errorf("catalog %s: %w", c.path, err))
		}
		revision := number(tx.Bucket(names.varve).Get(names.revision))
		changes, records, deletions := tx.Bucket(names.changes), tx.Bucket(names.records), tx.Bucket(names.deletions)
		n := 0
		err := records.ForEach(func(k, v []byte) error {
			n++
			r, err := c.record(k, v)
			switch {
			case err != nil:
				found(err)
			case !bytes.Equal(changes.Get(u64(r.Version)), k):
				found(fmt.Errorf("catalog %s: record %q of version %d has no change", c.path, k, r.Version))
			case r.Version > revision:
				found(fmt.Errorf("catalog %s: record %q has version %d, above revision %d", c.path, k, r.Version, revision))
			}
			return nil
		})
		if err != nil {
			return err
		}
		if have := changes.Stats().KeyN; have != n {
			found(fmt.Errorf("catalog %s: %d changes for %d records", c.path, have, n))
		}
		return deletions.ForEach(func(k, _ []byte) error {
			if number(k) > revision || changes.Get(k) != nil {
				found(fmt.Errorf("catalog %s: deletion %d is above revision %d or a change too", c.path, number(k), revision))
			}
			return nil
		})
	})
}

// Close implements catalog.Catalog.
func (c *Catalog) Close() error {
	c.mu.Lock()
	select {
	case <-c.closed:
		c.mu.Unlock()
		return nil
	default:
		close(c.closed)
	}
	c.mu.Unlock()
	if err := c.db.Close(); err != nil {
		return fmt.Errorf("close catalog %s: %w", c.path, err)
	}
	return nil
}

func (c *Catalog) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.db.View(fn)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return catalog.ErrClosed
	}
	return err
}

// record makes a record of an entry of bucket records; it copies.
func (c *Catalog) record(key, b []byte) (catalog.Record, error) {
	version, value, err := decodeRecord(key, b)
	if err != nil {
		return catalog.Record{}, fmt.Errorf("catalog %s: record %q: %w", c.path, key, err)
	}
	return catalog.Record{Key: string(key), Value: bytes.Clone(value), Version: version}, nil
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
