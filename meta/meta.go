// Package meta owns what the server knows beside data: organisations,
// buckets, tokens, and the schema, which is the type of every field. The
// records lie in a catalog; all of them are held in memory too, kept fresh by
// watching it, so that a lookup costs a map access and no lock. FORMAT.md has
// the records.
//
// A Store and a Schema are safe for concurrent use. What they return is a
// copy or never changes.
package meta

import "errors"

var (
	// ErrNotFound: there is no such organisation, bucket or token.
	ErrNotFound = errors.New("not found")
	// ErrExists: the name is taken.
	ErrExists = errors.New("already exists")
)

// InvalidError says what is wrong with what a user asked for.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }
