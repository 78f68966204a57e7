package mqtt

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

func named(id string) mqttwire.Connect {
	return mqttwire.Connect{ClientID: id, CleanStart: true, KeepAlive: 60}
}

func named5(id string) mqttwire.Connect {
	m := named(id)
	m.Version = mqttwire.V5
	return m
}

func TestNoAckBeforeTake(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{mqttwire.V311, mqttwire.V5} {
		in := &fakeIntake{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
		b := open(t, Default(), Deps{})
		read(t, b, "p", in, "a/#")
		m := named("d")
		m.Version = version
		d, _ := connect(t, b, m)
		d.publish(1, 1, "a/b", "x")
		<-in.entered
		d.publish(2, 2, "a/b", "y")
		d.nothing()
		in.gate <- struct{}{}
		d.want(mqttwire.PUBACK, 1)
		<-in.entered
		d.nothing()
		in.gate <- struct{}{}
		d.want(mqttwire.PUBREC, 2)
		d.send(mqttwire.AppendAck(nil, mqttwire.PUBREL, version, mqttwire.Ack{PacketID: 2}))
		d.want(mqttwire.PUBCOMP, 2)
		d.ping()
		if got := join(in.all()); got != "a/b x; a/b y" {
			t.Error(got)
		}
	}
}

// While one commit is under way, what comes gathers for the next one.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "#")
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "0")
	<-in.entered
	var raw []byte
	for i := range 500 {
		raw = mqttwire.AppendPublish(raw, d.version, &mqttwire.Publish{QoS: 1, PacketID: uint16(i + 2), Topic: []byte("a"), Payload: fmt.Append(nil, i+1)})
	}
	d.send(raw)
	d.ping()
	in.gate <- struct{}{}
	in.gate <- struct{}{}
	for i := range 501 {
		d.want(mqttwire.PUBACK, uint16(i+1))
	}
	all := in.all()
	for i, m := range all {
		if m != fmt.Sprint("a ", i) {
			t.Fatalf("message %d is %q", i, m)
		}
	}
	if in.calls != 2 || len(all) != 501 {
		t.Errorf("%d calls for %d messages", in.calls, len(all))
	}
}

// Acknowledgements keep the order of messages, also if those in the middle have
// no pipeline, another one, or are not allowed.
func TestOrderOfAcks(t *testing.T) {
	t.Parallel()
	slow, fast := &fakeIntake{gate: make(chan struct{})}, &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "slow", slow, "slow/#", "both")
	read(t, b, "fast", fast, "fast/#", "both")
	d, _ := connect(t, b, named5("d"))
	d.publish(9, 1, "slow/x", "1")
	d.publish(3, 1, "fast/x", "2")
	d.publish(5, 1, "nobody", "3")
	d.publish(7, 2, "both", "4")
	d.publish(2, 1, "fast/y", "5")
	eventually(t, "the fast one has its own", func() bool { return len(fast.all()) == 3 })
	d.nothing()
	close(slow.gate)
	for _, w := range []struct {
		typ mqttwire.Type
		id  uint16
	}{{mqttwire.PUBACK, 9}, {mqttwire.PUBACK, 3}, {mqttwire.PUBACK, 5}, {mqttwire.PUBREC, 7}, {mqttwire.PUBACK, 2}} {
		d.want(w.typ, w.id)
	}
	if got := join(slow.all()) + " | " + join(fast.all()); got != "slow/x 1; both 4 | fast/x 2; both 4; fast/y 5" {
		t.Error(got)
	}
}

func TestBusyIsHandedOverAgain(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{errs: []error{&source.BusyError{Reason: "the disk is full", RetryAfter: time.Millisecond}, source.ErrBusy, fmt.Errorf("odd")}}
	log := &lines{}
	b := open(t, Default(), Deps{Log: log.logger()})
	read(t, b, "p", in, "a")
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.want(mqttwire.PUBACK, 1)
	if got := join(in.all()); got != "a x" || in.calls != 4 {
		t.Errorf("%s after %d calls", got, in.calls)
	}
	eventually(t, "it is counted", func() bool { s := b.Stats(); return s.Retries == 3 && s.Taken == 1 })
	got := log.with("pipeline=p")
	if len(got) != 2 || !strings.Contains(got[0], `level=WARN msg="messages of MQTT wait, because they cannot be taken now" pipeline=p messages=1 reason="the disk is full"`) ||
		!strings.Contains(got[1], `level=INFO msg="messages of MQTT are taken again"`) {
		t.Errorf("the log says %q", got)
	}
}

