package meta

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
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
	case b.Retention < 0:
		return &InvalidError{fmt.Sprintf("retention of bucket %q is %v: want 0 (for ever) or more", b.Name, b.Retention)}
	case b.PartitionLength != 0 && b.PartitionLength < minPartition:
		return &InvalidError{fmt.Sprintf("partition length of bucket %q is %v: want 0 (derived) or at least %v", b.Name, b.PartitionLength, minPartition)}
	}
	if err := checkDescription("bucket", b.Name, b.Description); err != nil {
		return err
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
	case strings.ContainsFunc(name, misleads):
		return &InvalidError{fmt.Sprintf("%s name %q holds a control character", what, name)}
	case strings.Contains(name, `"`):
		// As InfluxDB refuses it: the query languages could not name it.
		return &InvalidError{fmt.Sprintf("%s name %s is invalid: names may not include quotation marks", what, name)}
	}
	return nil
}

// misleads reports whether a character is one that terminals obey, or that
// makes a name look like another: controls, ends of lines and paragraphs, and
// what turns the direction of text.
func misleads(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func (b *Bucket) head() head    { return head{&b.ID, &b.OrgID, &b.Created, &b.Updated} }
func (b *Bucket) key() name     { return name{b.OrgID, b.Name} }
func (b *Bucket) title() string { return b.Name }
func (b *Bucket) refs() []ID    { return []ID{b.OrgID} }

// changed raises the floor to what a shorter retention has left.
func (b *Bucket) changed(before *Bucket, now time.Time) {
	b.Floor = before.Floor
	if before.Retention > 0 && (b.Retention == 0 || b.Retention > before.Retention) {
		b.Floor = before.Horizon(now)
	}
}

// Bucket returns the bucket of an id.
func (s *Store) Bucket(id ID) (Bucket, bool) { return s.BucketSet.Get(id) }

// FindBucket returns the bucket of an organisation that ref means: its id or,
// if there is none of that id, its name.
func (s *Store) FindBucket(org ID, ref string) (Bucket, bool) {
	if org == 0 {
		return Bucket{}, false
	}
	return s.BucketSet.Find(org, ref)
}

// Buckets returns the buckets of an organisation, or of all if org is zero,
// by name.
func (s *Store) Buckets(org ID) []Bucket {
	all := slices.DeleteFunc(s.BucketSet.All(), func(b Bucket) bool { return org != 0 && b.OrgID != org })
	sortByName(all, func(b Bucket) (string, ID) { return b.Name, b.ID })
	return all
}

// CreateBucket makes a bucket with the organisation, name and settings of b,
// and returns it with the rest filled in.
func (s *Store) CreateBucket(ctx context.Context, b Bucket) (Bucket, error) {
	b.Floor = 0
	return s.BucketSet.Create(ctx, b)
}

// UpdateBucket lets change set name, description, retention, partition length
// and level of a bucket. It may be called more than once, if another changes the bucket at
// the same time.
func (s *Store) UpdateBucket(ctx context.Context, id ID, change func(*Bucket)) (Bucket, error) {
	return s.BucketSet.Update(ctx, id, func(b *Bucket) error {
		change(b)
		return nil
	})
}

// DeleteBucket deletes a bucket and returns what it was. Its data and schema
// are for the engine to remove: nothing new will ever have its id.
func (s *Store) DeleteBucket(ctx context.Context, id ID) (Bucket, error) {
	return s.BucketSet.Delete(ctx, id)
}
