package meta

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/varvedb/varve/catalog"
)

// secretBytes is the randomness of a token: 256 bits, so that one round of
// SHA-256 without salt is all that its hash needs.
const secretBytes = 32

// Action is what a permission allows.
type Action string

// The actions.
const (
	Read  Action = "read"
	Write Action = "write"
)

// ResourceBuckets is the kind of resource that buckets are. Other kinds have
// other names; a permission of a kind that this version does not know allows
// nothing.
const ResourceBuckets = "buckets"

// Permission allows an action on one resource, or on all of its kind that the
// token's organisation has.
type Permission struct {
	Action   Action `json:"action"`
	Resource string `json:"resource"`
	ID       ID     `json:"id,omitempty"` // zero: all of them
}

// Hash is the SHA-256 of a token's secret, which is kept nowhere.
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

// Token allows who presents its secret to do things in one organisation.
type Token struct {
	ID            ID           `json:"id"`
	OrgID         ID           `json:"org"`
	Description   string       `json:"description,omitempty"`
	Hash          Hash         `json:"hash"`
	All           bool         `json:"all,omitempty"` // everything in every organisation
	Permissions   []Permission `json:"permissions,omitempty"`
	DefaultBucket ID           `json:"defaultBucket,omitempty"` // what a request without a bucket means
	Created       time.Time    `json:"created"`
}

// Allows reports whether t allows an action on a bucket.
func (t *Token) Allows(a Action, b *Bucket) bool {
	if t.All {
		return true
	}
	if b.OrgID != t.OrgID {
		return false
	}
	for _, p := range t.Permissions {
		if p.Action == a && p.Resource == ResourceBuckets && (p.ID == 0 || p.ID == b.ID) {
			return true
		}
	}
	return false
}

func hashSecret(secret string) Hash { return sha256.Sum256([]byte(secret)) }

func newSecret(random io.Reader) (string, error) {
	b := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Authenticate returns the token of a secret.
func (s *Store) Authenticate(secret string) (Token, bool) {
	if secret == "" {
		return Token{}, false
	}
	// The lookup takes a time that depends on the hash, which tells nothing
	// about a secret.
	st := s.state.Load()
	id, ok := st.tokenIDs[hashSecret(secret)]
	if !ok {
		return Token{}, false
	}
	return st.tokens[id], true
}

// Token returns the token of an id.
func (s *Store) Token(id ID) (Token, bool) {
	t, ok := s.state.Load().tokens[id]
	return t, ok
}

// Tokens returns the tokens of an organisation, or of all if org is zero, by
// description.
func (s *Store) Tokens(org ID) []Token {
	var all []Token
	for _, t := range s.state.Load().tokens {
		if org == 0 || t.OrgID == org {
			all = append(all, t)
		}
	}
	sortByName(all, func(t Token) (string, ID) { return t.Description, t.ID })
	return all
}

// CreateToken makes a token with the organisation, description, permissions
// and default bucket of t, and returns it with its secret, which cannot be
// had later.
func (s *Store) CreateToken(ctx context.Context, t Token) (Token, string, error) {
	if _, ok := s.Org(t.OrgID); !ok {
		return Token{}, "", fmt.Errorf("organization %s: %w", t.OrgID, ErrNotFound)
	}
	for _, p := range t.Permissions {
		if p.Action != Read && p.Action != Write || p.Resource == "" {
			return Token{}, "", &InvalidError{fmt.Sprintf("permission to %q %q: want read or write, and a kind of resource", p.Action, p.Resource)}
		}
	}
	secret, err := newSecret(s.random)
	if err != nil {
		return Token{}, "", err
	}
	t, op, err := s.newToken(t, secret)
	if err != nil {
		return Token{}, "", err
	}
	if err := s.commit(ctx, op); err != nil {
		return Token{}, "", err
	}
	return t, secret, nil
}

func (s *Store) newToken(t Token, secret string) (Token, catalog.Op, error) {
	var err error
	if t.ID, err = newID(s.random); err != nil {
		return t, catalog.Op{}, err
	}
	t.Hash, t.Created = hashSecret(secret), s.now().UTC()
	op, err := tokenOp(t)
	return t, op, err
}

// tokenOp makes a token.
func tokenOp(t Token) (catalog.Op, error) {
	v, err := json.Marshal(t)
	if err != nil {
		return catalog.Op{}, fmt.Errorf("encode token %s: %w", t.ID, err)
	}
	return catalog.Op{Key: tokenPrefix + t.ID.String(), Value: v}, nil
}

// DeleteToken revokes a token.
func (s *Store) DeleteToken(ctx context.Context, id ID) error {
	return s.retry(ctx, func() error {
		r, err := s.catalog.Get(ctx, tokenPrefix+id.String())
		if errors.Is(err, catalog.ErrNotFound) {
			return fmt.Errorf("token %s: %w", id, ErrNotFound)
		}
		if err != nil {
			return err
		}
		return s.commit(ctx, catalog.Op{Key: r.Key, Version: r.Version, Delete: true})
	})
}
