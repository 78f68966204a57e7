package meta

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"
)

// secretBytes is the randomness of a token: 256 bits, so that one round of
// SHA-256 without salt is all that its hash needs.
const secretBytes = 32

// Hash is the SHA-256 of a secret of 256 random bits, which is kept nowhere.
type Hash [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(h) {
		return fmt.Errorf("hash has %d digits, want %d", len(b), hex.EncodedLen(len(h)))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// Status says whether an object is in force; empty is active.
type Status string

// The states.
const (
	Active   Status = "active"
	Inactive Status = "inactive"
)

func (s Status) check(what string) error {
	switch s {
	case "", Active, Inactive:
		return nil
	}
	return &InvalidError{fmt.Sprintf("status of %s is %q: want active or inactive", what, s)}
}

// Token allows who presents its secret to do things in one organisation.
type Token struct {
	ID            ID           `json:"id"`
	OrgID         ID           `json:"org"`
	UserID        ID           `json:"user,omitempty"` // for whom it was made; it goes with them
	Description   string       `json:"description,omitempty"`
	Status        Status       `json:"status,omitempty"`
	Hash          Hash         `json:"hash"`
	All           bool         `json:"all,omitempty"` // everything in every organisation
	Permissions   []Permission `json:"permissions,omitempty"`
	DefaultBucket ID           `json:"defaultBucket,omitempty"` // what a request without a bucket means
	Created       time.Time    `json:"created"`
	Updated       time.Time    `json:"updated,omitzero"`
}

func (t *Token) head() head    { return head{&t.ID, &t.OrgID, &t.Created, &t.Updated} }
func (t *Token) key() name     { return name{text: string(t.Hash[:])} }
func (t *Token) title() string { return t.Description }
func (t *Token) refs() []ID    { return []ID{t.OrgID, t.UserID} }

func (t *Token) validate() error {
	if err := checkDescription("token", t.Description, t.Description); err != nil {
		return err
	}
	if err := t.Status.check("a token"); err != nil {
		return err
	}
	return checkPermissions(t.Permissions)
}

// May reports whether t allows an action on a resource of an organisation;
// org is zero for what belongs to none, id for all of the kind.
func (t *Token) May(a Action, k Resource, org, id ID) bool {
	return t.All || slices.ContainsFunc(t.Permissions, func(p Permission) bool { return p.covers(t.OrgID, a, k, org, id) })
}

// Allows reports whether t allows an action on a bucket.
func (t *Token) Allows(a Action, b *Bucket) bool { return t.May(a, ResourceBuckets, b.OrgID, b.ID) }

// Sees reports whether t allows anything that has to do with an organisation.
func (t *Token) Sees(org ID) bool {
	return t.All || t.OrgID == org || slices.ContainsFunc(t.Permissions, func(p Permission) bool { return p.Everywhere || p.Org == org })
}

func hashSecret(secret string) Hash { return sha256.Sum256([]byte(secret)) }

func newSecret(random io.Reader) (string, error) {
	b := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Authenticate returns the token of a secret, if it is in force.
func (s *Store) Authenticate(secret string) (Token, bool) {
	t, ok := s.tokenOf(secret)
	if !ok || t.Status == Inactive {
		return Token{}, false
	}
	if _, ok := s.Org(t.OrgID); !ok {
		return Token{}, false
	}
	if t.UserID != 0 {
		if u, ok := s.Users.Get(t.UserID); !ok || u.Status == Inactive {
			return Token{}, false
		}
	}
	return t, true
}

// tokenOf returns the token of a secret, whether it is in force or not.
func (s *Store) tokenOf(secret string) (Token, bool) {
	if secret == "" {
		return Token{}, false
	}
	// The lookup takes a time that depends on the hash, which tells nothing
	// about a secret.
	h := hashSecret(secret)
	return s.TokenSet.find(name{text: string(h[:])})
}

// Token returns the token of an id.
func (s *Store) Token(id ID) (Token, bool) { return s.TokenSet.Get(id) }

// Tokens returns the tokens of an organisation, or of all if org is zero, by
// description.
func (s *Store) Tokens(org ID) []Token {
	all := slices.DeleteFunc(s.TokenSet.All(), func(t Token) bool { return org != 0 && t.OrgID != org })
	sortByName(all, func(t Token) (string, ID) { return t.Description, t.ID })
	return all
}

// CreateToken makes a token with what a user sets of t, and returns it with its
// secret, which cannot be had later. Permissions that amount to everything
// everywhere make an operator's token.
func (s *Store) CreateToken(ctx context.Context, t Token) (Token, string, error) {
	secret, err := newSecret(s.random)
	if err != nil {
		return Token{}, "", err
	}
	t.Hash = hashSecret(secret)
	if coversAll(t.Permissions) {
		t.All, t.Permissions = true, nil
	}
	t, err = s.TokenSet.Create(ctx, t)
	return t, secret, err
}

// DeleteToken revokes a token.
func (s *Store) DeleteToken(ctx context.Context, id ID) error {
	_, err := s.TokenSet.Delete(ctx, id)
	return err
}
