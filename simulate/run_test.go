package simulate

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/simulate/fleet"
	"github.com/varvedb/varve/simulate/target"
)

// slow is a target that takes a while for a batch and keeps what came.
type slow struct {
	*target.Stream
	mu    sync.Mutex // guards out, batches
	out   bytes.Buffer
	most  int
	pause time.Duration
	err   error
	never bool // Send waits until it is ended
}

func newSlow(t *testing.T, tally *target.Tally) *slow {
	t.Helper()
	s := &slow{}
	var err error
	if s.Stream, err = target.NewStream(&s.out, nil, tally); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *slow) Send(ctx context.Context, b *target.Batch) error {
	if s.err != nil {
		return s.err
	}
	if s.never {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(s.pause)
	s.mu.Lock()
	s.most = max(s.most, b.Len())
	s.mu.Unlock()
	return s.Stream.Send(ctx, b)
}

func (s *slow) lines() []string {
	list := strings.Split(strings.TrimSuffix(s.out.String(), "\n"), "\n")
	slices.Sort(list)
	return list
}

func runOf(t *testing.T, change func(*Config)) (*Run, *slow) {
	t.Helper()
	cfg := Default()
	cfg.Every = 10 * time.Millisecond
	change(&cfg)
	tally := &target.Tally{}
	r, err := New(cfg, tally)
	if err != nil {
		t.Fatal(err)
	}
	return r, newSlow(t, tally)
}

func do(t *testing.T, r *Run, s Target) Report {
	t.Helper()
	report, err := r.Do(t.Context(), s, func(Report) {})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestSameMessagesWithAnySenders(t *testing.T) {
	var want []string
	for _, senders := range []int{1, 2, 7} {
		r, s := runOf(t, func(c *Config) { c.Fast, c.Fleet.Count, c.Senders, c.Batch = true, 5000, senders, 64 })
		report := do(t, r, s)
		if report.Sent != 5000 || report.Acked != 5000 || report.Missing != 0 {
			t.Fatalf("report %+v", report)
		}
		got := s.lines()
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d senders send other messages than one", senders)
		}
		if s.most > 64 {
			t.Errorf("a batch of %d messages", s.most)
		}
	}
}

// TestRealTime runs a second of a fleet: all that was due is sent, when it is
// due, and the same as in a fast run.
func TestRealTime(t *testing.T) {
	settings := func(c *Config) {
		c.Fleet.Devices, c.Fleet.Interval, c.Fleet.MaxLateness = 200, 100*time.Millisecond, 300*time.Millisecond
		c.Fleet.Until = c.Fleet.Start.Add(time.Second)
	}
	fast, fastTarget := runOf(t, func(c *Config) { settings(c); c.Fast = true })
	do(t, fast, fastTarget)
	var lines int
	r, s := runOf(t, func(c *Config) { settings(c); c.Fleet.Until = time.Time{}; c.Duration = time.Second })
	report, err := r.Do(t.Context(), s, func(r Report) { lines += strings.Count(r.Line(), "acknowledged") })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fastTarget.lines(), s.lines()) {
		t.Error("a run in real time sends other messages than a fast one")
	}
	if report.Seconds < 0.9 || report.Seconds > 5 || report.Wanted != 2000 || lines == 0 {
		t.Errorf("report %+v, told %d times", report, lines)
	}
	if report.P50 < 0 || report.P50 > 500 {
		t.Errorf("half of the messages took %v ms", report.P50)
	}
}

// TestBehind has a target that is slower than the schedule: that is told, and
// latencies count the waiting.
func TestBehind(t *testing.T) {
	r, s := runOf(t, func(c *Config) {
		c.Fleet.Devices, c.Fleet.Interval, c.Fleet.Late = 100, 100*time.Millisecond, 0
		c.Duration, c.Senders, c.Batch = 300*time.Millisecond, 1, 10
	})
	s.pause = 50 * time.Millisecond // for ten messages, of which a thousand a second are due
	report := do(t, r, s)
	if report.Worst < 500 || report.P99 < report.Worst/2 || report.Missing != 0 || report.Late == 0 {
		t.Errorf("report %+v", report)
	}
	var out bytes.Buffer
	report.Print(&out)
	if !strings.Contains(out.String(), "not held") {
		t.Errorf("it says %s", out.String())
	}
}

