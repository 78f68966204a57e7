package meta_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/varvedb/varve/meta"
)

func TestPasswords(t *testing.T) {
	ctx, c, s := newStore(t)
	u, err := s.Users.Create(ctx, meta.User{Name: "ada"})
	must(t, err)
	check := func(name, password string, want bool) {
		t.Helper()
		got, ok, err := s.CheckPassword(ctx, name, password)
		if err != nil || ok != want || ok && got.ID != u.ID {
			t.Errorf("password %.20q of %s: %v, %v, %v, want %v", password, name, got.ID, ok, err, want)
		}
	}
	for _, none := range []string{"", "correct horse"} {
		check("ada", none, false)
		check("nobody", none, false)
	}
	var invalid *meta.InvalidError
	for _, bad := range []string{"", "short", strings.Repeat("x", 1025)} {
		if err := s.SetPassword(ctx, u.ID, bad); !errors.As(err, &invalid) {
			t.Errorf("password %.20q was taken: %v", bad, err)
		}
	}
	long := strings.Repeat("x", 200) // bcrypt would not tell it from its first 72 bytes
	must(t, s.SetPassword(ctx, u.ID, long+"1"))
	check("ada", long+"1", true)
	check("ada", long+"2", false)
	check("ada", long, false)
	check("ada", "", false)
	check("nobody", long+"1", false)
	if err := s.SetPassword(ctx, 7, "correct horse"); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("a password for nobody: %v", err)
	}
	records, _, err := c.List(ctx, "")
	must(t, err)
	for _, r := range records {
		if strings.Contains(string(r.Value), "xxx") {
			t.Errorf("the password is kept in %s", r.Key)
		}
	}
}

func BenchmarkCheckPassword(b *testing.B) {
	c := openCatalog(b, b.TempDir()+"/catalog")
	s, err := meta.Open(b.Context(), meta.Config{Catalog: c, Now: (&clock{start}).Now, Random: random()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := s.CheckPassword(b.Context(), "nobody", "correct horse"); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// A session ends with the password that it began with, in the same commit, and
// a sign-in that was under way with the old one begins none.
func TestSessionsEndWithThePassword(t *testing.T) {
	ctx, _, s := newStore(t)
	u, err := s.Users.Create(ctx, meta.User{Name: "ada", Password: "old"})
	if err != nil {
		t.Fatal(err)
	}
	_, before, err := s.SignIn(ctx, u)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.BySession(before); !ok {
		t.Fatal("the session is not in force")
	}
	if _, err := s.Users.Update(ctx, u.ID, func(u *meta.User) error {
		u.Password = "new"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, late, err := s.SignIn(ctx, u)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{before, late} {
		if _, ok := s.BySession(secret); ok {
			t.Error("a session with the old password is in force")
		}
	}
}
