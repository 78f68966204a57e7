package bench

import (
	"runtime"
	"strings"
	"testing"

	"github.com/varvedb/varve/bench/fleet"
)

// TestAdvice gives reports whose limit is plain, and looks for the word that
// matters in what is advised.
func TestAdvice(t *testing.T) {
	procs := float64(runtime.NumCPU())
	report := func(change func(*WriteReport)) WriteReport {
		r := WriteReport{Seconds: 10, Rows: 10_000_000, Requests: 1000, LoaderCPUSeconds: 0.05 * 10 * procs,
			Latency: Latency{P50: 20}, Servers: []ServerReport{{CPUSeconds: 0.9 * 10 * procs}}}
		change(&r)
		r.derive()
		return r
	}
	config := func(change func(*WriteConfig)) WriteConfig {
		c := DefaultWrite(fleet.Host)
		change(&c)
		return c
	}
	plain := func(*WriteConfig) {}
	for _, tt := range []struct {
		name   string
		config WriteConfig
		report WriteReport
		want   []string // one for each piece of advice
	}{
		{"busy with long bodies", config(plain), report(func(*WriteReport) {}), nil},
		{"nothing was sent", config(plain), report(func(r *WriteReport) { r.Rows = 0 }), nil},
		{"waiting for the disk", config(func(c *WriteConfig) { c.BodyLines = 10 }), report(func(r *WriteReport) {
			r.Servers[0].CPUSeconds = 0.1 * 10 * procs
			r.Servers[0].Inside = &Inside{Syncs: 900, SyncMeanMillis: 7.5}
		}), []string{"--workers (now 2): they share each fsync; more --body-lines (now 10)"}},
		{"a remote server that waits", config(plain), report(func(r *WriteReport) {
			r.Servers[0].CPUSeconds = 0
			r.Servers[0].Inside = &Inside{Processors: 8, CPUSeconds: 20}
		}), []string{"--workers"}},
		{"nothing known of the server", config(plain), report(func(r *WriteReport) { r.Servers[0].CPUSeconds = 0 }), nil},
		{"short bodies", config(func(c *WriteConfig) { c.BodyLines = 100 }), report(func(*WriteReport) {}), []string{"--body-lines (now 100)"}},
		{"the loader", config(func(c *WriteConfig) { c.Gzip = true }), report(func(r *WriteReport) {
			r.LoaderCPUSeconds, r.Servers[0].CPUSeconds = 0.6*10*procs, 0.3*10*procs
		}), []string{"another machine, or several of them; or without --gzip"}},
		{"decompression", config(func(c *WriteConfig) { c.Gzip = true }), report(func(*WriteReport) {}), []string{"without --gzip"}},
		{"held back", config(func(c *WriteConfig) { c.RowsPerSecond = 1e6 }), report(func(*WriteReport) {}), []string{"leave out --rate"}},
		{"no room, thin partitions, behind, wide values", config(plain), report(func(r *WriteReport) {
			r.Servers[0].Inside = &Inside{Stalls: 3, Flushes: 2, NewPartitions: 100, MaxSegments: 15, SegmentBytesPerValue: 6.3}
		}), []string{"--memory-limit", "partition length", "settle", "level best"}},
		{"a server that is well", config(plain), report(func(r *WriteReport) {
			r.Servers[0].Inside = &Inside{Flushes: 10, NewPartitions: 20, MaxSegments: 10, SegmentBytesPerValue: 0.4}
		}), nil},
	} {
		got := advise(tt.config, &tt.report)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %d pieces of advice %v, want %d", tt.name, len(got), got, len(tt.want))
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(got[i].Do, want) || got[i].Seen == "" {
				t.Errorf("%s: advice %+v, want one about %q", tt.name, got[i], want)
			}
		}
	}
}

func TestVariantsDifferInOneThing(t *testing.T) {
	base := DefaultWrite(fleet.Host)
	base.BodyLines, base.Trial = 100, 1
	var changes []string
	for _, v := range variants(base) {
		changes = append(changes, v.change)
		n := 0
		for _, differs := range []bool{v.cfg.Workers != base.Workers, v.cfg.BodyLines != base.BodyLines, v.cfg.Gzip != base.Gzip} {
			if differs {
				n++
			}
		}
		if want := min(1, len(changes)-1); n != want {
			t.Errorf("%s changes %d things, want %d", v.change, n, want)
		}
	}
	if got, want := strings.Join(changes[1:], " "), "--workers 8 --body-lines 1000 --gzip=true"; got != want {
		t.Errorf("tried is %q, want %q", got, want)
	}
	base.BodyLines = manyLines
	if n := len(variants(base)); n != 3 {
		t.Errorf("%d variants of a load with long bodies, want 3", n)
	}
}
