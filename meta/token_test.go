package meta_test

import (
	"fmt"
	"testing"

	"github.com/varvedb/varve/meta"
)

// BenchmarkByToken is what each request pays to know who makes it, on a server
// with many tokens.
func BenchmarkByToken(b *testing.B) {
	c := openCatalog(b, b.TempDir()+"/catalog")
	s, err := meta.Open(b.Context(), meta.Config{Catalog: c, Now: (&clock{start}).Now, Random: random()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	o, err := s.CreateOrg(b.Context(), "main")
	if err != nil {
		b.Fatal(err)
	}
	u, err := s.Users.Create(b.Context(), meta.User{Name: "ada"})
	if err != nil {
		b.Fatal(err)
	}
	var secret string
	for i := range 200 {
		if _, secret, err = s.CreateToken(b.Context(), meta.Token{OrgID: o.ID, UserID: u.ID, Description: fmt.Sprint(i),
			Permissions: []meta.Permission{{Action: meta.Write, Resource: meta.ResourceBuckets}}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if who, ok := s.ByToken(secret); !ok || !who.May(meta.Write, meta.ResourceBuckets, o.ID, 1) {
			b.Fatal("not who it was")
		}
	}
}
