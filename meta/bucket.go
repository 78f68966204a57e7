package meta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/varvedb/varve/catalog"
)

// Level says how hard the segments of a bucket are compressed.
type Level string

// The levels, by rising effort.
const (
	LevelNone     Level = "none"
	LevelFast     Level = "fast"
	LevelBalanced Level = "balanced" // of a bucket that names none
	LevelBest     Level = "best"
)

// Bucket is where points go. Its ID never changes; a bucket that is made
// under the name of a deleted one has another.
type Bucket struct {
	ID              ID            `json:"id"`
	OrgID           ID            `json:"org"`
	Name            string        `json:"name"`
	Description     string        `json:"description,omitempty"`
	Retention       time.Duration `json:"retention,omitempty"`       // age at which points go; 0 = never
	PartitionLength time.Duration `json:"partitionLength,omitempty"` // 0 = derived from Retention
	Level           Level         `json:"level,omitempty"`           // empty = LevelBalanced
	Created         time.Time     `json:"created"`
	Updated         time.Time     `json:"updated,omitzero"` // when its settings changed last
	// Floor is the oldest time that an earlier, shorter retention left, in
	// nanoseconds since 1970; 0 = none. It only rises: what has been hidden as
	// too old stays so, whether it was removed by then or not.
	Floor int64 `json:"floor,omitempty"`
}

// Horizon returns the oldest time that the bucket keeps, in nanoseconds since
// 1970: math.MinInt64 if it keeps everything.
func (b *Bucket) Horizon(now time.Time) int64 {
	h := int64(math.MinInt64)
	if b.Floor != 0 {
		h = b.Floor
	}
	if at := now.UnixNano(); b.Retention > 0 && at > math.MinInt64+int64(b.Retention) {
		h = max(h, at-int64(b.Retention))
	}
	return h
}

const (
	day = 24 * time.Hour
	// minPartition keeps the number of partitions, each with files of its
	// own, within reason.
	minPartition = time.Minute
	// maxNameBytes is what fits on a screen; names are for people.
	maxNameBytes = 1024
)

// Partition returns the length of new partitions: that which was asked for,
// or one of which some tens to some hundreds make up the retention.
func (b *Bucket) Partition() time.Duration {
	switch {
	case b.PartitionLength > 0:
		return b.PartitionLength
	case b.Retention > 0 && b.Retention < 2*day:
		return time.Hour
	case b.Retention > 0 && b.Retention <= 183*day:
		return day
	}
	return 7 * day
}

// Compression returns the level in force.
func (b *Bucket) Compression() Level {
	if b.Level == "" {
		return LevelBalanced
	}
	return b.Level
}

// validate checks what a user can set.
func (b *Bucket) validate() error {
	if err := checkName("bucket", b.Name); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(b.Name, "_"):
		// As in InfluxDB, where they are the system's own.
		return &InvalidError{fmt.Sprintf("bucket name %s is invalid. Buckets may not start with underscore", b.Name)}
	case len(b.Description) > maxNameBytes || !utf8.ValidString(b.Description):
		return &InvalidError{fmt.Sprintf("description of bucket %q is longer than %d bytes or not UTF-8", b.Name, maxNameBytes)}
	case b.Retention < 0:
		return &InvalidError{fmt.Sprintf("retention of bucket %q is %v: want 0 (for ever) or more", b.Name, b.Retention)}
	case b.PartitionLength != 0 && b.PartitionLength < minPartition:
		return &InvalidError{fmt.Sprintf("partition length of bucket %q is %v: want 0 (derived) or at least %v", b.Name, b.PartitionLength, minPartition)}
	}
	switch b.Level {
	case "", LevelNone, LevelFast, LevelBalanced, LevelBest:
		return nil
	}
	return &InvalidError{fmt.Sprintf("level of bucket %q is %q: want none, fast, balanced or best", b.Name, b.Level)}
}

func checkName(what, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return &InvalidError{what + " name is empty"}
	case len(name) > maxNameBytes:
		return &InvalidError{fmt.Sprintf("%s name has %d bytes: at most %d", what, len(name), maxNameBytes)}
	case !utf8.ValidString(name):
		return &InvalidError{fmt.Sprintf("%s name %q is not UTF-8", what, name)}
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return &InvalidError{fmt.Sprintf("%s name %q holds a control character", what, name)}
	case strings.Contains(name, `"`):
		// As InfluxDB refuses it: the query languages could not name it.
		return &InvalidError{fmt.Sprintf("%s name %s is invalid: names may not include quotation marks", what, name)}
	}
	return nil
}

// Bucket returns the bucket of an id.
func (s *Store) Bucket(id ID) (Bucket, bool) {
	b, ok := s.state.Load().buckets[id]
	return b, ok
}

