package memory

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

var seedFlag = flag.Int64("seed", 0, "seed of the random test, 0 for a new one")

func TestBudgetShares(t *testing.T) {
	b := New(Config{Limit: 1000 << 20})
	const mib = 1 << 20
	for name, c := range map[string][2]int64{
		"ingest":  {b.Ingest.Stats().Limit, 250 * mib},
		"queries": {b.Queries.Stats().Limit, 250 * mib},
		"blocks":  {b.CacheLimit(Blocks), 245 * mib},
		"indexes": {b.CacheLimit(Indexes), 52.5 * mib},
		"results": {b.CacheLimit(Results), 35 * mib},
		"scratch": {b.Scratch.Stats().Limit, 17.5 * mib},
	} {
		if d := c[0] - c[1]; d < -200 || d > 200 {
			t.Errorf("%s has %d bytes, want about %d", name, c[0], c[1])
		}
	}
	if err := (Config{Limit: 1}).Validate(); err == nil {
		t.Error("a limit of one byte is valid")
	}
}

func TestIdleQueryMemoryIsLent(t *testing.T) {
	b := New(Config{Limit: 1000 << 20})
	c := NewCache[int, []byte](b.CacheLimit(Blocks))
	b.Attach(Blocks, c)
	own, queries := b.CacheLimit(Blocks), b.Queries.Stats().Limit
	within := func(what string) {
		t.Helper()
		st := b.Stats()
		if used := st.Caches[0].Bytes + st.Pools[1].Used; used > own+queries {
			t.Errorf("%s: %d bytes in use, %d allowed", what, used, own+queries)
		}
	}
	for i := range 1000 {
		c.Put(i, nil, 1<<20)
	}
	if st := c.Stats(); st.Bytes < own+queries*8/10 {
		t.Errorf("cache holds %d bytes while queries are idle, own share is %d", st.Bytes, own)
	}
	within("idle")
	for range 25 {
		if err := b.Queries.Reserve(queries / 25); err != nil {
			t.Fatal(err)
		}
		within("reserving")
	}
	if st := c.Stats(); st.Bytes > own+queries/10 || st.Bytes < own/2 {
		t.Errorf("cache holds %d bytes while queries are busy, own share is %d", st.Bytes, own)
	}
	b.Queries.Release(queries / 25 * 25)
	if st := b.Stats(); st.Caches[0].Limit < own+queries*8/10 || st.Caches[0].Name != "blocks" {
		t.Errorf("cache after queries ended: %+v", st.Caches[0])
	}
}

func TestPoolReserve(t *testing.T) {
	p := NewPool("p", 100)
	if err := p.Reserve(60); err != nil {
		t.Fatal(err)
	}
	if p.TryReserve(41) {
		t.Error("101 bytes of 100 reserved")
	}
	err := p.Reserve(50)
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "60 of 100") {
		t.Errorf("got %v", err)
	}
	if !p.TryReserve(40) {
		t.Error("40 free bytes refused")
	}
	p.Release(90)
	if got, want := p.Stats(), (PoolStats{"p", 100, 10, 100, 0, 2, 0}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("more released than reserved")
		}
	}()
	p.Release(11)
}

func TestPoolAcquireInOrder(t *testing.T) {
	p := NewPool("p", 100)
	if err := p.Acquire(context.Background(), 101); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	if err := p.Acquire(context.Background(), 80); err != nil {
		t.Fatal(err)
	}
	order := make(chan int)
	ctx, cancel := context.WithCancel(context.Background())
	for i, n := range []int64{90, 50, 10} {
		go func() {
			if err := p.Acquire(context.Background(), n); err != nil {
				t.Error(err)
			}
			order <- i
		}()
		waitFor(t, func() bool { return p.Stats().Waiting == i+1 })
	}
	go func() {
		if err := p.Acquire(ctx, 5); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		order <- 3
	}()
	waitFor(t, func() bool { return p.Stats().Waiting == 4 })
	cancel()
	if got := <-order; got != 3 {
		t.Errorf("%d first, want the one that gave up", got)
	}
	p.Release(70) // 10 in use: 90 fits exactly
	if got := <-order; got != 0 {
		t.Errorf("%d served, want 0", got)
	}
	p.Release(100)
	if got := <-order + <-order; got != 3 {
		t.Errorf("the last two add up to %d", got)
	}
	if st := p.Stats(); st.Used != 60 || st.Waiting != 0 {
		t.Errorf("got %+v", st)
	}
}

