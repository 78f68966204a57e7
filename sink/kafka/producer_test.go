package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/kafka"
	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/source"
)

func newCluster(t testing.TB, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newProducer(t testing.TB, cfg Config) *Producer {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func testConfig(addrs []string) Config {
	cfg := Default()
	cfg.Brokers, cfg.Topic, cfg.Timeout = addrs, "processed-data", 10*time.Second
	return cfg
}

// numbered returns messages from..to-1.
func numbered(from, to int) []pipeline.Outgoing {
	var all []pipeline.Outgoing
	for i := from; i < to; i++ {
		all = append(all, pipeline.Outgoing{Key: fmt.Appendf(nil, "t/0/%d", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
	return all
}

// read returns n records of a topic.
func read(t testing.TB, addrs []string, topic string, n int) []*kgo.Record {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	var all []*kgo.Record
	for len(all) < n {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records of %s, want %d", len(all), topic, n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func TestProduce(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		c := newCluster(t, kfake.SeedTopics(1, "processed-data", "other"))
		cfg := testConfig(c.ListenAddrs())
		cfg.Compression = codec
		p := newProducer(t, cfg)
		out := numbered(0, 2)
		out[0].Headers = []pipeline.Header{{Key: "varve-reason", Value: []byte("bad_json")}}
		if err := p.Produce(t.Context(), append(out, pipeline.Outgoing{Topic: "other", Value: []byte("x")})); err != nil {
			t.Fatal(err)
		}
		got := read(t, cfg.Brokers, "processed-data", 2)
		if string(got[0].Key) != "t/0/0" || string(got[0].Value) != "value 0" || string(got[1].Value) != "value 1" {
			t.Errorf("%s: got %v", codec, got)
		}
		if diff := cmp.Diff([]kgo.RecordHeader{{Key: "varve-reason", Value: []byte("bad_json")}}, got[0].Headers); diff != "" {
			t.Error(diff)
		}
		if got := read(t, cfg.Brokers, "other", 1); string(got[0].Value) != "x" || len(got[0].Key) > 0 {
			t.Errorf("other: got %v", got)
		}
	}
}

// TestTooLarge checks that messages that are too large for the producer or for
// the broker are told of, and that all others get there.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "processed-data"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000"}))
	cfg := testConfig(c.ListenAddrs())
	cfg.Compression, cfg.BatchBytes, cfg.Timeout = "none", 100_000, time.Minute
	p := newProducer(t, cfg)
	out := numbered(0, 1000) // more than the broker takes in a batch
	out[7].Value = bytes.Repeat([]byte("x"), 30_000)
	out[500].Value = bytes.Repeat([]byte("x"), 300_000)
	err := p.Produce(t.Context(), out)
	var not *pipeline.Unacceptable
	if !errors.As(err, &not) || !slices.Equal(not.Messages, []int{7, 500}) || !strings.Contains(err.Error(), "processed-data") {
		t.Fatalf("got %v", err)
	}
	var keys []string
	for _, r := range read(t, cfg.Brokers, "processed-data", 998) {
		keys = append(keys, string(r.Key))
	}
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) != 998 || slices.Contains(keys, "t/0/7") || slices.Contains(keys, "t/0/500") {
		t.Errorf("%d different messages", len(keys))
	}
}

// TestAway checks that a broker that is away is told of as one that may come
// back, in time, and that what is sent then gets there.
func TestAway(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	cfg := testConfig([]string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	cfg.Timeout = time.Second
	p := newProducer(t, cfg)
	from := time.Now()
	if err := p.Produce(t.Context(), numbered(0, 10)); !errors.Is(err, source.ErrBusy) {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(from); took > 10*time.Second {
		t.Errorf("it took %v to give up", took)
	}
	dir := t.TempDir()
	begin := func() *kfake.Cluster {
		return newCluster(t, kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(), kfake.SeedTopics(1, "processed-data"))
	}
	c := begin()
	until(t, func() bool { return p.Produce(t.Context(), numbered(0, 10)) == nil })
	c.Close()
	// An answer that is lost: the request is under way when the broker goes.
	if err := p.Produce(t.Context(), numbered(10, 20)); !errors.Is(err, source.ErrBusy) {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := p.Produce(ctx, numbered(10, 20)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	begin()
	until(t, func() bool { return p.Produce(t.Context(), numbered(10, 20)) == nil })
	seen := map[string]bool{}
	for _, r := range read(t, cfg.Brokers, "processed-data", 20) {
		seen[string(r.Key)] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d different messages, want 20", len(seen))
	}
}

// TestIdempotent checks that what the producer sends again by itself is there
// once.
func TestIdempotent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "processed-data"))
	lost := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 2})
	p := newProducer(t, testConfig(c.ListenAddrs()))
	if err := p.Produce(t.Context(), numbered(0, 100)); err != nil {
		t.Fatal(err)
	}
	if lost.Hits() != 2 {
		t.Fatalf("%d answers were lost, want 2", lost.Hits())
	}
	if err := p.Produce(t.Context(), numbered(100, 101)); err != nil {
		t.Fatal(err)
	}
	got := read(t, c.ListenAddrs(), "processed-data", 101)
	for i, r := range got {
		if string(r.Key) != fmt.Sprintf("t/0/%d", i) {
			t.Fatalf("record %d is %s", i, r.Key)
		}
	}
}

// TestFull checks that producers wait for room, and get it.
func TestFull(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(3, "processed-data"))
	cfg := testConfig(c.ListenAddrs())
	cfg.BufferBytes, cfg.Timeout = 10_000, time.Minute
	p := newProducer(t, cfg)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if err := p.Produce(t.Context(), numbered(n*1000, (n+1)*1000)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	read(t, cfg.Brokers, "processed-data", 8000)
}

func TestNoTopic(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	p := newProducer(t, testConfig(c.ListenAddrs()))
	if err := p.Produce(t.Context(), numbered(0, 1)); !errors.Is(err, source.ErrBusy) || !strings.Contains(err.Error(), "processed-data") {
		t.Errorf("got %v", err)
	}
}

func TestDeclare(t *testing.T) {
	declared := func(text string) (Config, error) {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		s := declare.Section(n.Content[0], "kafka")
		c := Declare(s)
		return c, s.Err()
	}
	got, err := declared(`{brokers: "h:1", topic: t, client_id: me, compression: zstd, linger: 1ms, buffer: 1MiB, batch: 2KiB, timeout: 5s}`)
	want := Config{Connection: kafka.Connection{Brokers: []string{"h:1"}, ClientID: "me"}, Topic: "t", Compression: "zstd",
		Linger: time.Millisecond, BufferBytes: 1 << 20, BatchBytes: 2 << 10, Timeout: 5 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for text, want := range map[string]string{
		`{brokers: "h:1"}`: "topic: is missing",
		`{topic: t}`:       "brokers: is missing",
		`{brokers: "h:1", topic: t, compression: x}`:   "want one of none",
		`{brokers: "h:1", topic: t, linger: 5m}`:       "at most 1m",
		`{brokers: "h:1", topic: t, batch: 1B}`:        "want 1KiB to 64MiB",
		`{brokers: "h:1", topic: t, timeout: 1ms}`:     "at least 1s",
		`{brokers: "h:1", topic: t, compresion: none}`: "did you mean compression?",
	} {
		if _, err := declared(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	cfg := Default()
	cfg.Compression = "bad"
	if _, err := New(cfg); err == nil {
		t.Error("a producer with a compression that there is not")
	}
}

func until(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("not within 30 s")
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}

// BenchmarkProduce is what it costs to pass messages on, the broker, which is in
// the process and keeps nothing, included.
func BenchmarkProduce(b *testing.B) {
	for _, codec := range []string{"none", "snappy", "lz4", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			c := newCluster(b, kfake.SeedTopics(8, "processed-data"), kfake.BlackholeProduce())
			cfg := testConfig(c.ListenAddrs())
			cfg.Compression = codec
			p := newProducer(b, cfg)
			const batch = 8192
			out := make([]pipeline.Outgoing, batch)
			for i := range out {
				out[i] = pipeline.Outgoing{Key: fmt.Appendf(nil, "sensor-data/3/%d", i),
					Value: fmt.Appendf(nil, `{"timestamp":"2026-01-02T15:04:05.%06dZ","sensor_type":"temperature","location":"seoul","value":%d.5,"quality":98,"anomaly":false,"quality_level":"excellent","processed_at":"2026-01-01T00:00:00Z"}`, i, i%100)}
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := p.Produce(b.Context(), out); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