// FindBucket returns the bucket of an organisation that ref means: its id or,
// if there is none of that id, its name.
func (s *Store) FindBucket(org ID, ref string) (Bucket, bool) {
	st := s.state.Load()
	if id, err := ParseID(ref); err == nil {
		if b, ok := st.buckets[id]; ok && b.OrgID == org {
			return b, true
		}
	}
	id, ok := st.bucketIDs[bucketName{org, ref}]
	if !ok {
		return Bucket{}, false
	}
	return st.buckets[id], true
}

// Buckets returns the buckets of an organisation, or of all if org is zero,
// by name.
func (s *Store) Buckets(org ID) []Bucket {
	var all []Bucket
	for _, b := range s.state.Load().buckets {
		if org == 0 || b.OrgID == org {
			all = append(all, b)
		}
	}
	sortByName(all, func(b Bucket) (string, ID) { return b.Name, b.ID })
	return all
}

// CreateBucket makes a bucket with the organisation, name and settings of b,
// and returns it with the rest filled in.
func (s *Store) CreateBucket(ctx context.Context, b Bucket) (Bucket, error) {
	if err := b.validate(); err != nil {
		return Bucket{}, err
	}
	if _, ok := s.Org(b.OrgID); !ok {
		return Bucket{}, fmt.Errorf("organization %s: %w", b.OrgID, ErrNotFound)
	}
	var err error
	if b.ID, err = newID(s.random); err != nil {
		return Bucket{}, err
	}
	b.Created = s.now().UTC()
	b.Updated = b.Created
	ops, err := bucketOps(b)
	if err != nil {
		return Bucket{}, err
	}
	err = s.commit(ctx, ops...)
	if errors.Is(err, catalog.ErrConflict) {
		return Bucket{}, fmt.Errorf("bucket with name %s %w", b.Name, ErrExists)
	}
	return b, err
}

// bucketOps make a bucket.
func bucketOps(b Bucket) ([]catalog.Op, error) {
	v, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode bucket %s: %w", b.ID, err)
	}
	return []catalog.Op{
		{Key: bucketPrefix + b.ID.String(), Value: v},
		{Key: bucketNameKey(b.OrgID, b.Name), Value: []byte(b.ID.String())},
	}, nil
}

// UpdateBucket lets change set name, description, retention, partition length
// and level of a bucket. It may be called more than once, if another changes the bucket at
// the same time.
func (s *Store) UpdateBucket(ctx context.Context, id ID, change func(*Bucket)) (Bucket, error) {
	var after Bucket
	err := s.retry(ctx, func() error {
		before, version, err := s.readBucket(ctx, id)
		if err != nil {
			return err
		}
		after = before
		change(&after)
		after.ID, after.OrgID, after.Created, after.Floor = before.ID, before.OrgID, before.Created, before.Floor
		after.Updated = s.now().UTC()
		if before.Retention > 0 && (after.Retention == 0 || after.Retention > before.Retention) {
			after.Floor = before.Horizon(s.now())
		}
		if err := after.validate(); err != nil {
			return err
		}
		ops, err := bucketOps(after)
		if err != nil {
			return err
		}
		ops[0].Version = version
		if after.Name == before.Name {
			return s.commit(ctx, ops[0])
		}
		if _, err := s.catalog.Get(ctx, ops[1].Key); err == nil {
			return fmt.Errorf("bucket with name %s %w", after.Name, ErrExists)
		}
		old, err := s.catalog.Get(ctx, bucketNameKey(before.OrgID, before.Name))
		if err != nil {
			return renamed(err)
		}
		return s.commit(ctx, append(ops, catalog.Op{Key: old.Key, Version: old.Version, Delete: true})...)
	})
	return after, err
}

// DeleteBucket deletes a bucket and returns what it was. Its data and schema
// are for the engine to remove: nothing new will ever have its id.
func (s *Store) DeleteBucket(ctx context.Context, id ID) (Bucket, error) {
	var b Bucket
	err := s.retry(ctx, func() error {
		var version uint64
		var err error
		if b, version, err = s.readBucket(ctx, id); err != nil {
			return err
		}
		name, err := s.catalog.Get(ctx, bucketNameKey(b.OrgID, b.Name))
		if err != nil {
			return renamed(err)
		}
		return s.commit(ctx, catalog.Op{Key: bucketPrefix + id.String(), Version: version, Delete: true},
			catalog.Op{Key: name.Key, Version: name.Version, Delete: true})
	})
	return b, err
}

// renamed makes a conflict of a name that went after its bucket was read.
func renamed(err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return catalog.ErrConflict
	}
	return err
}

// readBucket reads from the catalog, with the version that a change needs.
func (s *Store) readBucket(ctx context.Context, id ID) (Bucket, uint64, error) {
	var b Bucket
	r, err := s.catalog.Get(ctx, bucketPrefix+id.String())
	if errors.Is(err, catalog.ErrNotFound) {
		return b, 0, fmt.Errorf("bucket %s: %w", id, ErrNotFound)
	}
	if err == nil {
		err = decodeRecord(r, &b)
	}
	return b, r.Version, err
}