// TestCancelledWaiterLetsOthersPass: a large wait in front must not keep a
// small one waiting once it gave up.
func TestCancelledWaiterLetsOthersPass(t *testing.T) {
	p := NewPool("p", 100)
	if err := p.Reserve(50); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	large, small := make(chan error, 1), make(chan error, 1)
	go func() { large <- p.Acquire(ctx, 80) }()
	waitFor(t, func() bool { return p.Stats().Waiting == 1 })
	go func() { small <- p.Acquire(context.Background(), 20) }()
	waitFor(t, func() bool { return p.Stats().Waiting == 2 })
	cancel()
	if err := <-large; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-small; err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

func TestPoolConcurrent(t *testing.T) {
	p := NewPool("p", 1000)
	c := NewCache[int, int](1000)
	p.Lend(func(idle int64) { c.SetLimit(idle) })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewSource(int64(g)))
			for range 2000 {
				n := rng.Int63n(300)
				switch rng.Intn(3) {
				case 0:
					if !p.TryReserve(n) {
						continue
					}
				default:
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.Intn(200))*time.Microsecond)
					err := p.Acquire(ctx, n)
					cancel()
					if err != nil {
						continue
					}
				}
				c.Put(rng.Intn(100), 1, 10)
				if st := p.Stats(); st.Used > st.Limit || st.Used+st.Lent > st.Limit {
					t.Errorf("%+v", st)
				}
				p.Release(n)
			}
		})
	}
	wg.Wait()
	if st := p.Stats(); st.Used != 0 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
	if got, want := c.Stats().Limit, p.Stats().Lent; got != want {
		t.Errorf("cache was told %d, lent is %d", got, want)
	}
}

func TestAvailable(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	meminfo := file("MemTotal:       8388608 kB\nMemFree:  1 kB\n")
	const gib = 1 << 30
	for name, c := range map[string]struct {
		fs   fstest.MapFS
		want int64
	}{
		"machine": {fstest.MapFS{"proc/meminfo": meminfo}, 8 * gib},
		"v2": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("2147483648\n")}, 2 * gib},
		"v2 in a container": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("1073741824\n")}, gib},
		"v1": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("5:cpu:/x\n4:memory:/docker/x\n0::/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("1073741824\n")}, gib},
		"v1 without limit": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("4:memory:/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 8 * gib},
	} {
		if got, err := Available(c.fs); err != nil || got != c.want {
			t.Errorf("%s: got %d, %v; want %d", name, got, err, c.want)
		}
		if got := Default(c.fs).Limit; got != c.want/2 {
			t.Errorf("%s: default is %d", name, got)
		}
	}
	for _, bad := range []fstest.MapFS{{}, {"proc/meminfo": file("MemTotal: x kB\n")}, {"proc/meminfo": file("")}} {
		if got, err := Available(bad); err == nil {
			t.Errorf("got %d from nothing", got)
		}
		if got := Default(bad).Limit; got != fallbackAvailable/2 {
			t.Errorf("default from nothing is %d", got)
		}
	}
	if err := Default(os.DirFS("/")).Validate(); err != nil {
		t.Error(err)
	}
}

// fileKey has the shape of keys of segment readers.
type fileKey struct {
	File   string
	Offset int64
}

func TestCache(t *testing.T) {
	c := NewCache[fileKey, any](10000)
	if _, ok := c.Get(fileKey{"a", 1}); ok {
		t.Error("an empty cache has something")
	}
	c.Put(fileKey{"a", 1}, "x", 100)
	c.Put(fileKey{"a", 1}, "y", 200)
	c.Put(fileKey{"b", 1}, "z", 100)
	if v, ok := c.Get(fileKey{"a", 1}); !ok || v != "y" {
		t.Errorf("got %v, %v", v, ok)
	}
	c.Put(fileKey{"b", 1}, "large", 5001)
	if v, ok := c.Get(fileKey{"b", 1}); ok {
		t.Errorf("an old value is still there: %v", v)
	}
	c.Put(fileKey{"a", 2}, 1, 1)
	c.Put(fileKey{"c", 2}, 1, 1)
	if n := c.RemoveFunc(func(k fileKey) bool { return k.File == "a" }); n != 2 {
		t.Errorf("%d removed, want 2", n)
	}
	if st, want := c.Stats(), (CacheStats{"", 10000, 1 + itemBytes, 1, 1, 2, 0, 1}); st != want {
		t.Errorf("got %+v, want %+v", st, want)
	}
	c.Remove(fileKey{"c", 2})
	if st := c.Stats(); st.Bytes != 0 || st.Entries != 0 {
		t.Errorf("got %+v", st)
	}
}

