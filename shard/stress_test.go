package shard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
)

// stress is a shard at which everything is done at the same time.
//
// Writer w writes to its own series, as its n-th point, the value n at time
// n modulo span, and in every second one the field "odd" as well. So a reader
// who knows which points were acknowledged before its snapshot, and which were
// begun after it, knows for each time which values may stand there.
type stress struct {
	t   *testing.T
	ctx context.Context
	cfg shard.Config

	mu sync.RWMutex // held by all who use s, and for writing to restart it
	s  *shard.Shard

	begun, acked [stressWriters]atomic.Int64
	// gone is the newest value of the series "deleted" that a delete, which
	// was acknowledged, came after; born the newest that was begun.
	gone, born atomic.Int64

	reads, restarts atomic.Int64
}

const (
	stressWriters = 3
	stressSpan    = 2999 // odd, so that points of one time take turns in having the second field
)

// TestStress writes, deletes, flushes, merges, restarts and reads for some
// seconds; a long form by -rounds, in seconds.
func TestStress(t *testing.T) {
	length := 3 * time.Second
	if testing.Short() {
		length = time.Second
	}
	if *rounds > 0 {
		length = time.Duration(*rounds) * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	st := &stress{t: t, ctx: ctx, cfg: testConfig(vfs.NewMem(time.Now), t)}
	var err error
	if st.s, err = shard.Open(ctx, st.cfg); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range stressWriters {
		wg.Go(func() { st.write(w) })
	}
	wg.Go(st.delete)
	wg.Go(st.disturb)
	for r := range 2 {
		wg.Go(func() { st.read(uint64(r)) })
	}
	time.Sleep(length)
	cancel()
	wg.Wait()
	if err := st.s.Settle(context.Background()); err != nil {
		t.Error(err)
	}
	st.ctx = context.Background()
	st.readOnce()
	stats := st.s.Stats()
	if err := st.s.Close(); err != nil {
		t.Error(err)
	}
	mustCheck(t, st.cfg)
	t.Logf("%d points and %d deletes acknowledged, %d reads, %d restarts; since the last one %d flushes and %d merges",
		st.acked[0].Load()+st.acked[1].Load()+st.acked[2].Load(), st.gone.Load(), st.reads.Load(), st.restarts.Load(), stats.Flushes, stats.Compactions)
}

// use calls fn while the shard is open.
func (st *stress) use(fn func(s *shard.Shard) error) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	if st.ctx.Err() == nil && !st.t.Failed() {
		if err := fn(st.s); err != nil && st.ctx.Err() == nil {
			st.t.Error(err)
		}
	}
}

func (st *stress) running() bool { return st.ctx.Err() == nil && !st.t.Failed() }

// stressBatch holds points from to to-1 of a series.
func stressBatch(series string, from, to int64) *column.Batch {
	tb := &column.Table{Measurement: "m", Fields: []column.Field{
		{Name: "n", Vector: column.Vector{Type: column.Int64}},
		{Name: "odd", Vector: column.Vector{Type: column.String}},
	}}
	tb.Series.Add([]byte(series), column.HashSeries("m", []byte(series)))
	for n := from; n < to; n++ {
		tb.Row, tb.Time = append(tb.Row, 0), append(tb.Time, n%stressSpan)
		tb.Fields[0].AppendWord(uint64(n))
		if n%2 == 0 {
			tb.Fields[1].AppendNulls(1)
		} else {
			tb.Fields[1].AppendString(fmt.Append(nil, n))
		}
	}
	return &column.Batch{Tables: []*column.Table{tb}}
}

func (st *stress) write(w int) {
	rng := rand.New(rand.NewPCG(uint64(w), 21))
	for n := int64(1); st.running(); {
		to := n + 1 + rng.Int64N(150)
		st.use(func(s *shard.Shard) error {
			st.begun[w].Store(to - 1)
			err := s.Write(context.Background(), 1, stressBatch(fmt.Sprintf("host=w%d", w), n, to))
			if err == nil {
				st.acked[w].Store(to - 1)
			}
			return err
		})
		n = to
	}
}

