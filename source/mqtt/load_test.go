package mqtt

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/varvedb/varve/bench"
	"github.com/varvedb/varve/bench/mqtt"
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/source"
)

// diskIntake is as slow as a disk and no slower: each call writes its payloads
// to a file and waits for an fsync.
type diskIntake struct{ f *os.File }

func (d *diskIntake) Take(_ context.Context, all []source.Message) (source.Result, error) {
	var b []byte
	for i := range all {
		b = append(b, all[i].Payload...)
	}
	if _, err := d.f.Write(b); err != nil {
		return source.Result{}, err
	}
	return source.Result{Stored: len(all)}, d.f.Sync()
}

func (d *diskIntake) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	return source.Result{}, nil
}

// BenchmarkLoad reports messages a second of a fleet in the same process, and
// how long acknowledgements took.
func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct {
		name   string
		change func(*mqtt.Config)
	}{
		{"fleet", func(*mqtt.Config) {}},
		{"rate", func(c *mqtt.Config) { c.Rate = 10_000 }},
		{"bridge", func(c *mqtt.Config) { c.Connections, c.Window = 1, 1000 }},
		{"3.1.1", func(c *mqtt.Config) { c.Version = 4 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "log"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			broker := open(b, Default(), Deps{})
			read(b, broker, "p", &diskIntake{f}, "#")
			cfg := mqtt.Default()
			cfg.Addr, cfg.Duration = broker.Addr("mqtt"), 3*time.Second
			c.change(&cfg)
			var r bench.MQTTReport
			for b.Loop() {
				if r, err = bench.RunMQTT(b.Context(), bench.MQTTConfig{Fleet: cfg, JSON: true}, devNull{}); err != nil {
					b.Fatal(err)
				}
			}
			s := broker.Stats()
			b.ReportMetric(r.PerSecond, "messages/s")
			b.ReportMetric(r.Latency.P99, "p99-ms")
			b.ReportMetric(float64(s.Taken)/float64(s.Commits), "messages/commit")
			b.ReportMetric(0, "ns/op")
			if r.Acknowledged != r.Sent {
				b.Errorf("%d sent, %d acknowledged", r.Sent, r.Acknowledged)
			}
		})
	}
}

type devNull struct{}

func (devNull) Write(b []byte) (int, error) { return len(b), nil }