// The log is told once a minute while messages wait, and not of each turn where one
// lane fares well and another does not.
func TestTold(t *testing.T) {
	s, now := slot{}, time.Unix(1e9, 0)
	for i, k := range []struct {
		takes bool
		after time.Duration
		want  bool
	}{
		{true, 0, false}, {false, 0, true}, {false, time.Second, false}, {true, 0, true}, {true, 0, false}, {false, time.Second, false},
		{true, 0, false}, {false, time.Minute, true}, {false, time.Second, false}, {false, time.Minute, true}, {true, 0, true},
	} {
		now = now.Add(k.after)
		if got := s.tell(k.takes, now); got != k.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// What is handed over at the moment has not been taken.
func TestLag(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	b := open(t, Default(), Deps{})
	s := b.Source("p", SourceConfig{Topics: []string{"a"}})
	release := s.Hold()
	t.Cleanup(release)
	read(t, b, "p", in, "a")
	d, _ := connect(t, b, named("d"))
	for i := range 5 {
		d.publish(uint16(i+1), 1, "a", "x")
		if i == 0 {
			<-in.entered
		}
	}
	d.ping()
	if lag := s.Status().Lag; lag != 5 {
		t.Errorf("%d wait", lag)
	}
	close(in.gate)
	eventually(t, "none waits", func() bool { return s.Status().Lag == 0 })
}

func TestStatusTellsTrouble(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	for range 1000 {
		in.errs = append(in.errs, &source.BusyError{Reason: "the disk is full", RetryAfter: time.Hour})
	}
	b := open(t, Default(), Deps{})
	s := b.Source("p", SourceConfig{Topics: []string{"a"}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx, in) }()
	eventually(t, "it runs", func() bool { return s.Status().Connected })
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.publish(2, 1, "a", "y")
	eventually(t, "the trouble is told", func() bool { return s.Status().Trouble == "the disk is full" && s.Status().Connected })
	cancel()
	if err := <-done; err != nil || s.Status().Connected {
		t.Error(err, s.Status())
	}
	d.nothing()
}

// QoS 2: one PUBREC for a message and its repeats, one call of the intake, one
// message for subscribers.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "a")
	sub, _ := connect(t, b, named("sub"))
	sub.subscribe(filter("a", 2))
	m := named("d")
	m.CleanStart = false
	d, _ := connect(t, b, m)
	repeat := mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 2, Dup: true, PacketID: 4, Topic: []byte("a"), Payload: []byte("x")})
	d.publish(4, 2, "a", "x")
	d.want(mqttwire.PUBREC, 4)
	d.send(repeat)
	d.want(mqttwire.PUBREC, 4)
	d.net.Close()
	d, ack := connect(t, b, m)
	if !ack.Present {
		t.Error("the session is gone")
	}
	d.send(repeat)
	d.want(mqttwire.PUBREC, 4)
	rel := mqttwire.AppendAck(nil, mqttwire.PUBREL, d.version, mqttwire.Ack{PacketID: 4})
	d.send(rel)
	d.want(mqttwire.PUBCOMP, 4)
	d.send(rel)
	d.want(mqttwire.PUBCOMP, 4)
	got, text := sub.message()
	if text != "a x qos=2" {
		t.Error(text)
	}
	sub.send(mqttwire.AppendAck(nil, mqttwire.PUBREC, sub.version, mqttwire.Ack{PacketID: got.PacketID}))
	sub.want(mqttwire.PUBREL, got.PacketID)
	sub.send(mqttwire.AppendAck(nil, mqttwire.PUBCOMP, sub.version, mqttwire.Ack{PacketID: got.PacketID}))
	sub.ping()
	if got := join(in.all()); got != "a x" {
		t.Error(got)
	}
	// The identifier can be used again.
	d.publish(4, 2, "a", "y")
	d.want(mqttwire.PUBREC, 4)
	if got := join(in.all()); got != "a x; a y" {
		t.Error(got)
	}
}

// A message of QoS 2 whose connection ends before its commit is known to the
// session when the commit comes.
func TestExactlyOnceOverACut(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "a")
	m := named("d")
	m.CleanStart = false
	d, _ := connect(t, b, m)
	d.publish(4, 2, "a", "x")
	<-in.entered
	d.net.Close()
	eventually(t, "it is gone", func() bool { return b.Stats().Connections == 0 })
	in.gate <- struct{}{}
	eventually(t, "it is taken", func() bool { return b.Stats().Taken == 1 })
	d, _ = connect(t, b, m)
	d.send(mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 2, Dup: true, PacketID: 4, Topic: []byte("a"), Payload: []byte("x")}))
	d.want(mqttwire.PUBREC, 4)
	if got := join(in.all()); got != "a x" {
		t.Error(got)
	}
}

