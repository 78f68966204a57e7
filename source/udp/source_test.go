package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/source"
)

// intake keeps what it takes, and fails or waits as it is told.
type intake struct {
	mu       sync.Mutex
	payloads []string
	messages []source.Message // without payloads
	calls    int
	fail     error
	gate     chan struct{} // nil: it does not wait
}

func (f *intake) Take(ctx context.Context, messages []source.Message) (source.Result, error) {
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return source.Result{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.fail != nil {
		return source.Result{}, f.fail
	}
	for _, m := range messages {
		f.payloads = append(f.payloads, string(m.Payload))
		m.Payload = nil
		f.messages = append(f.messages, m)
	}
	return source.Result{Stored: len(messages)}, nil
}

func (f *intake) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	panic("BUG: not of this source")
}

func (f *intake) set(fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *intake) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.payloads...)
}

// running starts a source; stop ends it and returns what Run did.
func running(t *testing.T, c Config, in source.Intake) (s *Source, conn net.Conn, stop func() error) {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	s = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, in) }()
	wait(t, "it listens", func() bool { return s.Address() != "" })
	conn, err := net.Dial("udp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() {
			cancel()
			result = <-ended
		})
		return result
	}
	t.Cleanup(func() {
		conn.Close()
		_ = stop()
	})
	return s, conn, stop
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestPacketsAreHandedOver(t *testing.T) {
	in := &intake{}
	s, conn, stop := running(t, Default(), in)
	before := time.Now().UnixNano()
	large := strings.Repeat("m,a=b v=1\n", 6000) // 60,000 bytes in one packet
	for _, text := range []string{"m v=1 10\nm v=2 20", "bad", large, ""} {
		send(t, conn, text)
	}
	wait(t, "all are taken", func() bool { return len(in.taken()) == 4 })
	if got := in.taken(); got[0] != "m v=1 10\nm v=2 20" || got[1] != "bad" || got[2] != large || got[3] != "" {
		t.Errorf("got %.100q", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, m := range in.messages {
		if m.Client != conn.LocalAddr().String() || m.Time < before || m.Time > time.Now().UnixNano() || m.Offset != -1 {
			t.Errorf("got %+v from %s", m, conn.LocalAddr())
		}
	}
	want := []source.Count{{Event: "packets", N: 4}, {Event: "bytes", N: uint64(len(large) + 20)}, {Event: "no_room"}, {Event: "overflowed"}, {Event: "abandoned"}}
	if got := s.Counts(); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := s.Status(); got.Connected || got.Lag != 0 || got.Trouble != "" {
		t.Errorf("got %+v", got)
	}
}

func TestPacketsShareABatch(t *testing.T) {
	in := &intake{gate: make(chan struct{})}
	s, conn, _ := running(t, Default(), in)
	for i := range uint64(500) {
		send(t, conn, fmt.Sprintf("m v=%d", i))
		if i%50 == 49 { // the system's buffer may be small
			wait(t, "they are read", func() bool { return s.packets.Load() == i+1 })
		}
	}
	close(in.gate)
	wait(t, "all are taken", func() bool { return len(in.taken()) == 500 })
	for i, text := range in.taken() {
		if text != fmt.Sprintf("m v=%d", i) {
			t.Fatalf("packet %d is %q", i, text)
		}
	}
	if in.calls > 50 {
		t.Errorf("500 packets came in %d calls", in.calls)
	}
}

func TestTroubleIsSatOut(t *testing.T) {
	in := &intake{fail: &source.BusyError{Reason: "no room", RetryAfter: time.Millisecond}}
	s, conn, _ := running(t, Default(), in)
	send(t, conn, "m v=1")
	wait(t, "it says so", func() bool { return s.Status().Trouble == "no room" })
	if got := s.Status(); !got.Connected || got.Lag != 1 {
		t.Errorf("got %+v", got)
	}
	in.set(nil)
	wait(t, "it is taken", func() bool { return len(in.taken()) == 1 && s.Status() == source.Status{Connected: true} })
}

func TestFullQueueDropsAndSocketIsRead(t *testing.T) {
	in := &intake{gate: make(chan struct{})}
	c := Default()
	c.Queue = leastQueue
	c.Linger = time.Millisecond
	s, conn, stop := running(t, c, in)
	packet := "m s=\"" + strings.Repeat("x", 10_000) + "\""
	sent := 0
	for s.noRoom.Load() < 20 {
		if sent++; sent > 5000 {
			t.Fatal("nothing is dropped")
		}
		send(t, conn, packet)
		time.Sleep(50 * time.Microsecond)
	}
	if got := s.Status(); !strings.Contains(got.Trouble, "packets are lost") {
		t.Errorf("got %+v", got)
	}
	if s.waiting.Load()*10_000 > int64(c.Queue)+2*batchBytes {
		t.Errorf("%d packets wait", s.waiting.Load())
	}
	close(in.gate)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := uint64(len(in.taken())); n+s.noRoom.Load() != s.packets.Load() || s.abandoned.Load() != 0 {
		t.Errorf("%d were taken, %+v", n, s.Counts())
	}
}

func TestWhatWasReadIsStoredAtTheEnd(t *testing.T) {
	in := &intake{}
	c := Default()
	c.Linger = time.Hour
	s, conn, stop := running(t, c, in)
	send(t, conn, "m v=1")
	wait(t, "it is read", func() bool { return s.packets.Load() == 1 })
	if err := stop(); err != nil || len(in.taken()) != 1 {
		t.Errorf("got %q, %v", in.taken(), err)
	}
}

func TestAddressInUse(t *testing.T) {
	s, _, _ := running(t, Default(), &intake{})
	c := Default()
	c.Listen = s.Address()
	if err := New(c).Run(context.Background(), &intake{}); err == nil || !strings.Contains(err.Error(), s.Address()) {
		t.Errorf("got %v", err)
	}
}

func TestDeclare(t *testing.T) {
	read := func(text string) (Config, error) {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		s := declare.Section(doc.Content[0], "source.udp")
		c := Declare(s)
		return c, s.Err()
	}
	if c, err := read("{}"); err != nil || c != Default() {
		t.Errorf("got %+v, %v", c, err)
	}
	want := Config{Listen: "[::1]:9", ReceiveBuffer: 1 << 20, Queue: 1 << 20, Linger: time.Second}
	if c, err := read(`{listen: "[::1]:9", receive_buffer: 1MiB, queue: 1MiB, linger: 1s}`); err != nil || c != want {
		t.Errorf("got %+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"listen: 8089":        "want host:port",
		"queue: 10kB":         "at least 256KiB",
		"receive_buffer: 2GB": "at most 1GiB",
		"linger: 0s":          "above zero",
		"port: 8089":          "no such key",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// BenchmarkPackets is packets of ten lines over loopback to an intake that takes
// all at once; lost ones are reported.
func BenchmarkPackets(b *testing.B) {
	in := &counting{}
	c := Default()
	c.Listen = "127.0.0.1:0"
	s := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, in) }()
	for s.Address() == "" {
		time.Sleep(time.Millisecond)
	}
	conn, err := net.Dial("udp", s.Address())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	packet := []byte(strings.Repeat("sensor_data,location=seoul,device=d1 value=21.5,quality=97 1700000000000000000\n", 10))
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(packet); err != nil && !errors.Is(err, net.ErrClosed) {
			b.Fatal(err)
		}
	}
	elapsed := b.Elapsed()
	time.Sleep(100 * time.Millisecond)
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(in.n)/elapsed.Seconds(), "packets/s")
	b.ReportMetric(float64(b.N-in.n)/float64(b.N), "lost/sent")
}

type counting struct{ n int }

func (c *counting) Take(_ context.Context, messages []source.Message) (source.Result, error) {
	c.n += len(messages)
	return source.Result{Stored: len(messages)}, nil
}

func (c *counting) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	panic("BUG: not of this source")
}
