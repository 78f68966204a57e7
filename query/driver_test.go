package query

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

func TestRun(t *testing.T) {
	b := newRig(t, nil)
	n, explain, err := b.count(t.Context(), rowsOf(0))
	if err != nil || n != rigSeries*rigRows || !strings.Contains(explain, "rows 200000 returned") {
		t.Errorf("got %d rows, %v, explained as\n%s", n, err, explain)
	}
	if got := b.value(t, "varve_scan_returned_rows_total"); got != rigSeries*rigRows {
		t.Errorf("%g rows are counted as returned", got)
	}
	enough := errors.New("enough")
	if _, err := b.Run(t.Context(), rowsOf(0), func(*scan.Batch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v, want the error of the one who reads", err)
	}
	unknown := rowsOf(0)
	unknown.Bucket = 2
	var gone *UnknownBucketError
	if _, _, err := b.count(t.Context(), unknown); !errors.As(err, &gone) || gone.Bucket != 2 {
		t.Errorf("got %v of a bucket that is not there", err)
	}
}

func TestClip(t *testing.T) {
	b := newRig(t, nil)
	b.store.horizon = rigRows - 5
	n, explain, err := b.count(t.Context(), rowsOf(0))
	if err != nil || n != rigSeries*5 || !strings.Contains(explain, "clipped to retention from 1970-") {
		t.Errorf("got %d rows, %v, explained as\n%s", n, err, explain)
	}
	if n, explain, err := b.count(t.Context(), rowsOf(b.store.horizon)); err != nil || n != rigSeries*5 || strings.Contains(explain, "clipped") {
		t.Errorf("got %d rows, %v, of what is kept, explained as\n%s", n, err, explain)
	}
	// The whole of one window is reported with the start that was asked for.
	p := rowsOf(7)
	p.Rows, p.Aggregate = nil, &plan.Aggregate{Calls: []plan.Call{{Func: plan.Count}}}
	if _, err := b.Run(t.Context(), p, func(batch *scan.Batch) error {
		if batch.Start[0] != 7 || batch.Columns[0].Words[0] != rigSeries*5 {
			t.Errorf("count of all is %d at %d, want %d at 7", batch.Columns[0].Words[0], batch.Start[0], rigSeries*5)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	b.store.horizon = rigRows
	if n, explain, err := b.count(t.Context(), rowsOf(0)); err != nil || n != 0 || !strings.Contains(explain, "clipped") {
		t.Errorf("got %d rows, %v, of times that are not kept, explained as\n%s", n, err, explain)
	}
}

// The places: 4 questions, of which 3 may be heavy.
func fourPlaces(c *Config) { c.Concurrency, c.Queue, c.QueueWait = 4, 1, time.Minute }

func TestLightQuestionsFindAPlace(t *testing.T) {
	b := newRig(t, fourPlaces)
	for range 3 {
		defer b.hold(t, rowsOf(0))()
	}
	for range 2 {
		if n, _, err := b.count(t.Context(), namesOf()); err != nil || n != 1 {
			t.Errorf("a light question got %d names, %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, err := b.count(ctx, rowsOf(0))
		done <- err
	}()
	waitFor(t, "a heavy question to wait", func() bool { return b.admission.waiting.Load() == 1 })
	if n, _, err := b.count(t.Context(), namesOf()); err != nil || n != 1 {
		t.Errorf("a light question got %d names, %v, while a heavy one waits", n, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a question whose client went away ended with %v", err)
	}
}

func TestQueue(t *testing.T) {
	b := newRig(t, fourPlaces)
	var held []func()
	for range 3 {
		held = append(held, b.hold(t, rowsOf(0)))
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result)
	go func() {
		n, _, err := b.count(t.Context(), rowsOf(0))
		done <- result{n, err}
	}()
	waitFor(t, "a question to wait", func() bool { return b.admission.waiting.Load() == 1 })
	var full *UnavailableError
	if _, _, err := b.count(t.Context(), rowsOf(0)); !errors.As(err, &full) || full.RetryAfter <= 0 || !strings.Contains(full.Reason, "4 questions are under way and 1 wait") {
		t.Errorf("got %v with a full queue", err)
	}
	held[0]()
	if r := <-done; r.err != nil || r.n != rigSeries*rigRows {
		t.Errorf("who waited got %d rows, %v", r.n, r.err)
	}
	held[1]()
	held[2]()
	if got := b.value(t, "varve_query_rejected_total"); got != 1 {
		t.Errorf("%g questions are counted as rejected, want 1", got)
	}
	if got := b.value(t, "varve_query_wait_seconds"); got != 4 {
		t.Errorf("%g waits are counted, want 4", got)
	}
}

func TestQueueWait(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Concurrency, c.QueueWait = 1, time.Millisecond })
	defer b.hold(t, rowsOf(0))()
	var slow *UnavailableError
	if _, _, err := b.count(t.Context(), namesOf()); !errors.As(err, &slow) || !strings.Contains(slow.Reason, "waited 1ms") {
		t.Errorf("got %v after a wait in vain", err)
	}
}

func TestMemoryLimit(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Memory = 1 << 20 })
	merged := rowsOf(0)
	merged.Rows.Merged = true // keeps all rows
	var over *MemoryError
	if _, _, err := b.count(t.Context(), merged); !errors.As(err, &over) || over.Limit != 1<<20 || over.Used+over.Asked <= over.Limit {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(over.Error(), "query.memory_limit") {
		t.Errorf("%q does not say what to do", over.Error())
	}
	if n := b.pool.Stats().Used; n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
	if n, _, err := b.count(t.Context(), rowsOf(rigRows-100)); err != nil || n != rigSeries*100 {
		t.Errorf("a question that keeps little got %d rows, %v", n, err)
	}
	if got := b.value(t, "varve_query_memory_exceeded_total"); got != 1 {
		t.Errorf("%g questions are counted", got)
	}
	// What others hold is not the question's own fault.
	if err := b.pool.Reserve(b.pool.Stats().Limit - 1000); err != nil {
		t.Fatal(err)
	}
	defer b.pool.Release(b.pool.Stats().Limit - 1000)
	if _, _, err := b.count(t.Context(), rowsOf(0)); !errors.Is(err, memory.ErrFull) || errors.As(err, new(*MemoryError)) {
		t.Errorf("got %v from a pool that is used up", err)
	}
}

func TestDeadline(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Timeout = 20 * time.Millisecond })
	q := b.Begin(t.Context())
	defer q.Close()
	a, err := q.Run(rowsOf(0))
	for err == nil {
		var batch *scan.Batch
		if batch, err = a.Next(); batch == nil {
			break
		}
		<-q.ctx.Done()
	}
	var late *UnavailableError
	if !errors.As(err, &late) || !strings.Contains(late.Reason, "20ms (query.timeout)") {
		t.Errorf("got %v", err)
	}
}

// When the client goes away, work stops with most of the rows unread, and
// everything is given back.
func TestClientGoesAway(t *testing.T) {
	b := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	explain, err := b.Run(ctx, rowsOf(0), func(*scan.Batch) error {
		if b.pool.Stats().Used == 0 {
			t.Error("a batch that was handed out takes no memory")
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, explained as\n%s", err, explain)
	}
	if n := b.pool.Stats().Used; n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
	if n := b.value(t, "varve_scan_read_rows_total"); n == 0 || n >= rigSeries*rigRows {
		t.Errorf("%g of %d rows were read", n, rigSeries*rigRows)
	}
}

// Several plans of one question share its place, limit and line in the log.
func TestPlansOfOneQuestion(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Concurrency, c.QueueWait, c.Slow = 1, 0, 1 })
	q := b.Begin(WithAsker(t.Context(), "grafana"))
	var open []*Answer
	for range 3 {
		a, err := q.Run(rowsOf(rigRows - 1))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, a)
	}
	for _, a := range open {
		for {
			batch, err := a.Next()
			if err != nil {
				t.Fatal(err)
			}
			if batch == nil {
				break
			}
		}
	}
	open[0].Close()
	q.Close()
	q.Close()
	if got := strings.Count(b.log.String(), "\n"); got != 1 {
		t.Errorf("the log has %d lines:\n%s", got, b.log)
	}
	for _, want := range []string{"level=WARN", "slow question", "plans=3", "rows=30", "asked_by=grafana", "waited=", `plan="scan: measurements 1,`} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the line has no %q: %s", want, b.log)
		}
	}
}