func TestRate(t *testing.T) {
	r, s := runOf(t, func(c *Config) { c.Fast, c.Rate, c.Fleet.Count = true, 2000, 1000 })
	report := do(t, r, s)
	if report.Seconds < 0.4 || report.Seconds > 3 || report.Wanted != 2000 {
		t.Errorf("a thousand messages at 2,000 a second took %v s", report.Seconds)
	}
}

func TestEnds(t *testing.T) {
	r, s := runOf(t, func(c *Config) { c.Fast, c.Duration = true, 50*time.Millisecond })
	if report := do(t, r, s); report.Sent == 0 || report.Missing != 0 || report.Seconds > 5 {
		t.Errorf("a fast run with a duration: %+v", report)
	}
	r, s = runOf(t, func(c *Config) {})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if report, err := r.Do(ctx, s, func(Report) {}); err != nil || report.Sent == 0 || report.Seconds > 5 {
		t.Errorf("a run that is ended: %+v, %v", report, err)
	}
	r, s = runOf(t, func(c *Config) { c.Fast = true })
	s.err = errors.New("broken")
	if _, err := r.Do(t.Context(), s, func(Report) {}); !errors.Is(err, s.err) {
		t.Errorf("a target that fails: %v", err)
	}
	// What a target never takes is not waited for longer than the grace.
	r, s = runOf(t, func(c *Config) { c.Fast, c.Duration, c.Grace = true, 20*time.Millisecond, 50*time.Millisecond })
	s.never = true
	if report, err := r.Do(t.Context(), s, func(Report) {}); err != nil || report.Seconds > 5 {
		t.Errorf("a target that hangs: %+v, %v", report, err)
	}
}

func TestLabels(t *testing.T) {
	r, s := runOf(t, func(c *Config) { c.Fast, c.Fleet.Count, c.Fleet.Anomalies, c.Layout.Device = true, 50_000, 0.05, true })
	report := do(t, r, s)
	var out bytes.Buffer
	if err := WriteLabels(&out, r.Fleet(), report.Until.Add(1)); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	r.Fleet().Labels(math.MaxInt64, func(*fleet.Label) bool { want++; return true })
	if len(rows) != want+1 || want < 50 {
		t.Errorf("%d labels of %d", len(rows)-1, want)
	}
	for _, row := range rows[1:] {
		start, err := time.Parse(time.RFC3339Nano, row[4])
		end, err2 := time.Parse(time.RFC3339Nano, row[5])
		if err != nil || err2 != nil || end.Before(start) || !strings.HasPrefix(row[0], "device-") {
			t.Errorf("label %q: %v %v", row, err, err2)
		}
	}
}

func TestTemplates(t *testing.T) {
	r, _ := runOf(t, func(c *Config) { c.Topic = "a/{location}/{sensor_type}/{device}" })
	var m fleet.Message
	r.Fleet().Walk(1, 2).Next(&m)
	if got := string(r.topic.Append(nil, r.Fleet(), &m)); got != "a/busan/humidity/device-1" {
		t.Errorf("the topic is %q", got)
	}
	for _, text := range []string{"a/{place}", "a/{device", "a/{}"} {
		cfg := Default()
		cfg.Topic = text
		if _, err := New(cfg, &target.Tally{}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("topic %q: %v", text, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"senders": func(c *Config) { c.Senders = 0 }, "batch": func(c *Config) { c.Batch = 0 },
		"linger": func(c *Config) { c.Linger = -1 }, "rate": func(c *Config) { c.Rate = 5 },
		"format": func(c *Config) { c.Layout.Format = "xml" }, "devices": func(c *Config) { c.Fleet.Devices = 0 },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
