package mqttclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/source/mqtt"
)

type fakeIntake struct {
	mu    sync.Mutex // guards what is below
	taken []string
	errs  []error
	gate  chan struct{}
	reply string
}

func (f *fakeIntake) Take(ctx context.Context, all []source.Message) (source.Result, error) {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return source.Result{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return source.Result{}, err
	}
	for _, m := range all {
		text := m.Topic + " " + string(m.Payload)
		if u := m.Unread; u != nil {
			text = fmt.Sprintf("%s %s, %d bytes: %s", m.Topic, u.Reason, len(m.Payload), u.Detail)
		}
		f.taken = append(f.taken, text)
		if f.reply != "" {
			if err := m.Reply(ctx, f.reply, m.Payload); err != nil {
				return source.Result{}, err
			}
		}
	}
	return source.Result{Stored: len(all)}, nil
}

func (f *fakeIntake) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	return source.Result{}, errors.New("not a batch")
}

func (f *fakeIntake) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.taken...)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to be that %s", what)
		}
	}
}

// allow lets everybody do everything.
type allow struct{ mochi.HookBase }

func (*allow) ID() string                                               { return "allow" }
func (*allow) Provides(b byte) bool                                     { return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck }
func (*allow) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (*allow) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

// outside starts a broker that is not ours.
func outside(t *testing.T, addr string) (_ *mochi.Server, address string, closed func()) {
	t.Helper()
	b := mochi.New(&mochi.Options{InlineClient: true, Logger: quiet()})
	if err := b.AddHook(new(allow), nil); err != nil {
		t.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: addr})
	if err := b.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(); err != nil {
		t.Fatal(err)
	}
	closed = sync.OnceFunc(func() { _ = b.Close() })
	t.Cleanup(closed)
	return b, l.Address(), closed
}

func config(addr string, version, qos byte) Config {
	return Config{Address: addr, Topics: []string{"a/#"}, QoS: qos, Version: version, ClientID: "bridge", KeepAlive: time.Second, SessionExpiry: time.Minute,
		ReceiveMaximum: 100, MaxPacket: 1 << 20}
}

func run(t *testing.T, c Config, in source.Intake) (s *Source, stop func()) {
	t.Helper()
	s = New(c, quiet())
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := s.Run(ctx, in); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
	})
	t.Cleanup(stop)
	return s, stop
}