func TestSlowLog(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Slow = 1 })
	b.store.horizon = 5
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := b.Run(ctx, rowsOf(0), func(*scan.Batch) error { cancel(); return nil }); err == nil {
		t.Fatal("a question without a client was answered")
	}
	for _, want := range []string{`error="run plan: context canceled"`, "clipped to retention"} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the line has no %q: %s", want, b.log)
		}
	}
	if got := b.value(t, "varve_query_slow_total"); got != 1 {
		t.Errorf("%g slow questions are counted", got)
	}
	for name, slow := range map[string]time.Duration{"off": 0, "quick": time.Hour} {
		b := newRig(t, func(c *Config) { c.Slow = slow })
		if _, _, err := b.count(t.Context(), rowsOf(0)); err != nil || b.log.Len() > 0 {
			t.Errorf("%s: %v, log %s", name, err, b.log)
		}
	}
}

// Questions come and go, with and without a client, over too few places.
func TestManyAtOnce(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Concurrency, c.Queue = 3, 4 })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				p, want := rowsOf(int64(i%3)*rigRows/3), 1
				if (g+i)%4 == 0 {
					p = namesOf()
				} else {
					want = int(rigSeries * (p.Stop - p.Start))
				}
				ctx, cancel := context.WithCancel(t.Context())
				if (g+i)%5 == 0 {
					time.AfterFunc(time.Duration(i)*100*time.Microsecond, cancel)
				}
				n, _, err := b.count(ctx, p)
				var full *UnavailableError
				if err == nil && n != want || err != nil && !errors.As(err, &full) && !errors.Is(err, context.Canceled) {
					t.Errorf("got %d rows, want %d, %v", n, want, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}

func TestConfig(t *testing.T) {
	for _, break_ := range []func(*Config){
		func(c *Config) { c.Concurrency = -1 },
		func(c *Config) { c.Queue = -1 },
		func(c *Config) { c.QueueWait = -1 },
		func(c *Config) { c.Memory = -1 },
		func(c *Config) { c.Timeout = 0 },
		func(c *Config) { c.Slow = -1 },
	} {
		c := Default()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		break_(&c)
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}
