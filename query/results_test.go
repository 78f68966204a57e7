package query

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run the random test with this seed only")
	rounds   = flag.Int("rounds", 10, "how many seeds the random test goes through")
)

const cached = "from the result cache"

// Whatever is written, deleted, flushed, merged and grows too old: an answer
// with the cache is the answer without.
func TestCachedEqualsFresh(t *testing.T) {
	first, last := uint64(1), uint64(*rounds)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	var hits, misses int64
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			const retention = 5000
			e := newEngine(t, int64(seed%3)/2*retention) // every third store forgets
			cache := newResultCache()
			with, without := e.driver(cache), e.driver(nil)
			var asked []*plan.Plan
			for step := range 200 {
				lo := e.at.Load() - 4500
				switch n := rng.IntN(100); {
				case n < 6:
					e.write(rng, lo, 4500)
				case n < 8:
					e.delete(rng, lo, 4500)
				case n < 9:
					if err := e.shards[rng.IntN(2)].Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				case n < 10:
					if err := e.shards[rng.IntN(2)].Settle(t.Context()); err != nil {
						t.Fatal(err)
					}
				case n < 11:
					e.close()
					e.open()
				case n < 14:
					e.at.Add(rng.Int64N(300))
				default:
					p := randomPlan(rng, max(lo-1000, 0), 5500)
					if n < 90 && len(asked) > 0 { // one of the last few
						p = asked[len(asked)-1-rng.IntN(min(len(asked), 4))]
					}
					asked = append(asked, p)
					got, how := ask(t, with, p)
					want, _ := ask(t, without, p)
					if p.List != nil {
						// Names may be those of rows beside the range, as long as these lie
						// in the same file; a flush between the two questions changes that.
						if strings.Contains(how, cached) {
							t.Fatalf("step %d: a list came %s", step, how)
						}
						continue
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("step %d: fresh (-) and cached (+) answers differ\n%s%s\n%s", step, how, p, diff)
					}
				}
			}
			st := cache.Stats()
			hits, misses = hits+st.Hits, misses+st.Misses
		})
	}
	t.Logf("%d hits, %d misses", hits, misses)
	if *seedFlag == 0 && (hits == 0 || misses == 0) {
		t.Error("too little happened")
	}
}

