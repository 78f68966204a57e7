package meta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/vfs"
)

// The first start, in an order that a crash cannot upset:
//
//  1. Without a token from outside, make one and store it in TokenFile, or
//     take the one that is there: a start before got no further than this.
//  2. Commit organisation, bucket, the token's hash and the record that says
//     that all this happened, as one.
//
// A file without the record is therefore harmless, and a record without a
// readable token cannot be. (Committing first would lose the token of a
// server that died before it wrote the file.)

// InitOptions say what the first start makes. Later starts look at AdminToken
// alone.
type InitOptions struct {
	Org       string
	Bucket    string
	Retention time.Duration // of Bucket; 0 = for ever
	// AdminToken is the secret of the token that may do everything. If empty,
	// one is made and kept in TokenFile. A later start with another one
	// replaces it: who sets the server's environment owns it.
	AdminToken string
	FS         vfs.FS
	TokenFile  string
}

// DefaultInit returns the names that are used where none are given.
func DefaultInit(fs vfs.FS, tokenFile string) InitOptions {
	return InitOptions{Org: "main", Bucket: "default", FS: fs, TokenFile: tokenFile}
}

// Validate reports what cannot be made.
func (o *InitOptions) Validate() error {
	if o.FS == nil || o.TokenFile == "" {
		return errors.New("init: FS and TokenFile are needed")
	}
	if err := checkName("organization", o.Org); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	b := Bucket{Name: o.Bucket, Retention: o.Retention}
	if err := b.validate(); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if strings.ContainsFunc(o.AdminToken, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("init: the admin token holds a space or a control character, which a header cannot carry")
	}
	return nil
}

// InitResult tells what EnsureInit found or did.
type InitResult struct {
	First    bool   // this was the first start
	Replaced bool   // the admin token was replaced by the one given
	Made     string // the admin token that the first start made, to be shown once
	Org      ID     // that of the first start
	Bucket   ID     // that of the first start; it may have been deleted
	Token    ID     // that of the admin
}

// initRecord says that the first start happened, and what it made.
type initRecord struct {
	Org     ID        `json:"org"`
	Bucket  ID        `json:"bucket"`
	Token   ID        `json:"token"`
	Created time.Time `json:"created"`
}

// EnsureInit makes organisation, bucket and admin token if this is the first
// start.
func (s *Store) EnsureInit(ctx context.Context, o InitOptions) (InitResult, error) {
	if err := o.Validate(); err != nil {
		return InitResult{}, err
	}
	r, err := s.catalog.Get(ctx, initKey)
	if errors.Is(err, catalog.ErrNotFound) {
		return s.firstStart(ctx, &o)
	}
	if err != nil {
		return InitResult{}, fmt.Errorf("init: %w", err)
	}
	var rec initRecord
	if err := decodeRecord(r, &rec); err != nil {
		return InitResult{}, fmt.Errorf("init: %w", err)
	}
	res := InitResult{Org: rec.Org, Bucket: rec.Bucket, Token: rec.Token}
	if o.AdminToken == "" {
		return res, nil
	}
	res.Replaced, err = s.replaceAdmin(ctx, rec, &o)
	return res, err
}

func (s *Store) firstStart(ctx context.Context, o *InitOptions) (InitResult, error) {
	res := InitResult{First: true}

	// A token that can be read after a crash.
	secret := o.AdminToken
	if secret == "" {
		var err error
		if secret, err = s.keptSecret(o); err != nil {
			return res, err
		}
		res.Made = secret
	}

	// One commit for all records.
	org, ops, err := s.newOrg(o.Org)
	if err != nil {
		return res, err
	}
	b := Bucket{OrgID: org.ID, Name: o.Bucket, Retention: o.Retention, Created: org.Created}
	if err := b.validate(); err != nil {
		return res, err
	}
	if b.ID, err = newID(s.random); err != nil {
		return res, err
	}
	more, err := bucketOps(b)
	if err != nil {
		return res, err
	}
	t, op, err := s.newToken(adminToken(org.ID, b.ID), secret)
	if err != nil {
		return res, err
	}
	v, err := json.Marshal(initRecord{Org: org.ID, Bucket: b.ID, Token: t.ID, Created: org.Created})
	if err != nil {
		return res, fmt.Errorf("init: encode record: %w", err)
	}
	ops = append(append(ops, more...), op, catalog.Op{Key: initKey, Value: v})
	if err := s.commit(ctx, ops...); err != nil {
		return res, fmt.Errorf("init: %w", err)
	}
	res.Org, res.Bucket, res.Token = org.ID, b.ID, t.ID
	return res, nil
}

func adminToken(org, bucket ID) Token {
	return Token{OrgID: org, Description: "admin", All: true, DefaultBucket: bucket}
}

// keptSecret returns the secret in the token file, which it writes if it is
// missing.
func (s *Store) keptSecret(o *InitOptions) (string, error) {
	b, err := vfs.ReadFile(o.FS, o.TokenFile)
	if secret := strings.TrimSpace(string(b)); err == nil && secret != "" {
		return secret, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read admin token: %w", err)
	}
	secret, err := newSecret(s.random)
	if err != nil {
		return "", err
	}
	if err := vfs.WriteFileAtomic(o.FS, o.TokenFile, []byte(secret+"\n")); err != nil {
		return "", fmt.Errorf("keep admin token: %w", err)
	}
	return secret, nil
}

// replaceAdmin makes the secret of o that of the admin's token, if it is not
// yet. The file, whose secret is void then, goes.
func (s *Store) replaceAdmin(ctx context.Context, rec initRecord, o *InitOptions) (bool, error) {
	if t, ok := s.Authenticate(o.AdminToken); ok {
		if !t.All {
			return false, fmt.Errorf("init: the admin token given is that of %q (%s), which may not do everything", t.Description, t.ID)
		}
		return false, nil
	}
	err := s.retry(ctx, func() error {
		t := adminToken(rec.Org, rec.Bucket)
		t.ID, t.Created = rec.Token, s.now().UTC()
		r, err := s.catalog.Get(ctx, tokenPrefix+rec.Token.String())
		switch {
		case err == nil:
			if err := decodeRecord(r, &t); err != nil {
				return err
			}
		case !errors.Is(err, catalog.ErrNotFound): // deleted: it comes back
			return err
		}
		t.Hash = hashSecret(o.AdminToken)
		op, err := tokenOp(t)
		if err != nil {
			return err
		}
		op.Version = r.Version
		return s.commit(ctx, op)
	})
	if err != nil {
		return false, fmt.Errorf("replace admin token: %w", err)
	}
	if err := o.FS.Remove(o.TokenFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return true, fmt.Errorf("remove the file of the admin token that was replaced: %w", err)
	}
	return true, nil
}
