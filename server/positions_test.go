package server

import (
	"path/filepath"
	"testing"

	"github.com/varvedb/varve/catalog/bolt"
)

func TestPositions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "catalog.db")
	for i, want := range []string{"", "first", "second"} {
		c, err := bolt.Open(bolt.Default(file))
		if err != nil {
			t.Fatal(err)
		}
		p := positionOf(c, "postgres", "orders")
		got, err := p.Load(t.Context())
		if err != nil || string(got) != want || (got == nil) != (i == 0) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if other, err := positionOf(c, "postgres", "other").Load(t.Context()); other != nil || err != nil {
			t.Errorf("another pipeline has %q, %v", other, err)
		}
		if err := p.Save(t.Context(), []byte([]string{"first", "second", "third"}[i])); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
