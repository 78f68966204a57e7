package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

// fakeIntake keeps what it takes. A test can hold it up or make it fail.
type fakeIntake struct {
	mu      sync.Mutex // guards what is below
	taken   []string   // topic payload
	unread  []source.Unread
	clients []string
	status  []string
	calls   int
	errs    []error       // of the next calls
	gate    chan struct{} // each call takes one, if there is a gate
	entered chan struct{} // each call leaves one, if there is one
	block   bool          // calls wait for their context to end
}

func (f *fakeIntake) Take(ctx context.Context, all []source.Message) (source.Result, error) {
	f.mu.Lock()
	gate, entered, block := f.gate, f.entered, f.block
	f.mu.Unlock()
	if entered != nil {
		entered <- struct{}{}
	}
	if gate != nil {
		<-gate
	}
	if block {
		<-ctx.Done()
		return source.Result{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		if err != nil {
			return source.Result{}, err
		}
	}
	for i := range all {
		if u := all[i].Unread; u != nil {
			f.unread = append(f.unread, *u)
		}
		f.taken = append(f.taken, all[i].Topic+" "+string(all[i].Payload))
		f.clients = append(f.clients, all[i].Client)
	}
	return source.Result{Stored: len(all)}, nil
}

func (f *fakeIntake) TakeBatch(_ context.Context, _ uint64, b *column.Batch, _ *source.Message) (source.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		if err != nil {
			return source.Result{}, err
		}
	}
	for _, t := range b.Tables {
		for i := range t.Time {
			f.status = append(f.status, fmt.Sprintf("%s,%s online=%v %s", t.Measurement, t.Series.Key(int(t.Row[i])), t.Fields[0].Words[i] == 1, t.Fields[1].Str(i)))
		}
	}
	return source.Result{Stored: b.Rows()}, nil
}

func (f *fakeIntake) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.taken...)
}

func (f *fakeIntake) statuses() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.status...)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// open starts a broker on a free port.
func open(t testing.TB, c Config, d Deps) *Broker {
	t.Helper()
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if d.Log == nil {
		d.Log = quiet()
	}
	b, err := New(c, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// read runs a pipeline on a broker; the function that it returns stops it. Its
// place is held until the test ends.
func read(t testing.TB, b *Broker, name string, in source.Intake, topics ...string) (stop func()) {
	t.Helper()
	stop, _ = readUntil(t, b, name, in, topics...)
	return stop
}

// readUntil is read with a function that gives up the place.
func readUntil(t testing.TB, b *Broker, name string, in source.Intake, topics ...string) (stop, release func()) {
	t.Helper()
	s := b.Source(name, SourceConfig{Topics: topics})
	release = s.Hold()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := s.Run(ctx, in); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the pipeline runs", func() bool { return s.Status().Connected })
	stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
	})
	t.Cleanup(func() {
		stop()
		release()
	})
	return stop, release
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to be that %s", what)
		}
	}
}

// device is a client that says what a test makes it say.
type device struct {
	t       testing.TB
	net     net.Conn
	version byte
	buf     []byte
}

