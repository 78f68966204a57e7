package mqtt

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
	stop := read(t, b, "old", old, "a")
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
	b.retireVacant(time.Now().Add(2 * vacantFor))
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

// A source that was opened and does not run holds up nothing; one that takes
// the place of another has what comes in between.
func TestOpenedOnly(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	in := &fakeIntake{}
	stop := read(t, b, "p", in, "a")
	never := b.Source("never", SourceConfig{Topics: []string{"a"}})
	if st := never.Status(); st != (source.Status{}) {
		t.Errorf("%+v", st)
	}
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.want(mqttwire.PUBACK, 1)
	b.Source("p", SourceConfig{Topics: []string{"a", "b"}})
	d.publish(2, 1, "b", "nobody's")
	d.want(mqttwire.PUBACK, 2)
	stop()
	d.publish(3, 1, "a", "y")
	d.nothing()
	read(t, b, "p", in, "a", "b")
	d.want(mqttwire.PUBACK, 3)
	if got := join(in.all()); got != "a x; a y" {
		t.Error(got)
	}
}

// What comes before the pipelines of the start run waits for them.
func TestOpenedBeforeListen(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Addr = "127.0.0.1:0"
	b, err := New(c, Deps{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	b.Source("p", SourceConfig{Topics: []string{"a"}})
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
