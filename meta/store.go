package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/catalog"
)

// maxAttempts is how often a change is tried that meets another's: more than
// people who edit the same bucket need.
const maxAttempts = 10

// Config says what a Store works with. All of it is needed.
type Config struct {
	Catalog catalog.Catalog
	Now     func() time.Time
	Random  io.Reader // of cryptographic quality: it makes tokens
}

// Validate reports what is missing.
func (c Config) Validate() error {
	if c.Catalog == nil || c.Now == nil || c.Random == nil {
		return errors.New("meta: Catalog, Now and Random are needed")
	}
	return nil
}

// Store holds organisations, buckets and tokens.
type Store struct {
	catalog  catalog.Catalog
	now      func() time.Time
	random   io.Reader
	state    atomic.Pointer[state]
	follower *catalog.Follower
}

// Open loads the store. The catalog stays open when the store is closed.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{catalog: cfg.Catalog, now: cfg.Now, random: cfg.Random}
	var err error
	if s.follower, err = catalog.Follow(ctx, cfg.Catalog, storePrefix, s); err != nil {
		return nil, fmt.Errorf("open meta: %w", err)
	}
	return s, nil
}

// Close stops following the catalog.
func (s *Store) Close() { s.follower.Close() }

// Err tells why what the store returns is not kept fresh any more, nil while
// it is.
func (s *Store) Err() error { return s.follower.Err() }

// commit changes the catalog and returns when lookups know it.
func (s *Store) commit(ctx context.Context, ops ...catalog.Op) error {
	first, err := s.catalog.Commit(ctx, ops...)
	if err != nil {
		return err
	}
	return s.follower.Wait(ctx, first+uint64(len(ops))-1)
}

// retry runs fn again for as long as it meets the change of another.
func (s *Store) retry(ctx context.Context, fn func() error) error {
	var err error
	for range maxAttempts {
		if err = fn(); !errors.Is(err, catalog.ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

// state is all records. It never changes: a change makes another one, which
// costs in the order of the number of buckets, and so keeps lookups free of
// locks at the expense of what people do.
type state struct {
	orgs      map[ID]Org
	orgIDs    map[string]ID
	buckets   map[ID]Bucket
	bucketIDs map[bucketName]ID
	tokens    map[ID]Token
	tokenIDs  map[Hash]ID
}

type bucketName struct {
	org  ID
	name string
}

// Reset implements catalog.View.
func (s *Store) Reset(records []catalog.Record) error {
	d := newDraft(&state{})
	for _, r := range records {
		if err := d.apply(catalog.Change{Record: r}); err != nil {
			return err
		}
	}
	s.state.Store(d.finish())
	return nil
}

// Apply implements catalog.View.
func (s *Store) Apply(changes []catalog.Change) error {
	d := newDraft(s.state.Load())
	for _, ch := range changes {
		if err := d.apply(ch); err != nil {
			return err
		}
	}
	s.state.Store(d.finish())
	return nil
}

func decodeRecord(r catalog.Record, into any) error {
	if err := json.Unmarshal(r.Value, into); err != nil {
		return fmt.Errorf("read catalog record %s: %w", r.Key, err)
	}
	return nil
}

func sortByName[T any](all []T, key func(T) (string, ID)) {
	slices.SortFunc(all, func(a, b T) int {
		an, ai := key(a)
		bn, bi := key(b)
		return cmp.Or(cmp.Compare(an, bn), cmp.Compare(ai, bi))
	})
}