// A device that forgot its session begins to count identifiers from 1 again: its
// message is another one, also while the first is not taken yet.
func TestExactlyOnceForgotten(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "a")
	sub, _ := connect(t, b, named("sub"))
	sub.subscribe(filter("a", 0))
	m := named("d")
	m.CleanStart = false
	d, _ := connect(t, b, m)
	d.publish(1, 2, "a", "20")
	d.want(mqttwire.PUBREC, 1)
	d.net.Close()
	d, _ = connect(t, b, m)
	d.publish(1, 2, "a", "21")
	d.want(mqttwire.PUBREC, 1)
	// The same one without DUP may be a new one of the same value.
	d.publish(1, 2, "a", "21")
	d.want(mqttwire.PUBREC, 1)
	if got := join(in.all()); got != "a 20; a 21; a 21" {
		t.Error(got)
	}
	for _, want := range []string{"a 20 qos=0", "a 21 qos=0", "a 21 qos=0"} {
		if _, text := sub.message(); text != want {
			t.Errorf("subscribers get %q, want %q", text, want)
		}
	}
	sub.ping()

	in.mu.Lock()
	in.gate, in.entered = make(chan struct{}), make(chan struct{}, 10)
	in.mu.Unlock()
	d.publish(2, 2, "a", "30")
	<-in.entered
	d.net.Close()
	d, _ = connect(t, b, m)
	d.publish(2, 2, "a", "31")
	in.gate <- struct{}{} // 30 is taken, and 31 is not by that
	<-in.entered
	d.send(mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 2, Dup: true, PacketID: 2, Topic: []byte("a"), Payload: []byte("31")}))
	d.nothing()
	close(in.gate)
	d.want(mqttwire.PUBREC, 2)
	d.want(mqttwire.PUBREC, 2)
	if got := join(in.all()); !strings.HasPrefix(got, "a 20; a 21; a 21; a 30; a 31") {
		t.Error(got)
	}
}

// A message that says the same as one that was taken, of a device that forgot its
// session, is not acknowledged by that: neither before the connection breaks nor
// after it, and whichever of the two the intake takes first.
func TestExactlyOnceForgottenIsAcknowledgedWhenTaken(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "a")
	m := named("d")
	m.CleanStart = false
	d, _ := connect(t, b, m)
	d.publish(1, 2, "a", "20")
	d.want(mqttwire.PUBREC, 1)
	d.net.Close()
	in.mu.Lock()
	in.gate, in.entered = make(chan struct{}), make(chan struct{}, 10)
	in.mu.Unlock()
	for range 2 { // the second while the first is on its way
		d, _ = connect(t, b, m)
		d.publish(1, 2, "a", "20")
		d.ping()
		d.net.Close()
	}
	<-in.entered
	again := mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 2, Dup: true, PacketID: 1, Topic: []byte("a"), Payload: []byte("20")})
	d, _ = connect(t, b, m)
	d.send(again)
	d.nothing()
	in.gate <- struct{}{} // the first is taken
	<-in.entered
	d.send(again)
	d.nothing()
	close(in.gate)
	d.want(mqttwire.PUBREC, 1)
	d.want(mqttwire.PUBREC, 1)
	if n := len(in.all()); n < 3 {
		t.Errorf("%d are taken", n)
	}
}

// What a device retains anew after a restart takes the place of what others retained
// meanwhile, though it has said the same before.
func TestExactlyOnceForgottenIsRetained(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	m := named("d")
	m.CleanStart = false
	d, _ := connect(t, b, m)
	d.retain(1, 2, "a", "open", nil)
	d.want(mqttwire.PUBREC, 1)
	d.net.Close()
	if err := b.Publish("a", []byte("closed"), 1, true); err != nil {
		t.Fatal(err)
	}
	d, _ = connect(t, b, m)
	d.send(mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 2, Dup: true, Retain: true, PacketID: 1, Topic: []byte("a"), Payload: []byte("open")}))
	d.want(mqttwire.PUBREC, 1)
	if got := kept(t, b, "a"); got != "a closed qos=1" {
		t.Errorf("sent again, it has the effect of a new one: %s", got)
	}
	d.retain(1, 2, "a", "open", nil)
	d.want(mqttwire.PUBREC, 1)
	if got := kept(t, b, "a"); got != "a open qos=2" {
		t.Error(got)
	}
}

// A pipeline that is replaced loses nothing, in whichever order its end and the
// start of the next one come.
func TestReload(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	first, second, third := &fakeIntake{}, &fakeIntake{}, &fakeIntake{}
	stop := read(t, b, "p", first, "a/#")
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a/1", "x")
	d.want(mqttwire.PUBACK, 1)
	stop()
	d.publish(2, 1, "a/2", "x") // waits
	d.nothing()
	stopSecond, release := readUntil(t, b, "p", second, "a/#", "b")
	d.want(mqttwire.PUBACK, 2)
	read(t, b, "p", third, "a/#")
	d.publish(3, 1, "a/3", "x")
	d.want(mqttwire.PUBACK, 3)
	stopSecond()
	release()
	d.publish(4, 1, "a/4", "x")
	d.want(mqttwire.PUBACK, 4)
	d.publish(5, 1, "b", "x") // is no longer read
	d.want(mqttwire.PUBACK, 5)
	if got := join(first.all()) + " | " + join(second.all()) + " | " + join(third.all()); got != "a/1 x | a/2 x | a/3 x; a/4 x" {
		t.Error(got)
	}
}

