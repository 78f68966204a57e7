package apptest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const kafkaPipeline = `
pipelines:
  sensor-data:
    source:
      kafka: {brokers: [%q], topics: [sensor-data], group: varve, instance: one, batch: 500}
    decode:
      json: {measurement: m, time: timestamp, tags: [sensor_type], fields: {value: float, seq: int}}
    validate:
      - range: {field: value, min: -50, max: 100}
    sinks:
      - store: {}
      - kafka: {topic: processed-data}
    dead_letter:
      kafka: {topic: refused}
`

// What message number seq is: most are good, some break a rule, some are no JSON.
const (
	kafkaBase     = 1767366245000 // ms since 1970, the time of message 0
	kafkaOutEvery = 97
	kafkaBadEvery = 101
)

func kafkaMessage(seq int) []byte {
	switch {
	case seq%kafkaBadEvery == 1:
		return fmt.Appendf(nil, `{"seq": %d, broken`, seq)
	case seq%kafkaOutEvery == 2:
		return fmt.Appendf(nil, `{"seq": %d, "sensor_type": "t", "value": 300, "timestamp": %d}`, seq, kafkaBase+seq)
	}
	return fmt.Appendf(nil, `{"seq": %d, "sensor_type": "t", "value": %d, "timestamp": %d}`, seq, seq%40, kafkaBase+seq)
}

func kafkaGood(seq int) bool { return seq%kafkaBadEvery != 1 && seq%kafkaOutEvery != 2 }