// TestCacheModel runs random operations and checks what is kept against a
// map of what was put, and the counts.
func TestCacheModel(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Int63()
	}
	t.Logf("again with -seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	c := NewCache[int, int](1 << 15)
	s := &c.shards[0]
	model := map[int][2]int64{}
	for step := range 100000 {
		key := int(rng.ExpFloat64() * 100)
		switch op := rng.Intn(100); {
		case op < 50:
			v, ok := c.Get(key)
			if want, put := model[key]; ok && (!put || int64(v) != want[0]) {
				t.Fatalf("step %d: key %d has %d, want %v", step, key, v, want)
			}
		case op < 95:
			size := rng.Int63n(1000)
			if rng.Intn(100) == 0 {
				size *= 30
			}
			model[key] = [2]int64{int64(step), size}
			c.Put(key, step, size)
		case op < 98:
			delete(model, key)
			c.Remove(key)
		case op < 99:
			c.SetLimit(rng.Int63n(1 << 16))
		default:
			drop := func(k int) bool { return k%7 == key%7 }
			for k := range model {
				if drop(k) {
					delete(model, k)
				}
			}
			c.RemoveFunc(drop)
		}
		bytes, entries := int64(0), int64(0)
		for key, i := range s.index {
			if s.items[i].key != key || s.items[i].bytes != model[key][1]+itemBytes {
				t.Fatalf("step %d: item of key %d is %+v, model %v", step, key, s.items[i], model[key])
			}
			bytes += s.items[i].bytes
			entries++
		}
		if st := c.Stats(); st.Bytes != bytes || st.Entries != entries || st.Bytes > st.Limit {
			t.Fatalf("step %d: %+v, but %d bytes in %d entries", step, st, bytes, entries)
		}
	}
	if s.evictions == 0 || s.hits == 0 || s.refused == 0 {
		t.Errorf("too little happened: %+v", c.Stats())
	}
	if len(s.items) > 1000 || len(s.ghosts.ring) > 1000 || len(s.ghosts.count) > len(s.ghosts.ring) {
		t.Errorf("%d items, %d ghosts, %d counts", len(s.items), len(s.ghosts.ring), len(s.ghosts.count))
	}
}

// TestCacheResistsScans: what is used again stays while much is read once.
func TestCacheResistsScans(t *testing.T) {
	c := NewCache[int, int](1000 * (100 + itemBytes))
	for range 3 {
		for k := range 500 {
			if _, ok := c.Get(k); !ok {
				c.Put(k, k, 100)
			}
		}
	}
	for k := 1000; k < 50000; k++ {
		c.Put(k, k, 100)
	}
	kept := 0
	for k := range 500 {
		if _, ok := c.Get(k); ok {
			kept++
		}
	}
	if kept < 450 {
		t.Errorf("%d of 500 values in use survived a scan", kept)
	}
}

func TestCacheConcurrent(t *testing.T) {
	c := NewCache[fileKey, any](64 << 20)
	if len(c.shards) != 8 {
		t.Errorf("%d shards", len(c.shards))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewSource(int64(g)))
			for i := range 20000 {
				k := fileKey{fmt.Sprint(rng.Intn(50)), rng.Int63n(50)}
				if v, ok := c.Get(k); !ok {
					c.Put(k, k, rng.Int63n(1<<16))
				} else if v != k {
					t.Errorf("key %v has %v", k, v)
				}
				switch i % 5000 {
				case 1:
					c.RemoveFunc(func(k fileKey) bool { return k.Offset == 1 })
				case 2:
					c.SetLimit(32<<20 + rng.Int63n(32<<20))
				case 3:
					c.Stats()
				}
			}
		})
	}
	wg.Wait()
	if st := c.Stats(); st.Bytes > st.Limit || st.Hits == 0 || st.Evictions == 0 {
		t.Errorf("%+v", st)
	}
}

func BenchmarkCacheGet(b *testing.B) {
	c := NewCache[fileKey, any](64 << 20)
	keys := make([]fileKey, 10000)
	for i := range keys {
		keys[i] = fileKey{fmt.Sprintf("segment-%08d", i%100), int64(i)}
		c.Put(keys[i], i, 100)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.Get(keys[i%len(keys)])
		}
	})
}

func BenchmarkCachePutEvict(b *testing.B) {
	c := NewCache[fileKey, any](1 << 20)
	b.ReportAllocs()
	for i := range b.N {
		c.Put(fileKey{"segment", int64(i)}, nil, 1000)
	}
}

func BenchmarkPoolReserve(b *testing.B) {
	p := NewPool("p", 1<<30)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if p.TryReserve(1000) {
				p.Release(1000)
			}
		}
	})
}

// A key is known the second time, unless far more others came in between.
func TestCacheAgain(t *testing.T) {
	c := NewCache[int, int](1 << 20)
	wrong := 0
	for k := range 1000 {
		if c.Again(k) {
			wrong++
		}
	}
	known := 0
	for k := range 1000 {
		if c.Again(k) {
			known++
		}
	}
	// A few share a place with another.
	if wrong > 5 || known < 850 {
		t.Errorf("%d of 1000 keys are known at first, %d the second time", wrong, known)
	}
	for k := range 100 * doorSlots {
		c.Again(1000 + k)
	}
	known = 0
	for k := range 1000 {
		if c.Again(k) {
			known++
		}
	}
	if known > 5 {
		t.Errorf("%d of 1000 keys are known after many others", known)
	}
}
