package meta_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/vfs"
)

func opPut(key, value string) catalog.Op { return catalog.Op{Key: key, Value: []byte(value)} }

// initOptions returns the defaults over a filesystem in memory with a data folder.
func initOptions(t *testing.T) meta.InitOptions {
	t.Helper()
	fs := vfs.NewMem(time.Now)
	if err := vfs.MkdirAllSync(fs, "/data"); err != nil {
		t.Fatal(err)
	}
	return meta.DefaultInit(fs, "/data/admin-token")
}

func ensureInit(t *testing.T, s *meta.Store, o meta.InitOptions) meta.InitResult {
	t.Helper()
	r, err := s.EnsureInit(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustBeAdmin(t *testing.T, s *meta.Store, secret string, want bool) {
	t.Helper()
	if tok, ok := s.Authenticate(secret); ok != want || ok && !tok.All {
		t.Errorf("secret %q is let in: %v as %+v, want %v", secret, ok, tok, want)
	}
}

func TestFirstStartOnly(t *testing.T) {
	ctx, _, s := newStore(t)
	o := initOptions(t)
	o.Org, o.Bucket, o.Retention = "myorg", "mybucket", time.Hour
	first := ensureInit(t, s, o)
	if !first.First || len(first.Made) < 22 {
		t.Fatalf("the first start gives %+v", first)
	}
	mustBeAdmin(t, s, first.Made, true)
	kept, err := vfs.ReadFile(o.FS, o.TokenFile)
	if err != nil || strings.TrimSpace(string(kept)) != first.Made {
		t.Errorf("the file holds %q, %v", kept, err)
	}
	org, _ := s.FindOrg("myorg")
	b, ok := s.FindBucket(org.ID, "mybucket")
	if !ok || b.Retention != time.Hour || b.ID != first.Bucket || org.ID != first.Org {
		t.Errorf("bucket is %+v", b)
	}
	if tok, _ := s.Authenticate(first.Made); tok.DefaultBucket != b.ID || tok.OrgID != org.ID || tok.ID != first.Token {
		t.Errorf("token is %+v", tok)
	}

	// Later starts change nothing, not even what has gone.
	if _, err := s.DeleteBucket(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	o.Org, o.Bucket = "another", "another"
	again := ensureInit(t, s, o)
	if want := (meta.InitResult{Org: first.Org, Bucket: first.Bucket, Token: first.Token, User: first.User}); again != want {
		t.Errorf("the second start gives %+v, want %+v", again, want)
	}
	if len(s.Orgs()) != 1 || len(s.Buckets(0)) != 0 {
		t.Errorf("the second start made %v %v", s.Orgs(), s.Buckets(0))
	}
	mustBeAdmin(t, s, first.Made, true)
}

func TestTokenFileIsItsOwners(t *testing.T) {
	_, _, s := newStore(t)
	path := filepath.Join(t.TempDir(), "admin-token")
	ensureInit(t, s, meta.DefaultInit(vfs.OS{}, path))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", info.Mode())
	}
}

// failing is a catalog that dies at the commit.
type failing struct{ catalog.Catalog }

var errDead = errors.New("died")

func (failing) Commit(context.Context, ...catalog.Op) (uint64, error) { return 0, errDead }

func TestCrashBeforeTheCommitKeepsTheToken(t *testing.T) {
	ctx, c, s := newStore(t)
	o := initOptions(t)
	dying, err := meta.Open(ctx, meta.Config{Catalog: failing{c}, Now: time.Now, Random: random()})
	if err != nil {
		t.Fatal(err)
	}
	defer dying.Close()
	if _, err := dying.EnsureInit(ctx, o); !errors.Is(err, errDead) {
		t.Fatalf("init: %v", err)
	}
	kept, err := vfs.ReadFile(o.FS, o.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if records, _, _ := c.List(ctx, ""); len(records) != 0 {
		t.Fatalf("%d records were made", len(records))
	}
	r := ensureInit(t, s, o)
	if !r.First || r.Made != strings.TrimSpace(string(kept)) {
		t.Errorf("the next start gives %+v, want the token that was kept", r)
	}
	mustBeAdmin(t, s, r.Made, true)
}

func TestTokenFromOutside(t *testing.T) {
	ctx, _, s := newStore(t)
	o := initOptions(t)
	o.AdminToken = "given-at-first"
	if r := ensureInit(t, s, o); !r.First || r.Made != "" || r.Replaced {
		t.Errorf("the first start gives %+v", r)
	}
	if _, err := o.FS.Stat(o.TokenFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a token from outside was written down: %v", err)
	}
	mustBeAdmin(t, s, "given-at-first", true)
	if r := ensureInit(t, s, o); r.Replaced {
		t.Error("the same token was replaced")
	}
	before, _ := s.Authenticate("given-at-first")

	o.AdminToken = "given-later"
	if r := ensureInit(t, s, o); !r.Replaced || r.First {
		t.Errorf("another token gives %+v", r)
	}
	mustBeAdmin(t, s, "given-at-first", false)
	mustBeAdmin(t, s, "given-later", true)
	if after, _ := s.Authenticate("given-later"); after.ID != before.ID || len(s.Tokens(0)) != 1 {
		t.Errorf("the token became %+v, was %+v", after, before)
	}

	// A deleted admin comes back with a token from outside, and only so.
	if err := s.DeleteToken(ctx, before.ID); err != nil {
		t.Fatal(err)
	}
	o.AdminToken = ""
	ensureInit(t, s, o)
	if n := len(s.Tokens(0)); n != 0 {
		t.Errorf("%d tokens without one given", n)
	}
	o.AdminToken = "given-again"
	ensureInit(t, s, o)
	mustBeAdmin(t, s, "given-again", true)

	_, weak, err := s.CreateToken(ctx, meta.Token{OrgID: before.OrgID, Description: "weak"})
	if err != nil {
		t.Fatal(err)
	}
	o.AdminToken = weak
	if _, err := s.EnsureInit(ctx, o); err == nil || !strings.Contains(err.Error(), "weak") {
		t.Errorf("a token that may little was taken for the admin's: %v", err)
	}
}

// A token from outside lets an operator in, even if the organisation that the
// first start made is gone.
func TestTokenFromOutsideWithoutTheFirstOrganisation(t *testing.T) {
	for _, others := range []int{0, 1} {
		ctx, _, s := newStore(t)
		o := initOptions(t)
		first := ensureInit(t, s, o)
		for range others {
			if _, err := s.CreateOrg(ctx, "other"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.OrgSet.Delete(ctx, first.Org); err != nil {
			t.Fatal(err)
		}
		mustBeAdmin(t, s, first.Made, false)
		o.AdminToken = "given"
		if r := ensureInit(t, s, o); !r.Replaced {
			t.Errorf("result is %+v", r)
		}
		mustBeAdmin(t, s, "given", true)
		if n := len(s.Orgs()); n != 1 {
			t.Errorf("there are %d organisations", n)
		}
	}
}

func TestTokenFromOutsideReplacesTheFile(t *testing.T) {
	_, _, s := newStore(t)
	o := initOptions(t)
	first := ensureInit(t, s, o)
	o.AdminToken = "given"
	if r := ensureInit(t, s, o); !r.Replaced {
		t.Errorf("result is %+v", r)
	}
	mustBeAdmin(t, s, first.Made, false)
	mustBeAdmin(t, s, "given", true)
	if _, err := o.FS.Stat(o.TokenFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of the void token is still there: %v", err)
	}
}

func TestInitRefuses(t *testing.T) {
	_, c, s := newStore(t)
	for _, change := range []func(*meta.InitOptions){
		func(o *meta.InitOptions) { o.Org = "" },
		func(o *meta.InitOptions) { o.Bucket = `a"` },
		func(o *meta.InitOptions) { o.Retention = -1 },
		func(o *meta.InitOptions) { o.AdminToken = "two words" },
		func(o *meta.InitOptions) { o.TokenFile = "" },
	} {
		o := initOptions(t)
		change(&o)
		if _, err := s.EnsureInit(context.Background(), o); err == nil {
			t.Errorf("options %+v were taken", o)
		}
	}
	if records, _, _ := c.List(context.Background(), ""); len(records) != 0 {
		t.Errorf("refused options left %d records", len(records))
	}
}
