package mqtt

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

// A message that waits for room goes to who reads its topic by then.
func TestRoutedAnewAfterWait(t *testing.T) {
	t.Parallel()
	c := Default()
	c.MaxPacket, c.QueueBytes = 8<<10, 8<<10
	b := open(t, c, Deps{})
	old := &fakeIntake{block: true, entered: make(chan struct{}, 1000)}
	stop, release := readUntil(t, b, "old", old, "a")
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", strings.Repeat("x", 5000))
	<-old.entered
	d.publish(2, 1, "a", strings.Repeat("y", 5000))
	d.publish(3, 1, "a", "third")
	eventually(t, "it waits for room", func() bool { return b.room.waits.Load() > 0 })
	fresh := &fakeIntake{}
	read(t, b, "new", fresh, "a")
	stop()
	d.nothing()
	release()
	d.gone()
	eventually(t, "nothing waits", func() bool { return b.room.used.Load() == 0 })
	d, _ = connect(t, b, named("d"))
	for i, payload := range []string{"first", "second", "third"} {
		d.publish(uint16(i+1), 1, "a", payload)
		d.want(mqttwire.PUBACK, uint16(i+1))
	}
	if got := join(fresh.all()); !strings.HasSuffix(got, "a first; a second; a third") || len(old.all()) > 0 {
		t.Errorf("%q, and the old one %d", got, len(old.all()))
	}
}

// Who may not publish any more when the wait for room ends is told so.
func TestDeniedAfterWait(t *testing.T) {
	t.Parallel()
	c := Default()
	c.MaxPacket, c.QueueBytes = 8<<10, 8<<10
	b := open(t, c, Deps{})
	in := &fakeIntake{gate: make(chan struct{}), entered: make(chan struct{}, 1000)}
	read(t, b, "p", in, "a")
	d, _ := connect(t, b, named5("d"))
	d.publish(1, 1, "a", strings.Repeat("x", 5000))
	<-in.entered
	d.publish(2, 1, "a", strings.Repeat("y", 5000))
	d.publish(3, 2, "a", "third")
	eventually(t, "it waits for room", func() bool { return b.room.waits.Load() > 0 })
	b.SetRules(&Rules{})
	eventually(t, "it waits no more", func() bool { return b.room.waits.Load() == 0 })
	close(in.gate)
	d.want(mqttwire.PUBACK, 1)
	d.want(mqttwire.PUBACK, 2)
	if a := d.want(mqttwire.PUBREC, 3); a.Reason != mqttwire.NotAuthorized {
		t.Error(a.Reason)
	}
	if strings.Contains(join(in.all()), "third") {
		t.Error("it is taken all the same")
	}
}

// What a pipeline that is gone leaves is no obstacle to the end of the broker,
// and is not acknowledged by it.
func TestStopWithVacantSlot(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	stop := read(t, b, "p", &fakeIntake{}, "a")
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.want(mqttwire.PUBACK, 1)
	stop()
	d.publish(2, 1, "a", "y")
	d.nothing()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	d.gone()
}

// A message is acknowledged when the last of its pipelines has taken it, however
// many there are.
func TestManyPipelinesOfATopic(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	in := &fakeIntake{gate: make(chan struct{})}
	const n = 256
	for i := range n {
		read(t, b, fmt.Sprint("p", i), in, "a")
	}
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.nothing()
	close(in.gate)
	d.want(mqttwire.PUBACK, 1)
	if got := len(in.all()); got != n {
		t.Errorf("%d have taken it", got)
	}
}

// A source that was opened and neither holds its place nor runs has no effect.
func TestOpenedOnly(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	in := &fakeIntake{}
	read(t, b, "p", in, "a")
	for _, name := range []string{"never", "p"} {
		s := b.Source(name, SourceConfig{Topics: []string{"a", "b"}})
		if st := s.Status(); st != (source.Status{}) {
			t.Errorf("%s: %+v", name, st)
		}
	}
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.want(mqttwire.PUBACK, 1)
	d.publish(2, 1, "b", "nobody's")
	d.want(mqttwire.PUBACK, 2)
	if got := join(in.all()); got != "a x" {
		t.Error(got)
	}
}

// What comes for a source that holds its place waits for it, while the one of
// before still runs too: that is handed nothing any more.
func TestHold(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	old := &fakeIntake{}
	stop, release := readUntil(t, b, "p", old, "a", "c")
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.want(mqttwire.PUBACK, 1)
	next := b.Source("p", SourceConfig{Topics: []string{"a", "b"}})
	leave := next.Hold()
	d.publish(2, 1, "a", "y")
	d.publish(3, 1, "b", "z")
	d.nothing()
	stop()
	release()
	d.publish(4, 1, "c", "nobody's")
	d.nothing()
	if next.Status().Connected {
		t.Error("it does not run yet")
	}
	in := &fakeIntake{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- next.Run(ctx, in) }()
	for id := range uint16(3) {
		d.want(mqttwire.PUBACK, 2+id)
	}
	if got, before := join(in.all()), join(old.all()); got != "a y; b z" || before != "a x" {
		t.Errorf("%q, and the one of before %q", got, before)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	d.publish(5, 1, "a", "waits")
	d.nothing()
	leave()
	leave()
	d.gone()
	d, _ = connect(t, b, named("d"))
	d.publish(5, 1, "a", "nobody's")
	d.want(mqttwire.PUBACK, 5)
}

// What comes before the pipelines of the start run waits for them.
func TestHeldBeforeListen(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Addr = "127.0.0.1:0"
	b, err := New(c, Deps{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	b.Source("p", SourceConfig{Topics: []string{"a"}}).Hold()
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.nothing()
	in := &fakeIntake{}
	read(t, b, "p", in, "a")
	d.want(mqttwire.PUBACK, 1)
	if got := join(in.all()); got != "a x" {
		t.Error(got)
	}
}
