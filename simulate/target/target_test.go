package target

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/kafka"
	"github.com/varvedb/varve/protocol/mqttwire"
)

// batchOf returns messages from to to-1, each of device i under topic t/i,
// with key k/i.
func batchOf(from, to int) *Batch {
	b := &Batch{}
	for i := from; i < to; i++ {
		b.Text = fmt.Appendf(b.Text, "t/%d", i)
		topic := len(b.Text)
		b.Text = fmt.Appendf(b.Text, "k/%d", i)
		key := len(b.Text)
		b.Text = fmt.Appendf(b.Text, `{"n":%d}`, i)
		b.Cut(i, time.Now().UnixNano(), topic, key)
	}
	return b
}

func wants(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`t/%d {"n":%d}`, i, i))
	}
	slices.Sort(list)
	return list
}

// distinct sorts a list and leaves out what repeats.
func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mqttConfig(b *broker) MQTTConfig {
	return MQTTConfig{
		Address: b.listener.Addr().String(), Version: b.version, QoS: 1, Connections: 3, InFlight: 50,
		ClientID: ClientIDs("c"), AckTimeout: 10 * time.Second,
	}
}

func mqttOf(t testing.TB, cfg MQTTConfig, tally *Tally) *MQTT {
	t.Helper()
	m, err := NewMQTT(cfg, tally)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestMQTT publishes in both versions, with every window that a broker allows.
func TestMQTT(t *testing.T) {
	for _, version := range []byte{mqttwire.V311, mqttwire.V5} {
		for _, receive := range []uint32{0, 1, 7} {
			if version == mqttwire.V311 && receive > 0 {
				continue
			}
			b := newBroker(t, version)
			b.receive = receive
			tally := &Tally{}
			m := mqttOf(t, mqttConfig(b), tally)
			ctx := short(t)
			for i := range 5 {
				if err := m.Send(ctx, batchOf(200*i, 200*i+200)); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			if got := distinct(b.messages()); !slices.Equal(got, wants(1000)) || len(b.messages()) != 1000 {
				t.Errorf("version %d: %d messages came, %d of them different", version, len(b.messages()), len(got))
			}
			if c := tally.Counts(); c.Acked != 1000 || c.Sent != 1000 || c.Retried != 0 || tally.Latency(0.5) == 0 {
				t.Errorf("counts are %+v", c)
			}
			if len(b.clients) != 3 || !b.clients["c-2"] {
				t.Errorf("clients are %v", b.clients)
			}
			if receive == 0 && b.most < 10 {
				t.Errorf("%d messages were on their way at once: nothing is pipelined", b.most)
			}
		}
	}
}

// TestMQTTSendsAgain has a broker that hangs up again and again.
func TestMQTTSendsAgain(t *testing.T) {
	b := newBroker(t, mqttwire.V5)
	b.hangUpAt = 37
	tally := &Tally{}
	m := mqttOf(t, mqttConfig(b), tally)
	ctx := short(t)
	if err := m.Send(ctx, batchOf(0, 1000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	b.cut()
	if err := m.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := distinct(b.messages()); !slices.Equal(got, wants(1000)) {
		t.Errorf("%d different messages came, want 1000", len(got))
	}
	c := tally.Counts()
	if c.Acked != 1000 || c.Retried == 0 || c.Troubles == 0 || b.dups == 0 {
		t.Errorf("counts are %+v, %d were marked as repeats", c, b.dups)
	}
}

func TestMQTTAnswers(t *testing.T) {
	b := newBroker(t, mqttwire.V5)
	b.answer = func(n int) (mqttwire.Reason, bool) {
		switch {
		case n <= 10:
			return mqttwire.QuotaExceeded, true
		case n <= 15:
			return mqttwire.BadPayloadFormat, true
		}
		return mqttwire.NoMatchingSubscriber, true
	}
	tally := &Tally{}
	cfg := mqttConfig(b)
	cfg.Connections = 1
	m := mqttOf(t, cfg, tally)
	ctx := short(t)
	if err := m.Send(ctx, batchOf(0, 40)); err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if c := tally.Counts(); c.Acked != 35 || c.Refused != 5 || c.Retried != 10 {
		t.Errorf("counts are %+v: want what is over quota again, and a bad payload refused", c)
	}
}

// TestMQTTSilentBroker never acknowledges a message: it is sent again over
// another connection.
func TestMQTTSilentBroker(t *testing.T) {
	b := newBroker(t, mqttwire.V5)
	b.answer = func(n int) (mqttwire.Reason, bool) { return mqttwire.Success, n != 5 }
	tally := &Tally{}
	cfg := mqttConfig(b)
	cfg.Connections, cfg.AckTimeout = 1, 300*time.Millisecond
	m := mqttOf(t, cfg, tally)
	ctx := short(t)
	if err := m.Send(ctx, batchOf(0, 20)); err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := distinct(b.messages()); !slices.Equal(got, wants(20)) {
		t.Errorf("came %q", got)
	}
}

func TestMQTTRefused(t *testing.T) {
	b := newBroker(t, mqttwire.V5)
	b.refuse = mqttwire.NotAuthorized
	m := mqttOf(t, mqttConfig(b), &Tally{})
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = m.Send(short(t), batchOf(0, 100))
	}
	if err == nil || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("the error is %v", err)
	}
}

func TestMQTTWithoutAcknowledgement(t *testing.T) {
	b := newBroker(t, mqttwire.V5)
	tally := &Tally{}
	cfg := mqttConfig(b)
	cfg.QoS = 0
	m := mqttOf(t, cfg, tally)
	ctx := short(t)
	if err := m.Send(ctx, batchOf(0, 5000)); err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	for len(b.messages()) < 5000 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if got := distinct(b.messages()); !slices.Equal(got, wants(5000)) {
		t.Errorf("%d different messages came", len(got))
	}
}

// TestMQTTEnds stops what waits for a broker that is not there.
func TestMQTTEnds(t *testing.T) {
	b := newBroker(t, mqttwire.V5)
	cfg := mqttConfig(b)
	b.listener.Close()
	m := mqttOf(t, cfg, &Tally{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Send(ctx, batchOf(0, 1000)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if err := m.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error of Drain is %v", err)
	}
}

// TestIdentifiers follows a connection around the end of the identifiers.
func TestIdentifiers(t *testing.T) {
	m := &MQTT{cfg: MQTTConfig{QoS: 1, InFlight: 8}, tally: &Tally{}}
	l := newLink(m, 0, nil)
	l.head, l.written, l.tail = 65_530, 65_530, 65_530
	l.ring = make([]flight, 8)
	for range 100 {
		for range 8 {
			l.tail++
			l.written++
			*l.at(l.written - 1) = flight{sent: true}
		}
		// The last are acknowledged first.
		for pos := l.written; pos > l.written-8; pos-- {
			if err := l.acked(mqttwire.Ack{PacketID: id(pos - 1)}, 1); err != nil {
				t.Fatal(err)
			}
		}
		if l.head != l.tail {
			t.Fatalf("after all acknowledgements head is %d, tail %d", l.head, l.tail)
		}
	}
	if err := l.acked(mqttwire.Ack{PacketID: id(l.tail + 3)}, 1); err == nil {
		t.Error("an acknowledgement of what was not sent is taken")
	}
}

func TestHTTP(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	statuses := []int{503, 429, 200, 422, 400, 204}
	var seen http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		seen = r.Header
		w.WriteHeader(statuses[0])
		_, _ = io.WriteString(w, `{"detail":"so it is: 2 of 3 points were refused, the others are stored: missing_value: value is missing"}`)
		statuses = statuses[1:]
	}))
	defer s.Close()
	tally := &Tally{}
	h, err := NewHTTP(HTTPConfig{URL: s.URL + "/data", Token: "x", Array: true, Connections: 1, Timeout: time.Second}, tally)
	if err != nil {
		t.Fatal(err)
	}
	ctx := short(t)
	for range 4 {
		if err := h.Send(ctx, batchOf(0, 3)); err != nil {
			t.Fatal(err)
		}
	}
	const body = `[{"n":0},{"n":1},{"n":2}]`
	if len(bodies) != 6 || bodies[0] != body || bodies[2] != body || !json.Valid([]byte(body)) || seen.Get("Authorization") != "Token x" {
		t.Errorf("bodies are %q, header %v", bodies, seen)
	}
	if c := tally.Counts(); c.Sent != 12 || c.Acked != 7 || c.Refused != 5 || c.Retried != 6 || c.Troubles != 2 {
		t.Errorf("counts are %+v", c)
	}
	if r := tally.Reasons(); len(r) != 4 || !strings.Contains(r[0].Text, "refused: missing_value") {
		t.Errorf("reasons are %v", r)
	}
	statuses = []int{401, 204}
	if err := h.Send(ctx, batchOf(0, 1)); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("unauthorized: %v", err)
	}
	h.cfg.Array = false
	if err := h.Send(ctx, batchOf(0, 2)); err != nil || bodies[len(bodies)-1] != "{\"n\":0}\n{\"n\":1}" {
		t.Errorf("lines: %v, %q", err, bodies[len(bodies)-1])
	}
	s.Close()
	gone, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.Send(gone, batchOf(0, 1)); !errors.Is(err, context.DeadlineExceeded) || tally.Counts().Troubles < 3 {
		t.Errorf("a server that is gone: %v, %+v", err, tally.Counts())
	}
}

func TestKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "fleet", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	tally := &Tally{}
	connection := kafka.Connection{Brokers: cluster.ListenAddrs(), SASL: &kafka.SASL{Mechanism: "scram-sha-512", User: "fleet", Password: "secret"}}
	k, err := NewKafka(KafkaConfig{Connection: connection, Buffered: 100, Linger: time.Millisecond}, tally)
	if err != nil {
		t.Fatal(err)
	}
	ctx := short(t)
	b := &Batch{}
	for i := range 1000 {
		b.Text = append(b.Text, "sensor-data"...)
		topic := len(b.Text)
		b.Text = fmt.Appendf(b.Text, "k/%d", i)
		key := len(b.Text)
		b.Text = fmt.Appendf(b.Text, `{"n":%d}`, i)
		b.Cut(i, time.Now().UnixNano(), topic, key)
	}
	if err := k.Send(ctx, b); err != nil {
		t.Fatal(err)
	}
	if err := k.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if c := tally.Counts(); c.Acked != 1000 || c.Sent != 1000 {
		t.Fatalf("counts are %+v; %v", c, tally.Reasons())
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	opts, err := connection.Options()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(append(opts, kgo.ConsumeTopics("sensor-data"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	seen := map[string]string{}
	for len(seen) < 1000 {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of 1000 messages are there", len(seen))
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Key)] = string(r.Value) })
	}
	for i := range 1000 {
		if seen[fmt.Sprintf("k/%d", i)] != fmt.Sprintf(`{"n":%d}`, i) {
			t.Fatalf("message %d is %q", i, seen[fmt.Sprintf("k/%d", i)])
		}
	}
}