// ours starts a broker of package mqtt.
func ours(t *testing.T) (*mqtt.Broker, string) {
	t.Helper()
	c := mqtt.Default()
	c.Addr = "127.0.0.1:0"
	b, err := mqtt.New(c, mqtt.Deps{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, b.Addr("mqtt")
}

// TestMessages reads from a broker that is not ours (by 3.1.1; that broker locks
// itself up now and then when a client of MQTT 5 has messages on their way), and
// from ours.
func TestMessages(t *testing.T) {
	t.Parallel()
	type broker struct {
		name       string
		version    byte
		addr       string
		publish    func(payload []byte, qos byte) error
		subscribed func() bool
		settled    func(n uint64) bool // all is acknowledged
	}
	for qos := range byte(3) {
		m, addr, _ := outside(t, "127.0.0.1:0")
		o, own := ours(t)
		for _, b := range []broker{
			{"outside", mqttwire.V311, addr,
				func(p []byte, qos byte) error { return m.Publish("a/b", p, false, qos) },
				func() bool { return m.Topics.Subscribers("a/b").Subscriptions["bridge"].Filter != "" },
				func(uint64) bool { c, _ := m.Clients.Get("bridge"); return c.State.Inflight.Len() == 0 }},
			{"ours", mqttwire.V5, own,
				func(p []byte, qos byte) error { return o.Publish("a/b", p, qos, false) },
				func() bool { return o.Stats().Subscriptions == 1 },
				func(n uint64) bool { return o.Stats().Delivered == n }},
		} {
			t.Run(fmt.Sprint(b.name, qos), func(t *testing.T) {
				t.Parallel()
				in := &fakeIntake{errs: []error{source.ErrBusy}}
				s, stop := run(t, config(b.addr, b.version, qos), in)
				eventually(t, "it has subscribed", func() bool { return s.Status().Connected && b.subscribed() })
				var want []string
				for i := range 300 {
					if err := b.publish(fmt.Append(nil, i), qos); err != nil {
						t.Fatal(err)
					}
					want = append(want, fmt.Sprint("a/b ", i))
					if i%50 == 49 { // brokers drop what overruns their own window
						eventually(t, "all is taken", func() bool { return len(in.all()) == len(want) })
					}
				}
				if got := in.all(); strings.Join(got, ";") != strings.Join(want, ";") {
					t.Errorf("taken %v", got)
				}
				eventually(t, "all is acknowledged", func() bool { return b.settled(300) })
				stop()
				if st := s.Status(); st.Connected {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// TestLargeMessages: the beginning of a message that is too large is handed over as
// one that cannot be read, in its turn, and the connection goes on. (A broker of
// MQTT 5 does not send it.)
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	for qos := range byte(3) {
		b, addr, _ := outside(t, "127.0.0.1:0")
		c := config(addr, mqttwire.V311, qos)
		c.MaxPacket = 1000
		in := &fakeIntake{}
		s, _ := run(t, c, in)
		eventually(t, "it has subscribed", func() bool {
			return s.Status().Connected && b.Topics.Subscribers("a/b").Subscriptions["bridge"].Filter != ""
		})
		publish := func(name string, bytes int) {
			if err := b.Publish(name, bytesOf(bytes), false, qos); err != nil {
				t.Fatal(err)
			}
		}
		long := "a/" + strings.Repeat("x", 60_000)
		var want []string
		head := 5 // without the length
		if qos > 0 {
			head += 2
		}
		for round := range 3 {
			publish("a/b", 3)
			publish("a/b", 2_000)
			publish("a/b", 900)
			publish("a/b", 3<<20+round)
			publish(long, 100_000)
			publish("a/b", 1)
			want = append(want, "a/b aaa",
				fmt.Sprintf("a/b too_large, 2000 bytes: the packet has %d bytes, more than max_packet, which is 1000; 2000 bytes of the message are kept", 2000+head+3),
				"a/b "+strings.Repeat("a", 900),
				fmt.Sprintf("a/b too_large, 65536 bytes: the packet has %d bytes, more than max_packet, which is 1000; 65536 bytes of the message are kept", 3<<20+round+head+5),
				fmt.Sprintf("%s too_large, 65536 bytes: the packet has %d bytes, more than max_packet, which is 1000; 65536 bytes of the message are kept", long, 100_000+head+len(long)-3+4),
				"a/b a")
		}
		eventually(t, "all is taken", func() bool { return len(in.all()) >= len(want) })
		for i, got := range in.all() {
			if got != want[i] {
				t.Errorf("message %d is\n%.300s, want\n%.300s", i, got, want[i])
			}
		}
		eventually(t, "all is acknowledged", func() bool { cl, _ := b.Clients.Get("bridge"); return cl.State.Inflight.Len() == 0 })
	}
}

func bytesOf(n int) []byte { return []byte(strings.Repeat("a", n)) }

// TestWhatWasReadBeforeAnError is taken, and acknowledged over the connection that
// ends for it.
func TestWhatWasReadBeforeAnError(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	in := &fakeIntake{gate: make(chan struct{}, 10)}
	s, _ := run(t, config(l.Addr().String(), mqttwire.V311, 1), in)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer := []byte("\x20\x02\x00\x00\x90\x03\x00\x01\x01")
	for id := range uint16(3) {
		answer = mqttwire.AppendPublish(answer, mqttwire.V311, &mqttwire.Publish{QoS: 1, PacketID: id + 1, Topic: []byte("a/b"), Payload: []byte("x")})
	}
	if _, err := c.Write(append(answer, 0, 0)); err != nil { // type 0 is no packet
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // so that the error is seen before the intake answers
	close(in.gate)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x40\x02\x00\x01\x40\x02\x00\x02\x40\x02\x00\x03"; !strings.HasSuffix(string(b), want) {
		t.Errorf("the connection ended with %q, want the acknowledgements %q", b, want)
	}
	if got := strings.Join(in.all(), ";"); got != "a/b x;a/b x;a/b x" {
		t.Errorf("taken: %s", got)
	}
	eventually(t, "the trouble is told", func() bool { return strings.Contains(s.Status().Trouble, "packet type 0") })
}

func TestReply(t *testing.T) {
	t.Parallel()
	b, addr := ours(t)
	asks, answers := &fakeIntake{reply: "answer"}, &fakeIntake{}
	s, _ := run(t, config(addr, mqttwire.V5, 1), asks)
	other := config(addr, mqttwire.V311, 1)
	other.ClientID, other.Topics = "other", []string{"answer"}
	o, _ := run(t, other, answers)
	eventually(t, "both have subscribed", func() bool { return s.Status().Connected && o.Status().Connected && b.Stats().Subscriptions == 2 })
	if err := b.Publish("a/b", []byte("x"), 1, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is answered", func() bool { return strings.Join(answers.all(), ";") == "answer x" })
}

// What is not taken is not acknowledged, and comes again over the next
// connection.
func TestCut(t *testing.T) {
	t.Parallel()
	for qos := byte(1); qos <= 2; qos++ {
		b, addr := ours(t)
		cut := cutter(t, addr)
		in := &fakeIntake{gate: make(chan struct{}, 100)}
		s, stop := run(t, config(cut.addr(), mqttwire.V5, qos), in)
		eventually(t, "it has subscribed", func() bool { return s.Status().Connected && b.Stats().Subscriptions == 1 })
		if err := b.Publish("a/1", []byte("x"), qos, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if b.Stats().Delivered != 0 {
			t.Error("it is acknowledged before it is taken")
		}
		cut.all()
		eventually(t, "it is back", func() bool { return b.Stats().Accepted == 2 })
		close(in.gate)
		eventually(t, "it is acknowledged", func() bool { return b.Stats().Delivered == 1 })
		for _, m := range in.all() {
			if m != "a/1 x" {
				t.Error(m)
			}
		}
		stop()
	}
}

// proxy is between the two, to be cut.
type proxy struct {
	net.Listener
	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func cutter(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	t.Cleanup(func() { l.Close(); p.all() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, d)
			p.mu.Unlock()
			go func() { _, _ = io.Copy(c, d) }()
			go func() { _, _ = io.Copy(d, c) }()
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.Addr().String() }

func (p *proxy) all() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// A broker that goes and comes back is waited for.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	_, addr, end := outside(t, "127.0.0.1:0")
	in := &fakeIntake{}
	s, _ := run(t, config(addr, mqttwire.V311, 1), in)
	eventually(t, "it is connected", func() bool { return s.Status().Connected })
	end()
	eventually(t, "its trouble is told", func() bool { st := s.Status(); return !st.Connected && st.Trouble != "" })
	b, _, _ := outside(t, addr)
	eventually(t, "it has subscribed", func() bool { return b.Topics.Subscribers("a/b").Subscriptions["bridge"].Filter != "" })
	if err := b.Publish("a/1", []byte("x"), false, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is taken", func() bool { return len(in.all()) == 1 })
}

// A stop waits for the call that is under way, and acknowledges what it took.
func TestStop(t *testing.T) {
	t.Parallel()
	b, addr := ours(t)
	in := &fakeIntake{gate: make(chan struct{})}
	s, stop := run(t, config(addr, mqttwire.V5, 1), in)
	eventually(t, "it has subscribed", func() bool { return s.Status().Connected && b.Stats().Subscriptions == 1 })
	if err := b.Publish("a/1", []byte("x"), 1, false); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("it stops while its intake is at work")
	case <-time.After(50 * time.Millisecond):
	}
	in.gate <- struct{}{}
	<-stopped
	eventually(t, "it is acknowledged", func() bool { return b.Stats().Delivered == 1 })
}

// Whoever answers what is no MQTT, or too much of it, is left alone.
func TestHostileBroker(t *testing.T) {
	t.Parallel()
	for want, answer := range map[string]string{
		"too large":     "\x20\xff\xff\xff\x7f",
		"is this a":     "\xd0\x00",
		"type 0":        "HTTP/1.1 400 Bad Request\r\n\r\n",
		"not answered":  "",
		"not authoriz":  "\x20\x03\x00\x87\x00",
		"reads nothing": "",
	} {
		if want == "type 0" || want == "reads nothing" {
			want = "CONNECT"
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1000))
				_, _ = io.WriteString(c, answer)
				c.Close()
			}
		}()
		s, _ := run(t, config(l.Addr().String(), mqttwire.V5, 1), &fakeIntake{})
		eventually(t, want, func() bool { return strings.Contains(s.Status().Trouble, want) })
	}
}

func TestDeclare(t *testing.T) {
	t.Parallel()
	read := func(text string) (Config, error) {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		m := declare.Section(n.Content[0], "source.mqtt_bridge")
		c := Declare(m)
		return c, m.Err()
	}
	c, err := read(`{broker: "wss://b.example.com/mqtt", client_id: c, topics: ["plant/{plant}/#", "$share/g/x"], version: 3.1.1, qos: 2, tls: {ca: x}}`)
	if err != nil || c.Address != "b.example.com:443" || c.WebSocket != "/mqtt" || c.TLS.ServerName != "b.example.com" || c.Topics[0] != "plant/+/#" || c.Version != mqttwire.V311 || c.QoS != 2 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := read(`{broker: "mqtt://10.0.0.1", client_id: c, topics: x}`); err != nil || c.Address != "10.0.0.1:1883" || c.TLS != nil || c.Version != mqttwire.V5 {
		t.Errorf("%+v %v", c, err)
	}
	for want, text := range map[string]string{
		"broker: is missing":       `{client_id: c, topics: x}`,
		"want mqtt://":             `{broker: "http://x", client_id: c, topics: x}`,
		"want a URL":               `{broker: "x", client_id: c, topics: x}`,
		"keys of their own":        `{broker: "mqtt://u:p@x", client_id: c, topics: x}`,
		"client_id: is missing":    `{broker: "mqtt://x", topics: x}`,
		"topics: is missing":       `{broker: "mqtt://x", client_id: c}`,
		"only be the last":         `{broker: "mqtt://x", client_id: c, topics: "a/#/b"}`,
		"has no TLS":               `{broker: "mqtt://x", client_id: c, topics: x, tls: {ca: x}}`,
		"belong together":          `{broker: "mqtts://x", client_id: c, topics: x, tls: {key: x}}`,
		"a password already":       `{broker: "mqtt://x", client_id: c, topics: x, password: a, password_file: b}`,
		"did you mean client_id?":  `{broker: "mqtt://x", clientid: c, topics: x}`,
		"want one of 0, 1, 2":      `{broker: "mqtt://x", client_id: c, topics: x, qos: 3}`,
		"keep_alive: want from 1s": `{broker: "mqtt://x", client_id: c, topics: x, keep_alive: 1ms}`,
		"at most 65535":            `{broker: "mqtt://x", client_id: c, topics: x, receive_maximum: 70000}`,
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestPasswordFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "password")
	s := New(Config{PasswordFile: name, Version: mqttwire.V5}, quiet())
	if _, err := s.connect(); err == nil {
		t.Error("a password that is not there is none")
	}
	if err := os.WriteFile(name, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := s.connect(); err != nil || string(m.Password) != "secret" || !m.HasUser {
		t.Errorf("%+v %v", m, err)
	}
}
