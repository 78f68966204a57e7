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

// A store begins with an organisation, a bucket, a user who may do everything
// and a token of theirs. Either the first start makes these (EnsureInit), or
// whoever asks first (Setup). The first start goes in an order that a crash
// cannot upset:
//
//  1. Without a token from outside, make one and store it in TokenFile, or
//     take the one that is there: a start before got no further than this.
//  2. Commit organisation, bucket, user, the token's hash and the record that
//     says that all this happened, as one.
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
	if err := checkSecret(o.AdminToken); err != nil {
		return fmt.Errorf("init: admin token: %w", err)
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
	User     ID     // to whom the token belongs
}

// Founding is what a store begins with.
type Founding struct {
	User      string
	Password  string // of the user; empty: none, so that they cannot sign in
	Org       string
	Bucket    string
	Retention time.Duration // of Bucket; 0 = for ever
	Secret    string        // of the token; empty: a random one
}

// Founded is what Setup made.
type Founded struct {
	User   User
	Org    Org
	Bucket Bucket
	Token  Token
	Secret string // of Token, to be shown once
}

// firstUser is the name of the user whom the first start makes.
const firstUser = "admin"

// initRecord says that the first start happened, and what it made.
type initRecord struct {
	Org     ID        `json:"org"`
	Bucket  ID        `json:"bucket"`
	Token   ID        `json:"token"`
	User    ID        `json:"user,omitempty"`
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
	res := InitResult{Org: rec.Org, Bucket: rec.Bucket, Token: rec.Token, User: rec.User}
	if rec.User == 0 {
		if rec.User, err = s.giveUser(ctx, r, rec); err != nil {
			return res, fmt.Errorf("init: %w", err)
		}
		res.User = rec.User
	}
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

	made, err := s.found(ctx, Founding{User: firstUser, Org: o.Org, Bucket: o.Bucket, Retention: o.Retention, Secret: secret})
	if err != nil {
		return res, fmt.Errorf("init: %w", err)
	}
	res.Org, res.Bucket, res.Token, res.User = made.Org.ID, made.Bucket.ID, made.Token.ID, made.User.ID
	return res, nil
}

// Initialised reports whether a store has what it begins with.
func (s *Store) Initialised(ctx context.Context) (bool, error) {
	_, err := s.catalog.Get(ctx, initKey)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Found returns what the store began with; ok is false if nothing did.
func (s *Store) Found(ctx context.Context) (r InitResult, ok bool, err error) {
	var rec initRecord
	v, err := s.catalog.Get(ctx, initKey)
	if errors.Is(err, catalog.ErrNotFound) {
		return r, false, nil
	}
	if err == nil {
		err = decodeRecord(v, &rec)
	}
	return InitResult{Org: rec.Org, Bucket: rec.Bucket, Token: rec.Token, User: rec.User}, err == nil, err
}

// Setup makes what a store begins with. It fails with ErrExists if it has
// begun.
func (s *Store) Setup(ctx context.Context, f Founding) (Founded, error) {
	if done, err := s.Initialised(ctx); err != nil || done {
		if done {
			err = fmt.Errorf("onboarding has already been completed: %w", ErrExists)
		}
		return Founded{}, err
	}
	if err := checkSecret(f.Secret); err != nil {
		return Founded{}, err
	}
	made, err := s.found(ctx, f)
	if errors.Is(err, catalog.ErrConflict) {
		err = fmt.Errorf("onboarding has already been completed: %w", ErrExists)
	}
	return made, err
}

func checkSecret(secret string) error {
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return &InvalidError{"the token holds a space or a control character, which a header cannot carry"}
	}
	return nil
}