func TestStream(t *testing.T) {
	var out bytes.Buffer
	tally := &Tally{}
	s, err := NewStream(&out, []byte("head\n"), tally)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), batchOf(0, 2)); err != nil {
		t.Fatal(err)
	}
	if out.String() != "head\n{\"n\":0}\n{\"n\":1}\n" || tally.Counts().Acked != 2 {
		t.Errorf("written is %q, counted %+v", out.String(), tally.Counts())
	}
	if s, err = NewStream(brokenWriter{}, nil, tally); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), batchOf(0, 2)); err == nil || tally.Counts().Acked != 2 {
		t.Errorf("a writer that fails: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestLatency(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(int64(i) * int64(time.Millisecond))
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.quantile(q); got < want || float64(got) > 1.02*float64(want) {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
	h = histogram{}
	h.add(5)
	if h.quantile(0.5) != 5 || (&histogram{}).quantile(0.5) != 0 {
		t.Error("of one duration, or none")
	}
}

// BenchmarkMQTT is what the client costs, with a broker that does nothing
// beside it.
func BenchmarkMQTT(b *testing.B) {
	for _, connections := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d connections", connections), func(b *testing.B) {
			broker := newBroker(b, mqttwire.V5)
			broker.quiet = true
			cfg := mqttConfig(broker)
			cfg.Connections, cfg.InFlight = connections, 1000
			if connections > 1 {
				cfg.InFlight = 20
			}
			tally := &Tally{}
			m := mqttOf(b, cfg, tally)
			for m.Up() < connections {
				time.Sleep(time.Millisecond)
			}
			batch := batchOf(0, 1000)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := m.Send(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				n += batch.Len()
			}
			if err := m.Drain(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