// TestApacheKafka sends numbered messages over Kafka while server and broker are
// killed in turn. In the end each that the broker acknowledged is in the store
// and in the topic behind it, or in the dead-letter topic with its reason, and
// the group has committed exactly what there is.
func TestApacheKafka(t *testing.T) {
	const partitions = 6
	r := *seed
	if r == 0 {
		r = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", r)
	rng := rand.New(rand.NewPCG(r, 5))
	b := startApacheKafka(t)
	client := b.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	for _, topic := range []string{"sensor-data", "processed-data", "refused"} {
		if _, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	args := []string{"--memory-limit", "64MiB", "--log-level", "warn", "--pipelines-file", pipelineFile(t, "", fmt.Sprintf(kafkaPipeline, b.addr))}
	s := start(t, dir, args...)

	sent := make(chan int)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { sent <- kafkaSend(t, ctx, client, partitions) }()
	for i := range *kills {
		time.Sleep(time.Duration(100+rng.IntN(1500)) * time.Millisecond)
		s.kill()
		if i%3 == 2 { // both are away for a moment
			b.kill()
			b.start()
		}
		s = start(t, dir, args...)
		if i%3 == 1 {
			time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
			b.kill()
			time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
			b.start()
		}
	}
	stop()
	n := <-sent
	kafkaCaughtUp(t, admin)

	good := map[int]bool{}
	for seq := range n {
		if kafkaGood(seq) {
			good[seq] = true
		}
	}
	rows := s.rows(`from(bucket: "default") |> range(start: 0) |> filter(fn: (r) => r._measurement == "m" and r._field == "seq") |> keep(columns: ["_time", "_value"])`, "_value")
	missing, extra := len(good), 0
	seen := map[int]bool{}
	for _, row := range rows {
		seq, err := strconv.Atoi(row)
		if err != nil {
			t.Fatal(err)
		}
		if seen[seq] || !good[seq] {
			extra++
			continue
		}
		seen[seq] = true
		missing--
	}
	if missing > 0 || extra > 0 {
		t.Errorf("of %d good messages %d are not stored, and %d points should not be there", len(good), missing, extra)
	}
	again := kafkaCheckTopic(t, b, "processed-data", n, kafkaGood, func(r *kgo.Record) string {
		if parts := strings.Split(string(r.Key), "/"); len(parts) != 3 || parts[0] != "sensor-data" {
			return "key " + string(r.Key)
		}
		return ""
	})
	againRefused := kafkaCheckTopic(t, b, "refused", n, func(seq int) bool { return !kafkaGood(seq) }, func(r *kgo.Record) string {
		have := map[string]string{}
		for _, h := range r.Headers {
			have[h.Key] = string(h.Value)
		}
		if have["varve-pipeline"] != "sensor-data" || have["varve-topic"] != "sensor-data" || have["varve-offset"] == "" ||
			have["varve-reason"] != "bad_json" && have["varve-reason"] != "value_out_of_range" {
			return fmt.Sprint("headers ", have)
		}
		return ""
	})
	t.Logf("%d messages; %d were passed on again and %d refused again", n, again, againRefused)
}

// kafkaSend sends numbered messages, each until the broker has acknowledged it,
// until ctx ends, and returns how many there are.
func kafkaSend(t *testing.T, ctx context.Context, client *kgo.Client, partitions int) int {
	const batch = 100
	n := 0
	for ctx.Err() == nil {
		var records []*kgo.Record
		for range batch {
			records = append(records, &kgo.Record{Topic: "sensor-data", Partition: int32(n % partitions), Value: kafkaMessage(n)})
			n++
		}
		if err := client.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr(); err != nil {
			t.Errorf("send: %v", err)
			return n
		}
		time.Sleep(10 * time.Millisecond)
	}
	return n
}

// kafkaCaughtUp waits until the group has committed all that there is.
func kafkaCaughtUp(t *testing.T, admin *kadm.Client) {
	t.Helper()
	lag := int64(-1)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ends, err := admin.ListEndOffsets(t.Context(), "sensor-data")
		if err != nil {
			continue
		}
		committed, err := admin.FetchOffsets(t.Context(), "varve")
		if err != nil {
			continue
		}
		lag = 0
		ends.Each(func(o kadm.ListedOffset) {
			at := int64(0)
			if c, ok := committed.Lookup(o.Topic, o.Partition); ok && c.At > 0 {
				at = c.At
			}
			lag += o.Offset - at
		})
		if lag == 0 {
			return
		}
	}
	t.Fatalf("%d messages are not read after %s", lag, patience)
}

// kafkaCheckTopic checks that a topic has every number below n that it should
// have, and none that it should not. It returns how many it has again.
func kafkaCheckTopic(t *testing.T, b *apacheKafka, topic string, n int, want func(seq int) bool, wrong func(*kgo.Record) string) int {
	t.Helper()
	left := map[int]bool{}
	for seq := range n {
		if want(seq) {
			left[seq] = true
		}
	}
	total, read := len(left), 0
	client := b.client(kgo.ConsumeTopics(topic))
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	ends.Each(func(o kadm.ListedOffset) { last += o.Offset })
	ctx, done := context.WithTimeout(t.Context(), patience)
	defer done()
	for int64(read) < last {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d messages of %s can be read", read, last, topic)
		}
		for _, r := range fetches.Records() {
			read++
			text, _, _ := strings.Cut(strings.TrimPrefix(string(r.Value[strings.Index(string(r.Value), `"seq":`)+6:]), " "), ",")
			seq, err := strconv.Atoi(strings.TrimRight(text, "}"))
			if err != nil || !want(seq) {
				t.Fatalf("%s has %s", topic, r.Value)
			}
			if why := wrong(r); why != "" {
				t.Fatalf("%s has %s with %s", topic, r.Value, why)
			}
			delete(left, seq)
		}
	}
	if len(left) > 0 {
		t.Errorf("of %d messages %s lacks %d", total, topic, len(left))
	}
	return read - total + len(left)
}

// TestBenchKafka runs the benchmark with a backlog that is read at once.
func TestBenchKafka(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipelines.yaml")
	text := strings.Replace(fmt.Sprintf(kafkaPipeline, ""), `[""]`, `["${KAFKA_BROKERS}"]`, 1)
	text = strings.ReplaceAll(strings.ReplaceAll(text, ", seq: int", ", quality: float"), "[sensor_type]", "[sensor_type, location]")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := varve(t, "bench", "kafka", "--messages", "20000", "--pipelines-file", file)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"messages/s", "passed on", "bottleneck"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in the report:\n%s", want, out)
		}
	}
}
