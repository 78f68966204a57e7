package meta_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/catalog/bolt"
	"github.com/varvedb/varve/meta"
)

var start = time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)

// clock tells a time that moves only when told to.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// random is a source of a seed, good enough where nothing is secret.
func random() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func openCatalog(t testing.TB, path string) catalog.Catalog {
	t.Helper()
	c, err := bolt.Open(bolt.Default(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func openStore(t *testing.T, c catalog.Catalog) *meta.Store {
	t.Helper()
	s, err := meta.Open(context.Background(), meta.Config{Catalog: c, Now: (&clock{start}).Now, Random: random()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func newStore(t *testing.T) (context.Context, catalog.Catalog, *meta.Store) {
	t.Helper()
	c := openCatalog(t, filepath.Join(t.TempDir(), "catalog"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx, c, openStore(t, c)
}

func makeOrg(t *testing.T, ctx context.Context, s *meta.Store, name string) meta.Org {
	t.Helper()
	o, err := s.CreateOrg(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func makeBucket(t *testing.T, ctx context.Context, s *meta.Store, b meta.Bucket) meta.Bucket {
	t.Helper()
	b, err := s.CreateBucket(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
