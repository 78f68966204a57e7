package apptest

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	kills = flag.Int("kills", 5, "how often tests that kill the server do so")
	seed  = flag.Uint64("seed", 0, "seed of those tests; 0 for a new one")
)

// point i of a writer has the time i microseconds and the value i.
const pointEvery = 1000 // nanoseconds

// killWriter writes points in order and knows which are acknowledged.
type killWriter struct {
	name  string
	sent  int64        // points that were sent at least once
	acked atomic.Int64 // all points before this one are acknowledged
}

// run writes to s until stop says so; a body that was not acknowledged is
// sent again by the next run.
func (w *killWriter) run(s *server, rng *rand.Rand, stop *atomic.Bool) error {
	for !stop.Load() {
		from := w.acked.Load()
		n := int64(1 + rng.IntN(500))
		var b strings.Builder
		for i := from; i < from+n; i++ {
			fmt.Fprintf(&b, "k,w=%s v=%di,f=%d.25 %d\n", w.name, i, i%100, i*pointEvery)
		}
		w.sent = max(w.sent, from+n)
		a, err := s.do(http.MethodPost, s.http+"/api/v2/write", b.String())
		switch {
		case err != nil:
			return nil // killed
		case a.status == 204:
			w.acked.Add(n)
		case a.status != 503:
			return fmt.Errorf("write: status %d: %s", a.status, a.body)
		}
	}
	return nil
}

// TestKill kills the server under load again and again: no acknowledged point
// may be missing, whatever was going on. `make soak` does it 200 times.
func TestKill(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 1))
	dir := t.TempDir()
	var writers []*killWriter
	for i := range 4 {
		writers = append(writers, &killWriter{name: fmt.Sprint(i)})
	}
	// A small memory limit makes small memtables, so that kills meet flushes
	// and merges too.
	args := []string{"--memory-limit", "64MiB", "--log-level", "warn"}
	s := start(t, dir, args...)
	for range *kills {
		var stop atomic.Bool
		var wg sync.WaitGroup
		errs := make(chan error, len(writers)+1)
		for i, w := range writers {
			own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
			wg.Go(func() { errs <- w.run(s, own, &stop) })
		}
		settle := rng.IntN(3) == 0
		wg.Go(func() {
			if settle {
				// It is killed in the middle, so that an error says nothing.
				_, _ = s.do(http.MethodPost, s.service+"/api/v1/settle", "")
			}
			errs <- nil
		})
		time.Sleep(time.Duration(20+rng.IntN(600)) * time.Millisecond)
		s.kill()
		stop.Store(true)
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		s = start(t, dir, args...)
		verify(t, s, writers)
	}
	s.must(204, http.MethodPost, s.service+"/api/v1/settle", "")
	verify(t, s, writers)
	if a := s.must(200, http.MethodPost, s.service+"/api/v1/check", ""); a.body != "{\"problems\":0}\n" {
		t.Errorf("check: %s", a.body)
	}
}

// verify compares what was acknowledged with what is there.
func verify(t *testing.T, s *server, writers []*killWriter) {
	t.Helper()
	total := int64(0)
	for _, w := range writers {
		acked := w.acked.Load()
		total += acked
		if acked == 0 {
			continue
		}
		for _, f := range []string{"count", "sum"} {
			want := acked
			if f == "sum" {
				want = acked * (acked - 1) / 2
			}
			got := s.query(fmt.Sprintf(`{"measurement":"k","start":"1970-01-01T00:00:00Z","stop":%q,"filters":{"w":%q},"fields":["v"],"aggregation":%q,"group_by":[]}`,
				time.Unix(0, acked*pointEvery).UTC().Format(time.RFC3339Nano), w.name, f))
			if len(got) != 1 || got[0].Value != json.Number(fmt.Sprint(want)) {
				t.Fatalf("writer %s: %s of %d acknowledged points is %+v, want %d", w.name, f, acked, got, want)
			}
		}
		all := s.query(fmt.Sprintf(`{"measurement":"k","start":"1970-01-01T00:00:00Z","stop":"2000-01-01T00:00:00Z","filters":{"w":%q},"fields":["v"],"aggregation":"count","group_by":[]}`, w.name))
		n, err := all[0].Value.(json.Number).Int64()
		if err != nil || n > w.sent {
			t.Fatalf("writer %s: %d points, but only %d were sent (%v)", w.name, n, w.sent, err)
		}
	}
	t.Logf("%d acknowledged points are all there", total)
}