// A pipeline that stops waits for the call that is under way, and what could not
// be taken in time is handed to the next one.
func TestReloadDuringTake(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	first, second := &fakeIntake{gate: make(chan struct{}), entered: make(chan struct{}, 1)}, &fakeIntake{}
	stop := read(t, b, "p", first, "a")
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	<-first.entered
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("it stops while its intake is at work")
	case <-time.After(50 * time.Millisecond):
	}
	first.gate <- struct{}{}
	<-stopped
	d.want(mqttwire.PUBACK, 1)
	read(t, b, "p", second, "a")
	d.publish(2, 1, "a", "y")
	d.want(mqttwire.PUBACK, 2)
	if got := join(first.all()) + " | " + join(second.all()); got != "a x | a y" {
		t.Error(got)
	}
}

// What waits for a pipeline that does not come back is not acknowledged: its
// client sends it again, to whoever reads the topic by then.
func TestRemovedPipeline(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	stop, release := readUntil(t, b, "p", &fakeIntake{}, "a")
	stop()
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.nothing()
	release()
	d.gone()
	d, _ = connect(t, b, named("d"))
	d.publish(1, 1, "a", "x") // nobody reads it any more
	d.want(mqttwire.PUBACK, 1)
	d.publish(2, 1, "a", "x")
	d.want(mqttwire.PUBACK, 2)
	in := &fakeIntake{}
	read(t, b, "p", in, "a")
	d.publish(3, 1, "a", "z")
	d.want(mqttwire.PUBACK, 3)
	if got := join(in.all()); got != "a z" {
		t.Error(got)
	}
}

func TestTakeover(t *testing.T) {
	t.Parallel()
	status := &fakeIntake{}
	b := open(t, Default(), Deps{Status: status})
	m := named5("d")
	m.SessionExpiry = 100
	old, _ := connect(t, b, m)
	old.subscribe(filter("to/d", 1))
	m.CleanStart = false
	fresh, ack := connect(t, b, m)
	if !ack.Present {
		t.Error("the session was not taken over")
	}
	if d := old.closed(); d.Reason != mqttwire.SessionTakenOver {
		t.Errorf("%+v", d)
	}
	if err := b.Publish("to/d", []byte("x"), 1, false); err != nil {
		t.Fatal(err)
	}
	if _, text := fresh.message(); text != "to/d x qos=1" {
		t.Error(text)
	}
	fresh.ping()
	eventually(t, "it is online", func() bool { return len(status.statuses()) > 0 })
	time.Sleep(3 * statusEvery)
	for _, s := range status.statuses() {
		if s != "device_status,client=d online=true connected" {
			t.Errorf("taken over, it is told to be %s", s)
		}
	}
	// A session of another user is another one, whatever the client id.
	m.HasUser, m.User = true, "other"
	other, ack := connect(t, b, m)
	if ack.Present {
		t.Error("a session was given to another user")
	}
	fresh.ping()
	other.ping()
}

// A persistent session keeps subscriptions and messages, and sends again what
// was not acknowledged.
func TestPersistentSession(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	m := named("d")
	m.CleanStart = false
	d, ack := connect(t, b, m)
	if ack.Present {
		t.Error("a session is there already")
	}
	d.subscribe(filter("a/#", 1), filter("zero", 0))
	b.Publish("a/1", []byte("x"), 1, false)
	if _, text := d.message(); text != "a/1 x qos=1" {
		t.Error(text)
	}
	d.net.Close() // without PUBACK
	eventually(t, "it is gone", func() bool { return b.Stats().Connections == 0 })
	b.Publish("a/2", []byte("y"), 2, false)
	b.Publish("zero", []byte("z"), 1, false) // with QoS 0: is not kept
	d, ack = connect(t, b, m)
	if !ack.Present {
		t.Error("the session is gone")
	}
	var ids []uint16
	for _, want := range []string{"a/1 x qos=1 dup", "a/2 y qos=1"} {
		got, text := d.message()
		if text != want {
			t.Errorf("%s, want %s", text, want)
		}
		ids = append(ids, got.PacketID)
		d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: got.PacketID}))
	}
	if ids[0] == ids[1] {
		t.Error("two messages have one identifier")
	}
	d.ping()
	m.CleanStart = true
	d, ack = connect(t, b, m)
	if ack.Present {
		t.Error("a clean start has a session")
	}
	b.Publish("a/3", []byte("x"), 1, false)
	d.nothing()
}

