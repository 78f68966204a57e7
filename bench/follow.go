package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Follower listens to the live stream of a server and measures how long points
// took from their own time, which a load sets to when it sent them, until they
// were read here.
type Follower struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	latency Histogram
	points  uint64
	missed  uint64
	failed  error
}

// Follow begins to listen to a measurement of the server at url.
func Follow(ctx context.Context, url, token, measurement string) (*Follower, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/api/v1/stream?measurement="+measurement, nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("follow: %w", err)
	}
	req.Header.Set("Accept", "application/x-ndjson")
	req.Header.Set("Authorization", "Token "+token)
	resp, err := http.DefaultClient.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("the server answers %s", resp.Status)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("follow: %w", err)
	}
	f := &Follower{cancel: cancel}
	f.done.Go(func() {
		defer resp.Body.Close()
		lines := bufio.NewReaderSize(resp.Body, 1<<20)
		for {
			line, err := lines.ReadSlice('\n')
			if err != nil {
				if ctx.Err() == nil {
					f.mu.Lock()
					f.failed = err
					f.mu.Unlock()
				}
				return
			}
			f.take(line, time.Now())
		}
	})
	return f, nil
}

// take reads a line of the stream, which begins with the time of the point.
func (f *Follower) take(line []byte, now time.Time) {
	const head = `{"time":"`
	f.mu.Lock()
	defer f.mu.Unlock()
	if rest, ok := bytes.CutPrefix(line, []byte(head)); ok {
		text, _, _ := bytes.Cut(rest, []byte{'"'})
		if at, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
			f.points++
			f.latency.Add(max(now.Sub(at), 0))
		}
		return
	}
	var other struct{ Missed uint64 }
	if len(bytes.TrimSpace(line)) > 0 && json.Unmarshal(line, &other) == nil {
		f.missed += other.Missed
	}
}

// Followed is what a Follower saw.
type Followed struct {
	Points  uint64  `json:"points"`
	Missed  uint64  `json:"missed"`
	Latency Latency `json:"latency"`
}

// Close stops to listen and returns what was seen.
func (f *Follower) Close() (Followed, error) {
	f.cancel()
	f.done.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return Followed{}, fmt.Errorf("follow: the stream ended: %w", f.failed)
	}
	return Followed{f.points, f.missed, f.latency.Latency()}, nil
}
