package meta_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/meta"
)

func openSchema(t testing.TB, c catalog.Catalog) *meta.Schema {
	t.Helper()
	s, err := meta.OpenSchema(context.Background(), c, meta.DefaultSchema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func newSchema(t testing.TB) (context.Context, catalog.Catalog, *meta.Schema) {
	t.Helper()
	c := openCatalog(t, filepath.Join(t.TempDir(), "catalog"))
	return context.Background(), c, openSchema(t, c)
}

func register(t testing.TB, s *meta.Schema, bucket uint64, columns ...meta.Column) {
	t.Helper()
	if err := s.Register(context.Background(), bucket, columns); err != nil {
		t.Fatal(err)
	}
}

var (
	float   = meta.FieldKind(column.Float64)
	integer = meta.FieldKind(column.Int64)
)

func TestRegister(t *testing.T) {
	_, c, s := newSchema(t)
	if s.Measurement(1, "cpu") != nil {
		t.Fatal("an unknown measurement has columns")
	}
	long := strings.Repeat("long", 300)
	weird := "a/b =,\"\x00\xff"
	register(t, s, 1, meta.Column{"cpu", "host", meta.Tag}, meta.Column{"cpu", "user", float},
		meta.Column{"cpu", "user", integer}, meta.Column{"cpu", "host", float}, meta.Column{weird, weird, integer},
		meta.Column{long, long, float}, meta.Column{long, long + "2", meta.Tag})
	want := map[string]meta.Kind{"host": meta.Tag, "user": float}
	cpu := s.Measurement(1, "cpu")
	if d := cmp.Diff(want, cpu.Columns()); d != "" {
		t.Errorf("columns of cpu:\n%s", d)
	}
	register(t, s, 1, meta.Column{"cpu", "user", integer}, meta.Column{"cpu", "system", integer})
	want["system"] = integer
	if d := cmp.Diff(want, cpu.Columns()); d != "" {
		t.Errorf("columns of cpu after a second time:\n%s", d)
	}
	if s.Measurement(2, "cpu") != nil {
		t.Error("another bucket has the columns")
	}
	register(t, s, 2, meta.Column{"cpu", "user", integer})

	for _, s := range []*meta.Schema{s, openSchema(t, c)} {
		if got := s.Measurement(1, weird).Columns(); !maps.Equal(got, map[string]meta.Kind{weird: integer}) {
			t.Errorf("columns of %q: %v", weird, got)
		}
		if got := s.Measurement(1, long).Columns(); !maps.Equal(got, map[string]meta.Kind{long: float, long + "2": meta.Tag}) {
			t.Errorf("columns of the long name: %v", got)
		}
		if got := s.Measurement(1, "cpu").Columns(); !maps.Equal(got, want) {
			t.Errorf("columns of cpu: %v", got)
		}
		if s.Measurement(2, "cpu").Kind("user") != integer || s.Measurement(2, "cpu").Kind("x") != 0 {
			t.Error("kinds in bucket 2 are wrong")
		}
		if got := s.Measurements(1); !slices.Equal(got, slices.Sorted(slices.Values([]string{weird, "cpu", long}))) {
			t.Errorf("measurements: %q", got)
		}
	}
}

// counted counts commits.
type counted struct {
	catalog.Catalog
	commits atomic.Int64
}

func (c *counted) Commit(ctx context.Context, ops ...catalog.Op) (uint64, error) {
	c.commits.Add(1)
	return c.Catalog.Commit(ctx, ops...)
}

func TestManyColumnsAreOneCommit(t *testing.T) {
	ctx, base, _ := newSchema(t)
	c := &counted{Catalog: base}
	s := openSchema(t, c)
	var columns []meta.Column
	for i := range 1000 {
		columns = append(columns, meta.Column{"wide", fmt.Sprint("field", i), float})
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Register(ctx, 1, columns); err != nil {
				t.Error(err)
			}
			if n := len(s.Measurement(1, "wide").Columns()); n != 1000 {
				t.Errorf("%d columns are known after registering", n)
			}
		})
	}
	wg.Wait()
	if n := c.commits.Load(); n != 1 {
		t.Errorf("1,000 columns by four writers took %d commits, want 1", n)
	}
}