// Identifiers of the two directions are apart: a client that has sent one can
// get the same one (section 2.2.1).
func TestIdentifiersOfBothDirections(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "up")
	d, _ := connect(t, b, named("d"))
	d.subscribe(filter("down", 1))
	b.Publish("down", []byte("x"), 1, false)
	m, _ := d.message()
	d.publish(m.PacketID, 1, "up", "y")
	d.want(mqttwire.PUBACK, m.PacketID)
	d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: m.PacketID}))
	d.ping()
	if s := b.Stats(); s.Delivered != 1 {
		t.Errorf("%+v", s)
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	m := named5("d")
	m.SessionExpiry = 1
	d, _ := connect(t, b, m)
	d.subscribe(filter("a", 1))
	d.net.Close()
	eventually(t, "the session is gone", func() bool { return b.Stats().Sessions == 0 && b.Stats().Subscriptions == 0 })
}

func TestBroker(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	pub, _ := connect(t, b, named5("pub"))
	sub, _ := connect(t, b, named5("sub"))
	old, _ := connect(t, b, named("old"))
	sub.subscribe(filter("a/+", 1), filter("a/#", 0))
	old.subscribe(filter("#", 2))
	pub.send(mqttwire.AppendPublish(nil, mqttwire.V5, &mqttwire.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: []byte("a/b"), Payload: []byte("x"),
		Properties: mqttwire.AppendUser(mqttwire.AppendNumber(nil, mqttwire.MessageExpiry, 100), "k", "v")}))
	pub.want(mqttwire.PUBACK, 1)
	m, text := sub.message()
	if text != "a/b x qos=1" {
		t.Error(text)
	}
	if v, ok := m.Properties.Get(mqttwire.UserProperty); !ok || string(v.Data) != "k" || string(v.Second) != "v" {
		t.Errorf("properties %x", m.Properties)
	}
	if v, ok := m.Properties.Get(mqttwire.MessageExpiry); !ok || v.Number < 90 || v.Number > 100 {
		t.Errorf("expiry %d", v.Number)
	}
	sub.ping() // not twice
	if _, text := old.message(); text != "a/b x qos=1" {
		t.Error(text)
	}
	late, _ := connect(t, b, named5("late"))
	late.subscribe(filter("+/b", 0))
	if _, text := late.message(); text != "a/b x qos=0 retained" {
		t.Error(text)
	}
	late.subscribe(mqttwire.Subscription{Filter: "a/b", RetainHandling: 2})
	late.ping()
	pub.send(mqttwire.AppendPublish(nil, mqttwire.V5, &mqttwire.Publish{Retain: true, Topic: []byte("a/b")}))
	pub.ping()
	if s := b.Stats(); s.Retained != 0 || s.Subscriptions != 5 {
		t.Errorf("%+v", s)
	}
	// Unsubscribe; no local.
	sub.message()
	sub.send(mqttwire.AppendUnsubscribe(nil, sub.version, &mqttwire.Subscribe{PacketID: 5, Filters: []mqttwire.Subscription{{Filter: "a/+"}, {Filter: "a/#"}, {Filter: "none"}}}))
	_, reasons, err := mqttwire.DecodeSuback(mqttwire.UNSUBACK, sub.next().Body, sub.version)
	if err != nil || fmt.Sprint(reasons) != "[success success no subscription]" {
		t.Error(reasons, err)
	}
	sub.subscribe(mqttwire.Subscription{Filter: "own", NoLocal: true})
	sub.publish(0, 0, "own", "x")
	pub.publish(0, 0, "own", "y")
	if _, text := sub.message(); text != "own y qos=0" {
		t.Error(text)
	}
}

func TestSharedSubscription(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	x, _ := connect(t, b, named("x"))
	y, _ := connect(t, b, named5("y"))
	x.subscribe(filter("$share/g/a/#", 1))
	y.subscribe(filter("$share/g/a/#", 1))
	for i := range 10 {
		b.Publish("a/b", fmt.Append(nil, i), 0, false)
	}
	for _, d := range []*device{x, y} {
		for range 5 {
			d.message()
		}
		d.ping()
	}
	y.net.Close()
	eventually(t, "one is left", func() bool { return b.Stats().Connections == 1 })
	for range 3 {
		b.Publish("a/b", []byte("x"), 0, false)
		x.message()
	}
}

