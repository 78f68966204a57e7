package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/catalog"
)

// maxAttempts is how often a change is tried that meets another's: more than
// people who edit the same bucket need.
const maxAttempts = 10

// hashers is how many passwords are hashed at a time: two take 38 MiB, and
// leave a machine of more processors to those who ask for data.
const hashers = 2

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

// Store holds all objects: organisations, buckets, tokens and what else people
// manage.
type Store struct {
	catalog  catalog.Catalog
	now      func() time.Time
	random   io.Reader
	state    atomic.Pointer[state]
	follower *catalog.Follower
	hashing  hashing
	turn     chan struct{} // is full while something is changed: see retry
	proven   *proven

	sets       []anySet // of all kinds, in the order of state.tables
	OrgSet     *Set[Org, *Org]
	BucketSet  *Set[Bucket, *Bucket]
	TokenSet   *Set[Token, *Token]
	Users      *Set[User, *User]
	Logins     *Set[Login, *Login]
	Sessions   *Set[Session, *Session]
	Links      *Set[Link, *Link]
	Labels     *Set[Label, *Label]
	Variables  *Set[Variable, *Variable]
	Databases  *Set[Database, *Database]
	Collectors *Set[Collector, *Collector]
	Secrets    *Set[Secret, *Secret]
}

// Open loads the store. The catalog stays open when the store is closed.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{catalog: cfg.Catalog, now: cfg.Now, random: cfg.Random, hashing: make(hashing, hashers), turn: make(chan struct{}, 1), proven: &proven{all: map[Hash]struct{}{}}}
	s.OrgSet = newSet[Org](s, "org", "organization", true)
	s.BucketSet = newSet[Bucket](s, "bucket", "bucket", true)
	s.TokenSet = newSet[Token](s, "token", "token", false)
	s.Users = newSet[User](s, "user", "user", true)
	s.Sessions = newSet[Session](s, "session", "session", false)
	s.Links = newSet[Link](s, "link", "link", true)
	s.Labels = newSet[Label](s, "label", "label", true)
	s.Variables = newSet[Variable](s, "variable", "variable", true)
	s.Databases = newSet[Database](s, "database", "dbrp mapping", true)
	s.Collectors = newSet[Collector](s, "collector", "telegraf configuration", false)
	s.Secrets = newSet[Secret](s, "secret", "secret", true)
	s.Logins = newSet[Login](s, "login", "authorization", true)
	if _, err := io.ReadFull(cfg.Random, s.proven.key[:]); err != nil {
		return nil, fmt.Errorf("open meta: %w", err)
	}
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

// commit changes the catalog, with the record of what happened, and returns
// when lookups know it.
func (s *Store) commit(ctx context.Context, e Event, ops ...catalog.Op) error {
	noted, err := s.entry(ctx, e)
	if err != nil {
		return err
	}
	ops = append([]catalog.Op{noted}, ops...)
	first, err := s.catalog.Commit(ctx, ops...)
	if err != nil {
		return err
	}
	return s.follower.Wait(ctx, first+uint64(len(ops))-1)
}

// retry runs fn again for as long as it meets the change of another. Those of
// this process take turns, so that many at once are all made.
func (s *Store) retry(ctx context.Context, fn func() error) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
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

// state is all objects. It never changes: a change makes another one, which
// costs in the order of the number of objects of that kind, and so keeps lookups
// free of locks at the expense of what people do.
type state struct {
	tables []any // *table of each set
}

// Reset implements catalog.View.
func (s *Store) Reset(records []catalog.Record) error {
	changes := make([]catalog.Change, len(records))
	for i, r := range records {
		changes[i] = catalog.Change{Record: r}
	}
	next := &state{}
	for _, set := range s.sets {
		next.tables = append(next.tables, set.empty())
	}
	return s.become(next, changes)
}

// Apply implements catalog.View.
func (s *Store) Apply(changes []catalog.Change) error {
	return s.become(&state{slices.Clone(s.state.Load().tables)}, changes)
}

// become makes next, with changes, the state. Names, which their owners carry
// too, and kinds of later versions are left out.
func (s *Store) become(next *state, changes []catalog.Change) error {
	for i, set := range s.sets {
		var own []catalog.Change
		for _, ch := range changes {
			if strings.HasPrefix(ch.Key, set.prefix()) {
				own = append(own, ch)
			}
		}
		if len(own) == 0 {
			continue
		}
		var err error
		if next.tables[i], err = set.apply(next.tables[i], own); err != nil {
			return err
		}
	}
	s.state.Store(next)
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
