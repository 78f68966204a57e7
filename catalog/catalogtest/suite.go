// Package catalogtest is the suite that every implementation of the catalog
// passes.
package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/catalog"
)

// patience is how long the suite waits for a change to come around: far more
// than any implementation needs, so that only a lost one fails.
const patience = 20 * time.Second

// Factory makes empty catalogs for the suite.
type Factory struct {
	// Open returns a new, empty catalog. The suite closes it.
	Open func(t *testing.T) catalog.Catalog
	// Reopen closes a catalog that Open or Reopen returned and opens what it
	// stored.
	Reopen func(t *testing.T, c catalog.Catalog) catalog.Catalog
}

// Run runs the suite.
func Run(t *testing.T, f Factory) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"CompareAndSwap", compareAndSwap},
		{"Versions", versions},
		{"CommitIsAtomic", commitIsAtomic},
		{"ListByPrefix", listByPrefix},
		{"RefusesBadOps", refusesBadOps},
		{"Reopen", reopen},
		{"WatchFromTheStart", watchFromTheStart},
		{"WatchWaits", watchWaits},
		{"WatchEnds", watchEnds},
		{"WatchForgets", watchForgets},
		{"ValuesAreCopies", valuesAreCopies},
		{"ConcurrentCounters", concurrentCounters},
		{"FollowerAgreesWithModel", followerAgreesWithModel},
		{"FollowerStops", followerStops},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, f) })
	}
}

func open(t *testing.T, f Factory) (context.Context, catalog.Catalog) {
	t.Helper()
	c := f.Open(t)
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx, c
}

func put(t *testing.T, ctx context.Context, c catalog.Catalog, key, value string, version uint64) uint64 {
	t.Helper()
	v, err := catalog.Put(ctx, c, key, []byte(value), version)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return v
}

