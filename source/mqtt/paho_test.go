package mqtt

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// TestPaho talks to a client that is not ours: all qualities of service, both
// ways, at once, with a pipeline behind it.
func TestPaho(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "up/#")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var mu sync.Mutex
	got := map[string]int{}
	dialPaho := func(id string) *paho.Client {
		t.Helper()
		nc, err := net.Dial("tcp", b.Addr("mqtt"))
		if err != nil {
			t.Fatal(err)
		}
		c := paho.NewClient(paho.ClientConfig{Conn: nc, OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprintf("%s %s %s %d", id, r.Packet.Topic, r.Packet.Payload, r.Packet.QoS)]++
			return true, nil
		}}})
		a, err := c.Connect(ctx, &paho.Connect{ClientID: id, KeepAlive: 30, CleanStart: true})
		if err != nil {
			t.Fatal(err)
		}
		if a.Properties.ReceiveMaximum == nil || *a.Properties.ReceiveMaximum != 1000 {
			t.Errorf("CONNACK says %+v", a.Properties)
		}
		return c
	}
	sub, pub := dialPaho("sub"), dialPaho("pub")
	for i, f := range []string{"up/zero/#", "up/one/+", "up/two/#"} {
		a, err := sub.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: f, QoS: byte(i)}}})
		if err != nil || a.Reasons[0] != byte(i) {
			t.Fatalf("%s: %v %v", f, a, err)
		}
	}
	const each = 100
	var publishing sync.WaitGroup
	for qos, level := range []string{"zero", "one", "two"} {
		publishing.Go(func() {
			for i := range each {
				r, err := pub.Publish(ctx, &paho.Publish{QoS: byte(qos), Topic: fmt.Sprintf("up/%s/%d", level, i), Payload: []byte("x"),
					Properties: &paho.PublishProperties{User: paho.UserProperties{{Key: "k", Value: "v"}}}})
				if err != nil || qos > 0 && r.ReasonCode != 0 {
					t.Errorf("publish with QoS %d: %v %v", qos, r, err)
					return
				}
			}
		})
	}
	publishing.Wait()
	eventually(t, "all came", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == 3*each })
	eventually(t, "the pipeline has all", func() bool { return len(in.all()) == 3*each })
	for m, n := range got {
		if n != 1 {
			t.Errorf("%s came %d times", m, n)
		}
	}
	if err := pub.Disconnect(&paho.Disconnect{}); err != nil {
		t.Error(err)
	}
	if a, err := sub.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{"up/one/+"}}); err != nil || a.Reasons[0] != 0 {
		t.Errorf("%v %v", a, err)
	}
}