// delete writes a few points of a series, deletes the whole series, and so on.
func (st *stress) delete() {
	for n := int64(1); st.running(); n++ {
		st.use(func(s *shard.Shard) error {
			st.born.Store(n)
			if err := s.Write(context.Background(), 1, stressBatch("host=deleted", n, n+1)); err != nil {
				return err
			}
			if n%3 != 0 {
				return nil
			}
			d := &tombstone.Tombstone{Bucket: 1, Measurement: "m", Min: 0, Max: stressSpan, Where: predicate.Eq("host", "deleted")}
			if err := s.Delete(context.Background(), d); err != nil {
				return err
			}
			st.gone.Store(n)
			return nil
		})
	}
}

// disturb flushes, merges and restarts.
func (st *stress) disturb() {
	rng := rand.New(rand.NewPCG(1, 22))
	for st.running() {
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		switch rng.IntN(4) {
		case 0:
			st.use(func(s *shard.Shard) error { return s.Flush(st.ctx) })
		case 1:
			st.use(func(s *shard.Shard) error {
				short, cancel := context.WithTimeout(st.ctx, 100*time.Millisecond)
				defer cancel()
				if err := s.Settle(short); short.Err() == nil {
					return err
				}
				return nil // writers go on all the time
			})
		case 2:
			st.restart()
		}
	}
}

func (st *stress) restart() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.s.Close(); err != nil {
		st.t.Error(err)
		return
	}
	s, err := shard.Open(context.Background(), st.cfg)
	if err != nil {
		st.t.Error(err)
		return
	}
	st.s = s
	st.restarts.Add(1)
}

func (st *stress) read(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 23))
	for st.running() {
		st.readOnce()
		time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
	}
}

// readOnce reads a snapshot twice with a pause between, and compares it with
// what was acknowledged.
func (st *stress) readOnce() {
	st.use(func(s *shard.Shard) error {
		var low, high [stressWriters]int64
		for w := range low {
			low[w] = st.acked[w].Load()
		}
		gone := st.gone.Load()
		n, err := s.Snapshot()
		if err != nil {
			return err
		}
		defer n.Close()
		for w := range high {
			high[w] = st.begun[w].Load()
		}
		born := st.born.Load()
		first, err := dump(n, 1)
		if err != nil {
			return err
		}
		for w := range low {
			if err := checkWriter(first, w, low[w], high[w]); err != nil {
				return err
			}
		}
		for k, v := range first {
			if k.series == "host=deleted" && k.field == "n" {
				if x := number(v); x <= gone || x > born {
					return fmt.Errorf("point %d of the deleted series is there, though only %d to %d may be", x, gone+1, born)
				}
			}
		}
		time.Sleep(time.Millisecond)
		second, err := dump(n, 1)
		if err != nil {
			return err
		}
		if d := second.diff(first); d != "" {
			return fmt.Errorf("a snapshot changed: %s", d)
		}
		st.reads.Add(1)
		return nil
	})
}

// number reads what render made of an integer.
func number(s string) int64 {
	var n int64
	fmt.Sscanf(s[strings.IndexByte(s, ':')+1:], "%x", &n)
	return n
}

// checkWriter compares the series of a writer, of whose points those up to low
// must be there and those up to high may.
func checkWriter(m model, w int, low, high int64) error {
	series := fmt.Sprintf("host=w%d", w)
	for at := range int64(stressSpan) {
		// The newest point of this time that must be there.
		must := low - (low-at)%stressSpan
		if at > low {
			must = 0
		}
		v, ok := m[point{1, "m", series, at, "n"}]
		if !ok {
			if must > 0 {
				return fmt.Errorf("%s: point %d is missing at %d", series, must, at)
			}
			continue
		}
		n := number(v)
		if n < must || n > high || n%stressSpan != at {
			return fmt.Errorf("%s: point %d stands at %d, where %d or a later one up to %d should", series, n, at, must, high)
		}
		// The other field is there since the newest odd point of this time.
		odd := n
		if odd%2 == 0 {
			odd -= stressSpan
		}
		want, has := fmt.Sprintf("%q", fmt.Sprint(odd)), odd > 0
		if got, ok := m[point{1, "m", series, at, "odd"}]; ok != has || has && got != want {
			return fmt.Errorf("%s: at %d, where point %d stands, the other field is %s, want %s (%t)", series, at, n, got, want, has)
		}
	}
	return nil
}