func TestColumnLimit(t *testing.T) {
	ctx, c, _ := newSchema(t)
	s, err := meta.OpenSchema(ctx, c, meta.SchemaConfig{MaxColumns: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	register(t, s, 1, meta.Column{"m", "a", float}, meta.Column{"m", "b", float})
	register(t, s, 1, meta.Column{"m", "c", float}, meta.Column{"m", "d", float}, meta.Column{"n", "a", float})
	if got := slices.Sorted(maps.Keys(s.Measurement(1, "m").Columns())); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("columns are %q, want three of them", got)
	}
	if s.Measurement(1, "n").Kind("a") != float {
		t.Error("the limit of one measurement counts for another")
	}
}

// TestTwoNodesRace lets two schemas over one catalog register names with
// different kinds: both must come to agree, and on the first.
func TestTwoNodesRace(t *testing.T) {
	ctx, c, a := newSchema(t)
	b := openSchema(t, c)
	var wg sync.WaitGroup
	for i, s := range []*meta.Schema{a, b} {
		wg.Go(func() {
			for j := range 40 {
				columns := []meta.Column{{"m", fmt.Sprint("f", j), meta.Kind(1 + i)}, {"m", fmt.Sprint("f", j+1), meta.Kind(1 + i)}}
				if err := s.Register(ctx, 1, columns); err != nil {
					t.Error(err)
				}
				for _, col := range columns {
					if s.Measurement(1, "m").Kind(col.Name) == 0 {
						t.Errorf("%s is not known after registering", col.Name)
					}
				}
			}
		})
	}
	wg.Wait()
	if d := cmp.Diff(a.Measurement(1, "m").Columns(), b.Measurement(1, "m").Columns()); d != "" {
		t.Errorf("the two disagree:\n%s", d)
	}
}

func TestForget(t *testing.T) {
	ctx, c, s := newSchema(t)
	long := strings.Repeat("long", 300)
	register(t, s, 1, meta.Column{"m", "a", float}, meta.Column{"m", "b", float}, meta.Column{"m", long, float},
		meta.Column{long, long, float}, meta.Column{"n", "a", float})
	other := openSchema(t, c)
	freed, err := s.Forget(ctx, 1, "m", []string{"a", "b", long, "never"}, func(name string) (bool, error) { return name != "b", nil })
	if err != nil || !slices.Equal(freed, []string{"a", long}) {
		t.Fatalf("freed %q, %v", freed, err)
	}
	if got := s.Measurement(1, "m").Columns(); !maps.Equal(got, map[string]meta.Kind{"b": float}) {
		t.Errorf("columns are %v, want b", got)
	}
	register(t, s, 1, meta.Column{"m", "a", integer})
	if k := s.Measurement(1, "m").Kind("a"); k != integer {
		t.Errorf("the freed name came back as %v", k)
	}
	if _, err := s.Forget(ctx, 1, long, []string{long}, func(string) (bool, error) { return true, nil }); err != nil {
		t.Fatal(err)
	}
	if s.Measurement(1, long) != nil {
		t.Error("a measurement without columns is still there")
	}
	broken := errors.New("cannot tell")
	if _, err := s.Forget(ctx, 1, "m", []string{"a"}, func(string) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	register(t, s, 2, meta.Column{"m", "a", float})
	if err := s.ForgetBucket(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if got := s.Measurements(1); len(got) != 0 {
		t.Errorf("the forgotten bucket has %q", got)
	}
	if s.Measurement(2, "m").Kind("a") != float {
		t.Error("the other bucket lost its column")
	}
	for deadline := time.Now().Add(20 * time.Second); len(other.Measurements(1)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the other node still has %q", other.Measurements(1))
		}
	}
}

// TestForgetWaitsForWriters has writers that look up and "append" under Hold,
// beside one that frees the field whenever nothing is stored: no append may
// have a type that is not registered.
func TestForgetWaitsForWriters(t *testing.T) {
	ctx, _, s := newSchema(t)
	var stored [6]atomic.Int64 // values per type
	var writers, forgetter sync.WaitGroup
	done := make(chan struct{})
	for i := range 2 {
		writers.Go(func() {
			kind := meta.Kind(1 + i)
			for range 200 {
				s.Hold()
				if m := s.Measurement(1, "m"); m == nil || m.Kind("f") == 0 {
					if err := s.Register(ctx, 1, []meta.Column{{"m", "f", kind}}); err != nil {
						t.Error(err)
					}
				}
				if s.Measurement(1, "m").Kind("f") == kind {
					stored[kind].Add(1)
					if stored[1].Load() > 0 && stored[2].Load() > 0 {
						t.Error("two types are stored under one name")
					}
					time.Sleep(10 * time.Microsecond)
					stored[kind].Add(-1)
				}
				s.Release()
			}
		})
	}
	forgetter.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			_, err := s.Forget(ctx, 1, "m", []string{"f"}, func(string) (bool, error) {
				return stored[1].Load() == 0 && stored[2].Load() == 0, nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	close(done)
	forgetter.Wait()
}

func TestUnreadableColumnIsNamed(t *testing.T) {
	c := openCatalog(t, filepath.Join(t.TempDir(), "catalog"))
	for i, value := range []string{"", "\x01", "\x02\x01\x00a", "\x01\x09\x00a", "\x01\x01\x05ab", "\x01\x01\xff"} {
		key := fmt.Sprintf("schema/00000000000000aa/m/f%d", i)
		v, err := catalog.Put(context.Background(), c, key, []byte(value), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = meta.OpenSchema(context.Background(), c, meta.DefaultSchema())
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("value %q: %v", value, err)
		}
		if _, err := catalog.Delete(context.Background(), c, key, v); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkKnownColumns(b *testing.B) {
	_, _, s := newSchema(b)
	var columns []meta.Column
	for i := range 13 {
		columns = append(columns, meta.Column{"cpu", fmt.Sprint("usage_", i), float})
	}
	register(b, s, 1, columns...)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Hold()
			m := s.Measurement(1, "cpu")
			for i := range columns {
				if m.Kind(columns[i].Name) != float {
					b.Error("unknown")
				}
			}
			s.Release()
		}
	})
}