func get(t *testing.T, ctx context.Context, c catalog.Catalog, key string) catalog.Record {
	t.Helper()
	r, err := c.Get(ctx, key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return r
}

func list(t *testing.T, ctx context.Context, c catalog.Catalog, prefix string) ([]catalog.Record, uint64) {
	t.Helper()
	all, revision, err := c.List(ctx, prefix)
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return all, revision
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func compareAndSwap(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	_, err := c.Get(ctx, "a")
	wantErr(t, err, catalog.ErrNotFound)
	_, err = catalog.Put(ctx, c, "a", []byte("x"), 7)
	wantErr(t, err, catalog.ErrConflict)

	v1 := put(t, ctx, c, "a", "one", 0)
	_, err = catalog.Put(ctx, c, "a", []byte("x"), 0)
	wantErr(t, err, catalog.ErrConflict)
	v2 := put(t, ctx, c, "a", "two", v1)
	_, err = catalog.Put(ctx, c, "a", []byte("x"), v1)
	wantErr(t, err, catalog.ErrConflict)
	_, err = catalog.Delete(ctx, c, "a", v1)
	wantErr(t, err, catalog.ErrConflict)
	if r := get(t, ctx, c, "a"); string(r.Value) != "two" || r.Version != v2 || r.Key != "a" {
		t.Fatalf("record is %+v, want two of version %d", r, v2)
	}

	if _, err = catalog.Delete(ctx, c, "a", v2); err != nil {
		t.Fatal(err)
	}
	_, err = c.Get(ctx, "a")
	wantErr(t, err, catalog.ErrNotFound)
	_, err = catalog.Delete(ctx, c, "a", v2)
	wantErr(t, err, catalog.ErrConflict)
	put(t, ctx, c, "a", "", 0)
	if r := get(t, ctx, c, "a"); len(r.Value) != 0 {
		t.Fatalf("value is %q, want an empty one", r.Value)
	}
}

func versions(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	_, before := list(t, ctx, c, "")
	last := before
	seen := map[uint64]bool{}
	var version uint64
	for i := range 50 {
		var err error
		if i%3 == 2 {
			last, err = catalog.Delete(ctx, c, "a", version)
			version = 0
		} else {
			version, err = catalog.Put(ctx, c, "a", []byte("same"), version)
		}
		if err != nil {
			t.Fatal(err)
		}
		if version != 0 {
			if seen[version] || version <= last {
				t.Fatalf("version %d is not above %d", version, last)
			}
			seen[version], last = true, version
		}
	}
	first, err := c.Commit(ctx, catalog.Op{Key: "x"}, catalog.Op{Key: "y"}, catalog.Op{Key: "z"})
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"x", "y", "z"} {
		if r := get(t, ctx, c, key); r.Version != first+uint64(i) {
			t.Errorf("version of %s is %d, want %d", key, r.Version, first+uint64(i))
		}
	}
	if _, revision := list(t, ctx, c, ""); revision != first+2 {
		t.Errorf("revision is %d, want %d", revision, first+2)
	}
}

func commitIsAtomic(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	va := put(t, ctx, c, "a", "1", 0)
	vb := put(t, ctx, c, "b", "1", 0)
	before, revision := list(t, ctx, c, "")
	for _, ops := range [][]catalog.Op{
		{{Key: "a", Value: []byte("2"), Version: va}, {Key: "b", Value: []byte("2"), Version: vb + 9}},
		{{Key: "c", Value: []byte("2")}, {Key: "a", Version: va, Delete: true}, {Key: "b", Value: []byte("2")}},
		{{Key: "c", Value: []byte("2")}, {Key: "d", Version: 3, Delete: true}},
	} {
		_, err := c.Commit(ctx, ops...)
		wantErr(t, err, catalog.ErrConflict)
	}
	after, revisionAfter := list(t, ctx, c, "")
	if d := cmp.Diff(before, after); d != "" || revision != revisionAfter {
		t.Fatalf("refused commits changed revision %d to %d and records:\n%s", revision, revisionAfter, d)
	}
	if _, err := c.Commit(ctx, catalog.Op{Key: "a", Version: va, Delete: true},
		catalog.Op{Key: "b", Value: []byte("2"), Version: vb}, catalog.Op{Key: "c", Value: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	if got := keys(list(t, ctx, c, "")); !slices.Equal(got, []string{"b", "c"}) {
		t.Fatalf("keys are %q, want b and c", got)
	}
}

func keys(records []catalog.Record, _ uint64) []string {
	var all []string
	for _, r := range records {
		all = append(all, r.Key)
	}
	return all
}

func listByPrefix(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	for _, key := range []string{"b", "a/2", "a/10", "a", "a/1", "aa", "a/1/x"} {
		put(t, ctx, c, key, key, 0)
	}
	for prefix, want := range map[string][]string{
		"":     {"a", "a/1", "a/1/x", "a/10", "a/2", "aa", "b"},
		"a":    {"a", "a/1", "a/1/x", "a/10", "a/2", "aa"},
		"a/":   {"a/1", "a/1/x", "a/10", "a/2"},
		"a/1/": {"a/1/x"},
		"c":    nil,
	} {
		if got := keys(list(t, ctx, c, prefix)); !slices.Equal(got, want) {
			t.Errorf("list %q gives %q, want %q", prefix, got, want)
		}
	}
}

func refusesBadOps(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	long := string(make([]byte, catalog.MaxKeyBytes+1))
	for name, ops := range map[string][]catalog.Op{
		"none":             {},
		"an empty key":     {{Key: ""}},
		"a strange key":    {{Key: "a b"}},
		"a long key":       {{Key: long}},
		"a large value":    {{Key: "a", Value: make([]byte, catalog.MaxValueBytes+1)}},
		"a key twice":      {{Key: "a"}, {Key: "b"}, {Key: "a"}},
		"delete version 0": {{Key: "a", Delete: true}},
		"too many":         make([]catalog.Op, catalog.MaxOps+1),
	} {
		if _, err := c.Commit(ctx, ops...); err == nil || errors.Is(err, catalog.ErrConflict) {
			t.Errorf("commit with %s: error is %v, want one that says so", name, err)
		}
	}
	if got, revision := list(t, ctx, c, ""); len(got) != 0 || revision != 0 {
		t.Errorf("refused commits left %d records at revision %d", len(got), revision)
	}
	many := make([]catalog.Op, catalog.MaxOps)
	for i := range many {
		many[i].Key = fmt.Sprint("k", i)
	}
	if _, err := c.Commit(ctx, many...); err != nil {
		t.Errorf("the largest commit: %v", err)
	}
	large := catalog.Op{Key: "large", Value: make([]byte, catalog.MaxValueBytes)}
	if _, err := c.Commit(ctx, large); err != nil {
		t.Errorf("the largest value: %v", err)
	}
}

func reopen(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	v := put(t, ctx, c, "a", "1", 0)
	put(t, ctx, c, "b", "1", 0)
	if _, err := catalog.Delete(ctx, c, "a", v); err != nil {
		t.Fatal(err)
	}
	before, revision := list(t, ctx, c, "")
	c = f.Reopen(t, c)
	defer c.Close()
	after, revisionAfter := list(t, ctx, c, "")
	if d := cmp.Diff(before, after); d != "" || revision != revisionAfter {
		t.Fatalf("reopening changed revision %d to %d and records:\n%s", revision, revisionAfter, d)
	}
	if again := put(t, ctx, c, "a", "2", 0); again <= revision {
		t.Fatalf("version after reopening is %d, want more than %d", again, revision)
	}
	w := watch(ctx, c, "", 0)
	defer w.stop()
	w.want(t, "b=1", "-a", "a=2")
}

// watcher pulls single changes from a watch.
type watcher struct {
	next func() ([]catalog.Change, error, bool)
	stop func()
	rest []catalog.Change
}

func watch(ctx context.Context, c catalog.Catalog, prefix string, since uint64) *watcher {
	w := &watcher{}
	w.next, w.stop = iter.Pull2(c.Watch(ctx, prefix, since))
	return w
}

// want checks that these changes come next; deletions before the last change
// of a key may be left out by an implementation, so they are skipped unless
// wanted.
func (w *watcher) want(t *testing.T, changes ...string) {
	t.Helper()
	var last uint64
	for _, want := range changes {
		for {
			if len(w.rest) == 0 {
				var err error
				var ok bool
				if w.rest, err, ok = w.next(); err != nil || !ok || len(w.rest) == 0 {
					t.Fatalf("watch ended with %v, want %s", err, want)
				}
			}
			ch := w.rest[0]
			w.rest = w.rest[1:]
			if ch.Version <= last {
				t.Fatalf("change %s has version %d after %d", ch.Key, ch.Version, last)
			}
			last = ch.Version
			got := ch.Key + "=" + string(ch.Value)
			if ch.Deleted {
				got = "-" + ch.Key
			}
			if got == want {
				break
			}
			if !ch.Deleted {
				t.Fatalf("change is %s, want %s", got, want)
			}
		}
	}
}

func watchFromTheStart(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	v := put(t, ctx, c, "p/a", "1", 0)
	put(t, ctx, c, "q", "1", 0)
	put(t, ctx, c, "p/b", "1", 0)
	middle := put(t, ctx, c, "p/a", "2", v)
	vc := put(t, ctx, c, "p/c", "1", 0)
	if _, err := catalog.Delete(ctx, c, "p/c", vc); err != nil {
		t.Fatal(err)
	}
	put(t, ctx, c, "p/d", "1", 0)

	w := watch(ctx, c, "p/", 0)
	defer w.stop()
	w.want(t, "p/b=1", "p/a=2", "-p/c", "p/d=1")
	w = watch(ctx, c, "p/", middle)
	defer w.stop()
	w.want(t, "-p/c", "p/d=1")
}

func watchWaits(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	_, revision := list(t, ctx, c, "")
	got := make(chan catalog.Change)
	var wg sync.WaitGroup
	wg.Go(func() {
		n := 0
		for changes, err := range c.Watch(ctx, "p/", revision) {
			if err != nil {
				t.Errorf("watch: %v", err)
				return
			}
			if len(changes) < 3 && n == 0 {
				t.Errorf("a commit of three came in a piece of %d", len(changes))
			}
			for _, ch := range changes {
				got <- ch
				n++
			}
			if n == 4 {
				return
			}
		}
	})
	put(t, ctx, c, "other", "", 0)
	first, err := c.Commit(ctx, catalog.Op{Key: "p/1"}, catalog.Op{Key: "p/2"}, catalog.Op{Key: "p/3"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		if ch := <-got; ch.Version != first+i || ch.Key != fmt.Sprint("p/", i+1) {
			t.Errorf("change %d is %s of version %d", i, ch.Key, ch.Version)
		}
	}
	put(t, ctx, c, "p/4", "late", 0)
	if ch := <-got; string(ch.Value) != "late" {
		t.Errorf("last change is %+v", ch)
	}
	wg.Wait()
}

func watchEnds(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	end := func(ctx context.Context, stop func(), want error) {
		t.Helper()
		done := make(chan error)
		go func() {
			var last error
			for _, err := range c.Watch(ctx, "", 0) {
				last = err
			}
			done <- last
		}()
		stop()
		select {
		case err := <-done:
			wantErr(t, err, want)
		case <-time.After(patience):
			t.Fatal("the watch did not end")
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	end(canceled, cancel, context.Canceled)
	end(ctx, func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}, catalog.ErrClosed)
	if _, err := c.Get(ctx, "a"); !errors.Is(err, catalog.ErrClosed) {
		t.Errorf("get from a closed catalog: %v, want ErrClosed", err)
	}
	if _, err := catalog.Put(ctx, c, "a", nil, 0); !errors.Is(err, catalog.ErrClosed) {
		t.Errorf("put into a closed catalog: %v, want ErrClosed", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close twice: %v", err)
	}
}

// watchForgets makes more deletions than anyone keeps: a watch from before
// them tells all of them or says that it cannot.
func watchForgets(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	_, start := list(t, ctx, c, "")
	deleted := 0
	for range 3 {
		sets := make([]catalog.Op, catalog.MaxOps)
		for i := range sets {
			sets[i].Key = fmt.Sprint("k", i)
		}
		first, err := c.Commit(ctx, sets...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range sets {
			sets[i].Version, sets[i].Delete = first+uint64(i), true
		}
		if _, err := c.Commit(ctx, sets...); err != nil {
			t.Fatal(err)
		}
		deleted += len(sets)
	}
	_, now := list(t, ctx, c, "")
	put(t, ctx, c, "after", "1", 0)
	w := watch(ctx, c, "", now)
	defer w.stop()
	w.want(t, "after=1")

	told := 0
	for changes, err := range c.Watch(ctx, "", start) {
		if errors.Is(err, catalog.ErrCompacted) {
			if told > 0 {
				t.Fatalf("the watch told %d changes before it said %v", told, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if told += len(changes); told >= catalog.MaxOps+1 {
			return
		}
	}
}

func valuesAreCopies(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	value := []byte("value")
	if _, err := catalog.Put(ctx, c, "a", value, 0); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	get(t, ctx, c, "a").Value[1] = 'X'
	all, _ := list(t, ctx, c, "")
	all[0].Value[2] = 'X'
	if r := get(t, ctx, c, "a"); string(r.Value) != "value" {
		t.Fatalf("value is %q after its copies were changed", r.Value)
	}
}

func concurrentCounters(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	const workers, each = 4, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				var n byte
				r, err := c.Get(ctx, "counter")
				if err == nil {
					n = r.Value[0]
				} else if !errors.Is(err, catalog.ErrNotFound) {
					t.Error(err)
					return
				}
				_, err = catalog.Put(ctx, c, "counter", []byte{n + 1}, r.Version)
				if err == nil {
					done++
				} else if !errors.Is(err, catalog.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r := get(t, ctx, c, "counter"); r.Value[0] != workers*each {
		t.Fatalf("counter is %d, want %d", r.Value[0], workers*each)
	}
}

// mirror is a View that is plain to see.
type mirror struct {
	mu      sync.Mutex
	records map[string]catalog.Record // guarded by mu
	fail    bool
}

func (m *mirror) Reset(records []catalog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = map[string]catalog.Record{}
	for _, r := range records {
		m.records[r.Key] = r
	}
	return nil
}

func (m *mirror) Apply(changes []catalog.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return errors.New("cannot read")
	}
	for _, ch := range changes {
		if ch.Deleted {
			delete(m.records, ch.Key)
		} else {
			m.records[ch.Key] = ch.Record
		}
	}
	return nil
}

func followerAgreesWithModel(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	const seed = 20261122
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	model := map[string]catalog.Record{}
	m := &mirror{}
	follower, err := catalog.Follow(ctx, c, "p/", m)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	for range 300 {
		var ops []catalog.Op
		for _, i := range rng.Perm(8)[:1+rng.IntN(4)] {
			key := fmt.Sprint("p/", i)
			have, ok := model[key]
			op := catalog.Op{Key: key, Version: have.Version, Value: fmt.Append(nil, rng.Uint32())}
			if ok && rng.IntN(3) == 0 {
				op.Delete, op.Value = true, nil
			}
			ops = append(ops, op)
		}
		first, err := c.Commit(ctx, ops...)
		if err != nil {
			t.Fatal(err)
		}
		for i, op := range ops {
			if op.Delete {
				delete(model, op.Key)
			} else {
				model[op.Key] = catalog.Record{Key: op.Key, Value: op.Value, Version: first + uint64(i)}
			}
		}
		if err := follower.Wait(ctx, first+uint64(len(ops))-1); err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		got := maps.Clone(m.records)
		m.mu.Unlock()
		if d := cmp.Diff(model, got); d != "" {
			t.Fatalf("the view differs from the model:\n%s", d)
		}
	}
	all, _ := list(t, ctx, c, "p/")
	if len(all) != len(model) {
		t.Fatalf("the catalog holds %d records, want %d", len(all), len(model))
	}
}

func followerStops(t *testing.T, f Factory) {
	ctx, c := open(t, f)
	m := &mirror{fail: true}
	broken, err := catalog.Follow(ctx, c, "", m)
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	closed, err := catalog.Follow(ctx, c, "", &mirror{})
	if err != nil {
		t.Fatal(err)
	}
	if closed.Err() != nil || broken.Err() != nil {
		t.Fatalf("followers ended at once: %v, %v", closed.Err(), broken.Err())
	}
	v := put(t, ctx, c, "a", "1", 0)
	if err := broken.Wait(ctx, v); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait for a view that fails: %v, want its error", err)
	}
	if err := closed.Wait(ctx, v); err != nil {
		t.Error(err)
	}
	closed.Close()
	if err := closed.Wait(ctx, v+1); !errors.Is(err, context.Canceled) {
		t.Errorf("wait for a closed follower: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := closed.Wait(canceled, v); err != nil {
		t.Errorf("wait for what was seen: %v", err)
	}
}