// A message for a session that ends meanwhile goes to another member of a shared
// subscription, and is counted if there is none.
func TestDeliverToASessionThatEnds(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	for _, client := range []string{"x", "y"} {
		away(t, b, client, 1, "$share/g/a")
	}
	away(t, b, "z", 1, "b")
	publish := func(topic string) {
		t.Helper()
		found := b.tree.find(topic, nil)
		if len(found) != 1 {
			t.Fatalf("%d are found", len(found))
		}
		s := found[0]
		b.mu.Lock()
		delete(b.sessions, s.session.key)
		b.mu.Unlock()
		s.session.clear(b.tree)
		s.session.deliver(outgoing{message: &message{topic: topic, payload: []byte("x"), qos: 1}, qos: 1, ids: identifiers(s), shared: s.shared()})
	}
	publish("a")
	if n := waiting(b, "x") + waiting(b, "y"); n != 0 || b.Stats().Undelivered != 0 { // -1 is of the one that has ended
		t.Errorf("%d wait, %d are dropped", n+1, b.Stats().Undelivered)
	}
	publish("a") // both that wait now are nobody's
	if n := b.Stats().Undelivered; n != 2 {
		t.Errorf("%d are dropped, want 2", n)
	}
	publish("b")
	if n := b.Stats().Undelivered; n != 3 {
		t.Errorf("%d are dropped, want 3", n)
	}
	if n := b.Stats().Outgoing; n != 0 {
		t.Errorf("%d bytes wait in no session", n)
	}
}

// What a member of a shared subscription has not acknowledged when its session ends
// goes to another one, but what it may know by QoS 2.
func TestSharedSubscriptionOfOneThatLeaves(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		qos  byte
		want string
	}{{1, "0 2 3 4"}, {2, "3 4"}} {
		b := open(t, Default(), Deps{})
		m := named5("x")
		m.ReceiveMaximum = 3
		x, _ := connect(t, b, m)
		f := filter("$share/g/a/#", k.qos)
		x.subscribe(f, filter("b", 1))
		for i := range 5 {
			b.Publish("a/b", fmt.Append(nil, i), 2, false)
			if i == 1 {
				b.Publish("b", []byte("x's own"), 1, false)
			}
		}
		first, _ := x.message()
		second, _ := x.message()
		if first.PacketID == second.PacketID {
			t.Fatal("two have one identifier")
		}
		own, _ := x.message()
		if string(own.Payload) != "x's own" {
			t.Fatal("the window is not as it was thought")
		}
		y, _ := connect(t, b, named("y"))
		y.subscribe(f)
		if k.qos == 1 {
			x.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, 5, mqttwire.Ack{PacketID: second.PacketID}))
			x.message() // 2
		} else {
			x.send(mqttwire.AppendAck(nil, mqttwire.PUBREC, 5, mqttwire.Ack{PacketID: second.PacketID}))
			x.want(mqttwire.PUBREL, second.PacketID)
			x.send(mqttwire.AppendAck(nil, mqttwire.PUBCOMP, 5, mqttwire.Ack{PacketID: second.PacketID}))
			x.message() // 2
		}
		x.net.Close()
		var got []string
		for range strings.Fields(k.want) {
			p, _ := y.message()
			if p.Dup || p.QoS != k.qos {
				t.Errorf("%+v", p)
			}
			got = append(got, string(p.Payload))
		}
		if s := strings.Join(got, " "); s != k.want {
			t.Errorf("QoS %d: the other one gets %s, want %s", k.qos, s, k.want)
		}
		y.ping()
		y.net.Close()
		eventually(t, "nothing waits", func() bool { return b.Stats().Outgoing == 0 })
	}
}

func TestTopicAliases(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "#")
	d, _ := connect(t, b, named5("d"))
	alias := func(n uint32, topic string) {
		d.send(mqttwire.AppendPublish(nil, mqttwire.V5, &mqttwire.Publish{QoS: 1, PacketID: 1, Topic: []byte(topic), Payload: []byte("x"),
			Properties: mqttwire.AppendNumber(nil, mqttwire.TopicAlias, n)}))
	}
	alias(2, "a/b")
	d.want(mqttwire.PUBACK, 1)
	alias(2, "")
	d.want(mqttwire.PUBACK, 1)
	alias(2, "c")
	d.want(mqttwire.PUBACK, 1)
	alias(2, "")
	d.want(mqttwire.PUBACK, 1)
	if got := join(in.all()); got != "a/b x; a/b x; c x; c x" {
		t.Error(got)
	}
	alias(1, "")
	if got := d.closed(); got.Reason != mqttwire.ProtocolError {
		t.Errorf("%+v", got)
	}
	d, _ = connect(t, b, named5("d"))
	alias(65, "a")
	if got := d.closed(); got.Reason != mqttwire.InvalidTopicAlias {
		t.Errorf("%+v", got)
	}
}