// What was acknowledged before a question began is in its answer, while
// others write and ask the same.
func TestCacheReadsWrites(t *testing.T) {
	e := newEngine(t, 0)
	d := e.driver(newResultCache())
	p := plan.New(1, 0, 10_000)
	p.Measurements = []string{"m"}
	p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Max, Field: "i"}}}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			key := fmt.Appendf(nil, "writer=%d", g)
			for i := range 50 {
				tb := &column.Table{Measurement: "m", Row: []uint32{0}, Time: []int64{int64(i)}, Fields: []column.Field{{Name: "i", Vector: column.Vector{Type: column.Int64, Words: []uint64{uint64(i*4 + g)}}}}}
				tb.Series.Add(key, column.HashSeries("m", key))
				if err := e.shards[g%2].Write(t.Context(), 1, &column.Batch{Tables: []*column.Table{tb}}); err != nil {
					t.Error(err)
				}
				for range 2 {
					if _, err := d.Run(t.Context(), p, func(b *scan.Batch) error {
						if got := b.Columns[0].Words[0]; got < uint64(i*4+g) {
							t.Errorf("the greatest value is %d after %d was written", got, i*4+g)
						}
						return nil
					}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if _, how := ask(t, d, p); !strings.Contains(how, cached) {
		if _, how = ask(t, d, p); !strings.Contains(how, cached) {
			t.Errorf("asked again with nobody writing it came\n%s", how)
		}
	}
}

func TestWhatIsKept(t *testing.T) {
	b := newRig(t, nil)
	cache := newResultCache()
	b.results = newResults(cache)
	again := func(what string, p *plan.Plan, want bool) {
		t.Helper()
		for range 2 {
			if _, _, err := b.count(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if n, how, err := b.count(t.Context(), p); strings.Contains(how, cached) != want || err != nil || n == 0 {
			t.Errorf("%s: got %d rows, %v, explained as\n%s", what, n, err, how)
		}
	}
	small := rowsOf(rigRows - 10)
	again("a small answer", small, true)
	again("a large answer", rowsOf(0), false)
	again("names", namesOf(), false)
	odd := rowsOf(rigRows - 10)
	odd.Rows.Fields = []string{"x", "\xff"}
	again("a name that is no UTF-8", odd, false)
	b.store.version.Add(1)
	if _, how, err := b.count(t.Context(), small); err != nil || strings.Contains(how, cached) {
		t.Errorf("after a change: %v, explained as\n%s", err, how)
	}
	again("a small answer after a change", small, true)
	b.store.horizon = rigRows - 5
	again("a clipped plan", small, false)
	b.store.horizon = 0

	first := rowsOf(rigRows - 20)
	first.Total.Limit = 3
	for range 2 {
		if _, err := b.Run(t.Context(), first, func(*scan.Batch) error { return errors.New("enough") }); err == nil {
			t.Fatal("the error of the reader is lost")
		}
	}
	again("the limit, without the end being asked for", first, true)
	if st := cache.Stats(); st.Bytes == 0 || st.Bytes > 20_000 || st.Entries != 3 {
		t.Errorf("the cache has %d answers in %d bytes", st.Entries, st.Bytes)
	}
}

// An answer that was not read to its end is not kept.
func TestHalfAnAnswerIsNotKept(t *testing.T) {
	b := newRig(t, nil)
	b.results = newResults(newResultCache())
	b.results.limit = 64 << 20
	enough := errors.New("enough")
	for range 2 {
		batches := 0
		if _, err := b.Run(t.Context(), rowsOf(0), func(*scan.Batch) error {
			if batches++; batches == 3 {
				return enough
			}
			return nil
		}); !errors.Is(err, enough) {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := b.Run(ctx, rowsOf(0), func(*scan.Batch) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n, how, err := b.count(t.Context(), rowsOf(0)); err != nil || n != rigSeries*rigRows || strings.Contains(how, cached) {
		t.Errorf("got %d rows, %v, explained as\n%s", n, err, how)
	}
}

// Hits need no place.
func TestKeptAnswersDoNotWait(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Concurrency, c.Queue = 1, 0 })
	b.results = newResults(newResultCache())
	p := rowsOf(rigRows - 10)
	if _, _, err := b.count(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	defer b.hold(t, rowsOf(0))()
	if n, how, err := b.count(t.Context(), p); err != nil || n != 10*rigSeries || !strings.Contains(how, cached) {
		t.Errorf("got %d rows, %v, explained as\n%s", n, err, how)
	}
}

// What is counted for a kept answer is what it takes, or some more.
func TestSizeOf(t *testing.T) {
	e := newEngine(t, 0)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		e.write(rng, 0, 5000)
	}
	for range 50 {
		p := randomPlan(rng, 0, 5500)
		if _, err := e.driver(nil).Run(t.Context(), p, func(b *scan.Batch) error {
			var s Stored
			n := sizeOf(b)
			s.add(b, n)
			c := s.batches[0]
			if again := sizeOf(c); again != n {
				t.Errorf("counted %d bytes of a batch and %d of its copy:\n%s", n, again, p)
			}
			// Slices have some room to grow.
			if real := c.Bytes(); n < real*7/10 {
				t.Errorf("counted %d bytes, it takes %d:\n%s", n, real, p)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkAsk(b *testing.B) {
	e := newEngine(b, 0)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		e.write(rng, 0, 5000)
	}
	p := plan.New(1, 0, 5000)
	p.Measurements = []string{"cpu"}
	p.Aggregate = &plan.Aggregate{Group: plan.BySeries(), Calls: []plan.Call{{Func: plan.Mean, Field: "f"}}, Window: &plan.Window{Every: plan.Nanos(100)}}
	for _, s := range e.shards {
		if err := s.Settle(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		cache *ResultCache
		stop  int64 // added with each question, so that none is asked twice
	}{{"off", nil, 0}, {"hit", newResultCache(), 0}, {"miss", newResultCache(), 1}} {
		b.Run(c.name, func(b *testing.B) {
			d := e.driver(c.cache)
			p := *p
			rows := 0
			b.ReportAllocs()
			for b.Loop() {
				p.Stop += c.stop
				if _, err := d.Run(b.Context(), &p, func(batch *scan.Batch) error { rows += batch.Rows(); return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