// found makes what a store begins with, in one commit.
func (s *Store) found(ctx context.Context, f Founding) (made Founded, err error) {
	made.Secret = f.Secret
	if f.Secret == "" {
		if made.Secret, err = newSecret(s.random); err != nil {
			return made, err
		}
	}
	made.User = User{Name: f.User, Operator: true}
	if f.Password != "" {
		if made.User.Password, err = s.hashPassword(ctx, f.Password); err != nil {
			return made, err
		}
	}
	made.Org, made.Bucket = Org{Name: f.Org}, Bucket{Name: f.Bucket, Retention: f.Retention}
	for _, check := range []func() error{made.User.validate, made.Org.validate, made.Bucket.validate} {
		if err := check(); err != nil {
			return made, err
		}
	}
	var ops []catalog.Op
	add := func(more []catalog.Op, failed error) {
		ops, err = append(ops, more...), errors.Join(err, failed)
	}
	add(s.OrgSet.fill(&made.Org))
	made.Bucket.OrgID = made.Org.ID
	add(s.BucketSet.fill(&made.Bucket))
	add(s.Users.fill(&made.User))
	add(s.Links.fill(&Link{From: made.User.ID, Role: Owner, Resource: made.Org.ID, ResourceKind: ResourceOrgs}))
	made.Token = adminToken(made.Org.ID, made.Bucket.ID, made.User.ID)
	made.Token.Hash = hashSecret(made.Secret)
	add(s.TokenSet.fill(&made.Token))
	if err != nil {
		return made, err
	}
	v, err := json.Marshal(initRecord{made.Org.ID, made.Bucket.ID, made.Token.ID, made.User.ID, made.Org.Created})
	if err != nil {
		return made, fmt.Errorf("encode record: %w", err)
	}
	ops = append(ops, catalog.Op{Key: initKey, Value: v})
	return made, s.commit(ctx, Event{Action: "create", Kind: "store", ID: made.Org.ID, Name: f.Org, Org: made.Org.ID}, ops...)
}

// giveUser makes the first user of a store that began before there were any.
func (s *Store) giveUser(ctx context.Context, r catalog.Record, rec initRecord) (ID, error) {
	u := User{Name: firstUser, Operator: true}
	ops, err := s.Users.fill(&u)
	if err != nil {
		return 0, err
	}
	owner, err := s.Links.fill(&Link{From: u.ID, Role: Owner, Resource: rec.Org, ResourceKind: ResourceOrgs})
	if err != nil {
		return 0, err
	}
	ops = append(ops, owner...)
	if t, version, err := s.TokenSet.read(ctx, rec.Token); err == nil {
		t.UserID = u.ID
		changed, err := s.TokenSet.ops(&t)
		if err != nil {
			return 0, err
		}
		changed[0].Version = version
		ops = append(ops, changed...)
	} else if !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	rec.User = u.ID
	v, err := json.Marshal(rec)
	if err != nil {
		return 0, fmt.Errorf("encode record: %w", err)
	}
	ops = append(ops, catalog.Op{Key: initKey, Value: v, Version: r.Version})
	return u.ID, s.commit(ctx, Event{Action: "create", Kind: s.Users.kind, ID: u.ID, Name: u.Name}, ops...)
}

func adminToken(org, bucket, user ID) Token {
	return Token{OrgID: org, UserID: user, Description: "admin", All: true, DefaultBucket: bucket}
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
	if t, ok := s.tokenOf(o.AdminToken); ok && t.Status != Inactive {
		if !t.All {
			return false, fmt.Errorf("init: the admin token given is that of %q (%s), which may not do everything", t.Description, t.ID)
		}
		return false, nil
	}
	// A token of an organisation that is gone would be void.
	org, bucket := rec.Org, rec.Bucket
	if _, ok := s.Org(org); !ok {
		bucket = 0
		if all := s.OrgSet.All(); len(all) > 0 {
			org = all[0].ID
		} else if made, err := s.CreateOrg(ctx, o.Org); err == nil {
			org = made.ID
		} else {
			return false, fmt.Errorf("replace admin token: %w", err)
		}
	}
	err := s.retry(ctx, func() error {
		t := adminToken(org, bucket, 0)
		t.ID, t.Created = rec.Token, s.now().UTC()
		kept, version, err := s.TokenSet.read(ctx, rec.Token)
		switch {
		case err == nil:
			t = kept
		case !errors.Is(err, ErrNotFound): // deleted: it comes back
			return err
		}
		t.Hash, t.Status, t.Updated = hashSecret(o.AdminToken), "", s.now().UTC()
		// Whom it belonged to may be gone or shut out, and it with them.
		if u, ok := s.Users.Get(t.UserID); !ok || u.Status == Inactive {
			t.UserID = 0
		}
		ops, err := s.TokenSet.ops(&t)
		if err != nil {
			return err
		}
		ops[0].Version = version
		return s.commit(ctx, Event{Action: "change", Kind: "token", ID: t.ID, Name: t.Description, Org: t.OrgID, Parts: Parts{"hash": json.RawMessage(`"…"`)}}, ops...)
	})
	if err != nil {
		return false, fmt.Errorf("replace admin token: %w", err)
	}
	if err := o.FS.Remove(o.TokenFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return true, fmt.Errorf("remove the file of the admin token that was replaced: %w", err)
	}
	return true, nil
}