func TestWills(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "will/#")
	sub, _ := connect(t, b, named("sub"))
	sub.subscribe(filter("will/#", 1))
	will := func(id string, delay uint32) mqttwire.Connect {
		m := named5(id)
		m.SessionExpiry = 100
		m.Will = &mqttwire.Will{Topic: "will/" + id, Payload: []byte("gone"), QoS: 1, Delay: delay}
		return m
	}
	d, _ := connect(t, b, will("cut", 0))
	d.net.Close()
	if _, text := sub.message(); text != "will/cut gone qos=1" {
		t.Error(text)
	}
	eventually(t, "the pipeline has it", func() bool { return join(in.all()) == "will/cut gone" })
	d, _ = connect(t, b, will("polite", 0))
	d.send(mqttwire.AppendDisconnect(nil, d.version, &mqttwire.Disconnect{}))
	d.closed()
	d, _ = connect(t, b, will("asked", 0))
	d.send(mqttwire.AppendDisconnect(nil, d.version, &mqttwire.Disconnect{Reason: mqttwire.DisconnectWithWill}))
	if _, text := sub.message(); text != "will/asked gone qos=1" {
		t.Error(text)
	}
	d, _ = connect(t, b, will("late", 1))
	d.net.Close()
	sub.nothing()
	d, _ = connect(t, b, will("back", 1))
	d.net.Close()
	eventually(t, "it is gone", func() bool { return b.Stats().Connections == 1 })
	m := will("back", 1)
	m.CleanStart = false
	back, _ := connect(t, b, m)
	if _, text := sub.message(); text != "will/late gone qos=1" {
		t.Error(text)
	}
	time.Sleep(1200 * time.Millisecond)
	sub.ping()
	back.ping()
}

func TestDeviceStatus(t *testing.T) {
	t.Parallel()
	status := &fakeIntake{errs: []error{source.ErrBusy}}
	left := []Device{{"lost", "u"}, {"d", ""}}
	asked := 0
	b := open(t, Default(), Deps{Status: status, LeftOnline: func(context.Context) ([]Device, error) {
		if asked++; asked == 1 {
			time.Sleep(200 * time.Millisecond)
			return nil, fmt.Errorf("not yet")
		}
		return left, nil
	}})
	d, _ := connect(t, b, named("d")) // back before it is known that it was lost
	connect(t, b, mqttwire.Connect{CleanStart: true, KeepAlive: 60})
	eventually(t, "two states are known", func() bool { return len(status.statuses()) == 2 })
	d.send(mqttwire.AppendDisconnect(nil, d.version, &mqttwire.Disconnect{}))
	eventually(t, "it is offline", func() bool { return len(status.statuses()) == 3 })
	cut, _ := connect(t, b, named5("cut"))
	eventually(t, "it is online", func() bool { return len(status.statuses()) == 4 })
	cut.send([]byte{0x30, 0x01, 0x00})
	eventually(t, "it is offline", func() bool { return len(status.statuses()) == 5 })
	stays, _ := connect(t, b, named("stays"))
	eventually(t, "it is online", func() bool { return len(status.statuses()) == 6 })
	b.Close()
	stays.closed()
	got := status.statuses()
	if got[0] > got[1] {
		got[0], got[1] = got[1], got[0]
	}
	want := []string{
		`device_status,client=d online=true connected`,
		`device_status,client=lost,user=u online=false server was killed`,
		`device_status,client=d online=false disconnected`,
		`device_status,client=cut online=true connected`,
		`device_status,client=cut online=false malformed packet: it ends within the topic`,
		`device_status,client=stays online=true connected`,
		`device_status,client=stays online=false server stopped`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("states:\n%s", strings.Join(got, "\n"))
	}
}

func TestStopLeavesUnacknowledged(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	for range 10000 {
		in.errs = append(in.errs, source.ErrBusy)
	}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "a")
	d, _ := connect(t, b, named5("d"))
	d.publish(1, 1, "a", "x")
	d.ping()
	b.Close()
	for {
		p, err := d.read(5 * time.Second)
		if err != nil {
			break
		}
		if p.Type == mqttwire.PUBACK {
			t.Error("it is acknowledged though it was not taken")
		}
	}
}

// fakeAccess lets in who has the password.
type fakeAccess struct {
	password string
	now      atomic.Pointer[Identity] // nil: nobody is let in any more
}

func (f *fakeAccess) Admit(_ context.Context, c *Credentials) (Identity, error) {
	switch i := f.now.Load(); {
	case c.User == "broken":
		return Identity{}, fmt.Errorf("the store is away")
	case i == nil || string(c.Password) != f.password:
		return Identity{}, ErrRefused
	default:
		return *i, nil
	}
}

