// Package catalog is the seam behind which the small, precious records live:
// organisations, buckets, tokens, schemas. It owns the contract, its errors
// and Follower, which keeps a copy in memory; implementations are in the
// folders below and pass the suite of catalogtest.
//
// A catalog has one revision, a number that rises with every change of a
// record and is never used twice. The version of a record is the revision of
// its last change, so a record that was deleted and made anew never has a
// version that it had before. A change is durable when Commit returns.
//
// A Catalog is safe for concurrent use.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

var (
	// ErrNotFound: there is no record of that key.
	ErrNotFound = errors.New("not found")
	// ErrConflict: a record has another version than the caller expected.
	ErrConflict = errors.New("changed by another")
	// ErrCompacted: deletions after the revision have been forgotten, so the
	// changes since then cannot be told. List tells the state instead.
	ErrCompacted = errors.New("revision is too old")
	// ErrClosed: the catalog was closed.
	ErrClosed = errors.New("catalog is closed")
)

const (
	// MaxKeyBytes leaves room for a prefix of the implementation within the
	// 4096 bytes that NATS allows for a subject and its protocol line.
	MaxKeyBytes = 3072
	// MaxValueBytes is the largest message of NATS by default, less its
	// headers.
	MaxValueBytes = 1<<20 - 1<<10
	// MaxOps bounds a Commit, so that it stays within a transaction that any
	// implementation can hold in memory.
	MaxOps = 10_000
)

// Record is a key with its value. The value belongs to the receiver.
type Record struct {
	Key     string
	Value   []byte
	Version uint64
}

// Op is one step of a Commit: it sets the value of Key or deletes it,
// provided that the record has Version now. Version 0 means that there must
// be no record, which makes no sense for a deletion.
type Op struct {
	Key     string
	Value   []byte
	Version uint64
	Delete  bool
}

// Change tells that a record was set, or deleted (then without a value), by
// the change that made Record.Version.
type Change struct {
	Record
	Deleted bool
}

// Catalog is the seam.
type Catalog interface {
	// Get returns a record or ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)

	// List returns the records whose key begins with prefix in ascending
	// order, as they were at the revision that it returns.
	List(ctx context.Context, prefix string) ([]Record, uint64, error)

	// Commit does all of ops or, if one of them meets another version than it
	// expects, none, and returns ErrConflict. Op i gives its record the
	// version first+i, and readers see all of them or none. A key may stand
	// in ops once.
	Commit(ctx context.Context, ops ...Op) (first uint64, err error)

	// Watch yields the changes after revision since of keys that begin with
	// prefix, ascending by version, and then waits for more, until ctx ends
	// or the loop is left. It tells the last change of each key; those before
	// it may be left out. What one Commit did comes in one piece. The last
	// step has an error: that of ctx, ErrCompacted, ErrClosed, or of the
	// store.
	Watch(ctx context.Context, prefix string, since uint64) iter.Seq2[[]Change, error]

	// Close ends all watches. The catalog must not be used any more.
	Close() error
}

// Put sets one record that has the version now (0: there must be none), and
// returns its new version.
func Put(ctx context.Context, c Catalog, key string, value []byte, version uint64) (uint64, error) {
	return c.Commit(ctx, Op{Key: key, Value: value, Version: version})
}

// Delete deletes one record that has the version now, and returns the
// revision of the deletion.
func Delete(ctx context.Context, c Catalog, key string, version uint64) (uint64, error) {
	return c.Commit(ctx, Op{Key: key, Version: version, Delete: true})
}

// CheckKey reports why key is not one that every implementation can hold.
// Parts are separated by slashes and consist of letters, digits, '-', '_',
// '=' and '.'.
func CheckKey(key string) error {
	if key == "" {
		return errors.New("catalog key is empty")
	}
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("catalog key of %d bytes: at most %d", len(key), MaxKeyBytes)
	}
	for i := 0; i < len(key); i++ {
		if !keyByte(key[i]) {
			return fmt.Errorf("catalog key %q: byte %d is not allowed", key, i)
		}
	}
	return nil
}

func keyByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '/' || c == '-' || c == '_' || c == '=' || c == '.'
}

// CheckOps reports what is wrong with the arguments of a Commit, whatever the
// catalog holds.
func CheckOps(ops []Op) error {
	if len(ops) == 0 {
		return errors.New("commit without operations")
	}
	if len(ops) > MaxOps {
		return fmt.Errorf("commit of %d operations: at most %d", len(ops), MaxOps)
	}
	seen := make(map[string]struct{}, len(ops))
	for i := range ops {
		op := &ops[i]
		if err := CheckKey(op.Key); err != nil {
			return err
		}
		if len(op.Value) > MaxValueBytes {
			return fmt.Errorf("catalog value of %d bytes for %q: at most %d", len(op.Value), op.Key, MaxValueBytes)
		}
		if op.Delete && op.Version == 0 {
			return fmt.Errorf("delete %q from the catalog: version 0 means that there is no record", op.Key)
		}
		if _, ok := seen[op.Key]; ok {
			return fmt.Errorf("commit changes %q twice", op.Key)
		}
		seen[op.Key] = struct{}{}
	}
	return nil
}