func dial(t testing.TB, b *Broker) *device {
	t.Helper()
	c, err := net.Dial("tcp", b.Addr("mqtt"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &device{t: t, net: c, version: mqttwire.V311}
}

// connect dials and connects.
func connect(t testing.TB, b *Broker, m mqttwire.Connect) (*device, *mqttwire.Connack) {
	t.Helper()
	d := dial(t, b)
	return d, d.connect(m)
}

func (d *device) connect(m mqttwire.Connect) *mqttwire.Connack {
	d.t.Helper()
	if m.Version == 0 {
		m.Version = mqttwire.V311
	}
	d.version = m.Version
	d.send(mqttwire.AppendConnect(nil, &m))
	p := d.next()
	if p.Type != mqttwire.CONNACK {
		d.t.Fatalf("CONNECT is answered by packet type %d", p.Type)
	}
	a, err := mqttwire.DecodeConnack(p.Body, d.version)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

func (d *device) send(b []byte) {
	d.t.Helper()
	if _, err := d.net.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

// read returns the next packet, or why there is none.
func (d *device) read(within time.Duration) (mqttwire.Packet, error) {
	for {
		p, n, _, err := mqttwire.Next(d.buf, 1<<28)
		if err != nil {
			return p, err
		}
		if n > 0 {
			p.Body = append([]byte(nil), p.Body...)
			d.buf = d.buf[n:]
			return p, nil
		}
		b := make([]byte, 64<<10)
		d.net.SetReadDeadline(time.Now().Add(within))
		k, err := d.net.Read(b)
		d.buf = append(d.buf, b[:k]...)
		if err != nil && k == 0 {
			return mqttwire.Packet{}, err
		}
	}
}

func (d *device) next() mqttwire.Packet {
	d.t.Helper()
	p, err := d.read(10 * time.Second)
	if err != nil {
		d.t.Fatalf("no packet: %v", err)
	}
	return p
}

// nothing checks that no packet comes for a while.
func (d *device) nothing() {
	d.t.Helper()
	if p, err := d.read(50 * time.Millisecond); err == nil {
		d.t.Errorf("packet type %d comes unasked", p.Type)
	} else if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
		d.t.Errorf("the connection is gone: %v", err)
	}
}

// closed checks that the connection ends, and returns the DISCONNECT before it.
func (d *device) closed() mqttwire.Disconnect {
	d.t.Helper()
	var last mqttwire.Disconnect
	for {
		p, err := d.read(10 * time.Second)
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				d.t.Error("the connection stays open")
			}
			return last
		}
		if p.Type == mqttwire.DISCONNECT {
			if last, err = mqttwire.DecodeDisconnect(p.Body, d.version); err != nil {
				d.t.Error(err)
			}
		}
	}
}

// gone checks that the connection ends without an acknowledgement.
func (d *device) gone() {
	d.t.Helper()
	for {
		p, err := d.read(10 * time.Second)
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				d.t.Error("the connection stays open")
			}
			return
		}
		if p.Type != mqttwire.DISCONNECT {
			d.t.Errorf("packet type %d comes before the end", p.Type)
		}
	}
}

func (d *device) publish(id uint16, qos byte, topic, payload string) {
	d.t.Helper()
	d.send(mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: qos, PacketID: id, Topic: []byte(topic), Payload: []byte(payload)}))
}

// want reads a packet that only has an identifier.
func (d *device) want(typ mqttwire.Type, id uint16) mqttwire.Ack {
	d.t.Helper()
	p := d.next()
	if p.Type != typ {
		d.t.Fatalf("packet type %d, want %d", p.Type, typ)
	}
	a, err := mqttwire.DecodeAck(p.Type, p.Body, d.version)
	if err != nil || a.PacketID != id {
		d.t.Fatalf("packet %d: %v %v, want id %d", p.Type, a, err, id)
	}
	return a
}

// message reads a PUBLISH and shows it.
func (d *device) message() (mqttwire.Publish, string) {
	d.t.Helper()
	p := d.next()
	var m mqttwire.Publish
	if p.Type != mqttwire.PUBLISH {
		d.t.Fatalf("packet type %d, want a PUBLISH", p.Type)
	}
	if err := m.Decode(p.Flags, p.Body, d.version); err != nil {
		d.t.Fatal(err)
	}
	flags := ""
	if m.Dup {
		flags += " dup"
	}
	if m.Retain {
		flags += " retained"
	}
	return m, fmt.Sprintf("%s %s qos=%d%s", m.Topic, m.Payload, m.QoS, flags)
}

func (d *device) subscribe(filters ...mqttwire.Subscription) []mqttwire.Reason {
	d.t.Helper()
	d.send(mqttwire.AppendSubscribe(nil, d.version, &mqttwire.Subscribe{PacketID: 77, Filters: filters}))
	p := d.next()
	_, reasons, err := mqttwire.DecodeSuback(mqttwire.SUBACK, p.Body, d.version)
	if p.Type != mqttwire.SUBACK || err != nil {
		d.t.Fatalf("SUBSCRIBE is answered by %v, %v", p, err)
	}
	return reasons
}

// ping checks that all before it was handled.
func (d *device) ping() {
	d.t.Helper()
	d.send(mqttwire.AppendPing(nil, mqttwire.PINGREQ))
	if p := d.next(); p.Type != mqttwire.PINGRESP {
		d.t.Fatalf("packet type %d, want PINGRESP", p.Type)
	}
}

func filter(f string, qos byte) mqttwire.Subscription {
	return mqttwire.Subscription{Filter: f, QoS: qos}
}

func join(all []string) string { return strings.Join(all, "; ") }