// TestAccess: who is let in, what they may, and what becomes of them when that
// changes.
func TestAccess(t *testing.T) {
	t.Parallel()
	access := &fakeAccess{password: "secret"}
	still := func() (Identity, bool) {
		if i := access.now.Load(); i != nil {
			return *i, true
		}
		return Identity{}, false
	}
	may := Identity{Kind: Token, Names: []string{"t"}, Publish: true, Still: still}
	access.now.Store(&may)
	b := open(t, Default(), Deps{Access: access})
	in := func(m mqttwire.Connect, user, password string) (*device, mqttwire.Reason) {
		t.Helper()
		m.HasUser, m.User, m.HasPassword, m.Password = true, user, true, []byte(password)
		d, a := connect(t, b, m)
		return d, a.Reason
	}
	for _, c := range []struct {
		user, password string
		want5, want311 mqttwire.Reason
	}{{"", "wrong", mqttwire.BadUserOrPassword, mqttwire.BadUserOrPassword}, {"broken", "secret", mqttwire.ServerBusy, mqttwire.ServerUnavailable}} {
		if d, r := in(named5("d"), c.user, c.password); r != c.want5 {
			t.Errorf("%v: %v", c, r)
		} else {
			d.closed()
		}
		if _, r := in(named("d"), c.user, c.password); r != c.want311 {
			t.Errorf("%v by 3.1.1: %v", c, r)
		}
	}
	d, r := in(named5("d"), "", "secret")
	if r != mqttwire.Success {
		t.Fatal(r)
	}
	if got := d.subscribe(filter("a", 0)); got[0] != mqttwire.NotAuthorized {
		t.Error(got)
	}
	d.publish(1, 1, "$x", "")
	if a := d.want(mqttwire.PUBACK, 1); a.Reason != mqttwire.NotAuthorized {
		t.Error(a)
	}
	old, _ := in(named("old"), "", "secret")
	old.publish(1, 1, "$x", "")
	old.closed()
	time.Sleep((accessEvery + 1) * lookEvery)
	d.ping()
	more := may
	more.Subscribe = true
	access.now.Store(&more)
	if got := d.closed(); got.Reason != mqttwire.NotAuthorized {
		t.Errorf("when it may more: %+v", got)
	}
	d, _ = in(named5("d"), "", "secret")
	if got := d.subscribe(filter("a", 1)); got[0] != 1 {
		t.Error(got)
	}
	access.now.Store(nil)
	if got := d.closed(); got.Reason != mqttwire.NotAuthorized {
		t.Errorf("when it may nothing: %+v", got)
	}
}

// What may not be published is told as far as the protocol can, and counted in any
// case.
func TestDenied(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	four, _ := connect(t, b, named("four"))
	five, _ := connect(t, b, named5("five"))
	four.publish(0, 0, "$a", "x")
	four.ping()
	five.publish(1, 1, "$a", "x")
	if a := five.want(mqttwire.PUBACK, 1); a.Reason != mqttwire.NotAuthorized {
		t.Error(a)
	}
	four.publish(1, 1, "$a", "x")
	four.gone()
	// The end of the connection is counted as well.
	if got := b.Stats().Refused["not authorized"]; got < 3 {
		t.Errorf("%d are counted", got)
	}
}

// What a pipeline passes on goes to subscribers, and to no pipeline.
func TestSink(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "#")
	sub, _ := connect(t, b, named("sub"))
	sub.subscribe(filter("#", 2))
	s := b.Sink(SinkConfig{Topic: "alerts", QoS: 1, Retain: true})
	if err := s.Produce(t.Context(), []pipeline.Outgoing{{Value: []byte("x")}, {Topic: "other", Value: []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"alerts x qos=1", "other y qos=1"} {
		if _, text := sub.message(); text != want {
			t.Errorf("%s, want %s", text, want)
		}
	}
	if err := s.Produce(t.Context(), []pipeline.Outgoing{{Topic: "a/#", Value: []byte("x")}}); err == nil {
		t.Error("a filter is no topic")
	}
	late, _ := connect(t, b, named("late"))
	late.subscribe(filter("alerts", 0))
	if _, text := late.message(); text != "alerts x qos=0 retained" {
		t.Error(text)
	}
	if err := s.Close(); err != nil || len(in.all()) > 0 {
		t.Errorf("%v, a pipeline has %v", err, in.all())
	}
}

// What comes behind a DISCONNECT does not count.
func TestBehindDisconnect(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "a")
	d, _ := connect(t, b, named("d"))
	raw := mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 1, PacketID: 1, Topic: []byte("a"), Payload: []byte("before")})
	raw = mqttwire.AppendDisconnect(raw, d.version, &mqttwire.Disconnect{})
	d.send(mqttwire.AppendPublish(raw, d.version, &mqttwire.Publish{QoS: 1, PacketID: 2, Topic: []byte("a"), Payload: []byte("behind")}))
	d.closed()
	eventually(t, "the first is taken", func() bool { return len(in.all()) > 0 })
	time.Sleep(20 * time.Millisecond)
	if got := join(in.all()); got != "a before" {
		t.Error(got)
	}
}
