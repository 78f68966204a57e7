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

// TestFleet: the load counts what it sends and what is acknowledged, and tells
// when connections are lost.
func TestFleet(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "sensors/bench/#")
	for name, change := range map[string]func(*mqtt.Config){
		"window": func(c *mqtt.Config) { c.Window = 3 },
		"rate":   func(c *mqtt.Config) { c.Rate, c.Version = 500, 4 },
		"qos 0":  func(c *mqtt.Config) { c.Rate, c.QoS = 500, 0 },
	} {
		before := len(in.all())
		c := mqtt.Default()
		c.Addr, c.Connections, c.Duration = b.Addr("mqtt"), 7, 200*time.Millisecond
		change(&c)
		r, err := bench.RunMQTT(t.Context(), bench.MQTTConfig{Fleet: c, JSON: true}, devNull{})
		if err != nil || r.Sent < 50 || c.QoS > 0 && r.Acknowledged != r.Sent || r.Lost > 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		eventually(t, name+": all is taken", func() bool { return len(in.all())-before == int(r.Sent) })
	}
	c := mqtt.Default()
	c.Addr, c.Connections, c.Duration = b.Addr("mqtt"), 2, 2*time.Second
	time.AfterFunc(300*time.Millisecond, func() { b.Close() })
	if r, err := bench.RunMQTT(t.Context(), bench.MQTTConfig{Fleet: c, JSON: true}, devNull{}); err == nil || r.Lost == 0 || r.FirstLost == "" {
		t.Errorf("when the broker stops: %+v, %v", r, err)
	}
	if _, err := bench.RunMQTT(t.Context(), bench.MQTTConfig{Fleet: c, JSON: true}, devNull{}); err == nil {
		t.Error("nobody listens, and all is well")
	}
}
