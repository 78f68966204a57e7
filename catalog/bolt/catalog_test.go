package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/catalog/bolt"
	"github.com/varvedb/varve/catalog/catalogtest"
)

func TestConformance(t *testing.T) {
	paths := map[catalog.Catalog]string{}
	open := func(t *testing.T, path string) catalog.Catalog {
		c, err := bolt.Open(bolt.Default(path))
		if err != nil {
			t.Fatal(err)
		}
		paths[c] = path
		return c
	}
	catalogtest.Run(t, catalogtest.Factory{
		Open: func(t *testing.T) catalog.Catalog {
			path := filepath.Join(t.TempDir(), "catalog")
			t.Cleanup(func() { check(t, path) })
			return open(t, path)
		},
		Reopen: func(t *testing.T, c catalog.Catalog) catalog.Catalog {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, paths[c])
		},
	})
}

// check walks the file that a test left behind.
func check(t *testing.T, path string) {
	c, err := bolt.Open(bolt.Default(path))
	if err != nil {
		t.Errorf("open what the test left: %v", err)
		return
	}
	defer c.Close()
	if err := c.Check(context.Background(), func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
}

func TestFileIsItsOwnersAndLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog")
	c, err := bolt.Open(bolt.Default(path))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", info.Mode())
	}
	_, err = bolt.Open(bolt.Config{Path: path, LockTimeout: 20 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("opening twice: %v", err)
	}
}

func TestRefusesFilesOfOthers(t *testing.T) {
	dir := t.TempDir()
	for name, write := range map[string]func(*bbolt.Tx) error{
		"of another program": func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("theirs"))
			return err
		},
		"is unknown": func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("varve"))
			if err != nil {
				return err
			}
			return b.Put([]byte("format"), []byte("VARVECAT\x02"))
		},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		change(t, path, write)
		_, err := bolt.Open(bolt.Default(path))
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), path) {
			t.Errorf("open a file %s: %v", name, err)
		}
	}
	path := filepath.Join(dir, "noise")
	if err := os.WriteFile(path, bytes.Repeat([]byte("noise"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(bolt.Default(path)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("open noise: %v", err)
	}
}

func change(t *testing.T, path string, fn func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(fn); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFormat pins the bytes of FORMAT.md.
func TestFormat(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "catalog")
	c, err := bolt.Open(bolt.Default(path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(ctx, catalog.Op{Key: "a", Value: []byte("one")}, catalog.Op{Key: "b/c", Value: []byte("two")}); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Delete(ctx, c, "a", 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var dump strings.Builder
	change(t, path, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				fmt.Fprintf(&dump, "%s %q %q\n", name, k, v)
				return nil
			})
		})
	})
	golden, err := os.ReadFile("testdata/format1.txt")
	if err != nil {
		t.Fatal(err)
	}
	if dump.String() != string(golden) {
		t.Errorf("the file holds\n%s\nwant\n%s", &dump, golden)
	}
}

func TestDamageIsFoundAndNamed(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "catalog")
	c, err := bolt.Open(bolt.Default(path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(ctx, catalog.Op{Key: "good", Value: []byte("1")}, catalog.Op{Key: "bad", Value: []byte("1")},
		catalog.Op{Key: "short", Value: []byte("1")}, catalog.Op{Key: "lost", Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	change(t, path, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("records"))
		v := bytes.Clone(b.Get([]byte("bad")))
		v[len(v)-1] ^= 1
		if err := b.Put([]byte("bad"), v); err != nil {
			return err
		}
		if err := b.Put([]byte("short"), []byte("abc")); err != nil {
			return err
		}
		return tx.Bucket([]byte("changes")).Delete(binary.BigEndian.AppendUint64(nil, 4))
	})

	c, err = bolt.Open(bolt.Default(path))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(ctx, "good"); err != nil {
		t.Errorf("the good record: %v", err)
	}
	for key, want := range map[string]string{"bad": "checksum", "short": "cut short"} {
		_, err := c.Get(ctx, key)
		for _, part := range []string{want, path, key} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("get %s: %v, want it to name %s", key, err, part)
			}
		}
	}
	var found []string
	if err := c.Check(ctx, func(err error) { found = append(found, err.Error()) }); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(found, "\n")
	for _, want := range []string{`"bad": record does not match`, `"short": record is cut short`, `"lost" of version 4 has no change`, "3 changes for 4 records"} {
		if !strings.Contains(all, want) {
			t.Errorf("check found\n%s\nwant %s", all, want)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("ops=%d", n), func(b *testing.B) {
			c, err := bolt.Open(bolt.Default(filepath.Join(b.TempDir(), "catalog")))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.ReportAllocs()
			ops := make([]catalog.Op, n)
			i := 0
			for b.Loop() {
				i++
				for j := range ops {
					ops[j] = catalog.Op{Key: fmt.Sprintf("schema/%d/field%d", i, j), Value: []byte("float")}
				}
				if _, err := c.Commit(context.Background(), ops...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
