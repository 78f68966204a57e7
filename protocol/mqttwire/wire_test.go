package mqttwire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func one(t *testing.T, b []byte) Packet {
	t.Helper()
	p, n, _, err := Next(b, 1<<20)
	if err != nil || n != len(b) {
		t.Fatalf("%x: %d of %d bytes, %v", b, n, len(b), err)
	}
	return p
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	user := AppendUser(AppendData(nil, ContentType, []byte("json")), "k", "v")
	for _, version := range []byte{V311, V5} {
		c := &Connect{Version: version, CleanStart: true, KeepAlive: 60, ClientID: "기기", HasUser: true, User: "u", HasPassword: true, Password: []byte("p"),
			ReceiveMaximum: 65535, Will: &Will{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true}}
		if version == V5 {
			c.SessionExpiry, c.ReceiveMaximum, c.MaximumPacket, c.NoProblems, c.AuthMethod = 10, 20, 30, true, "x"
			c.Will.Delay, c.Will.Properties = 5, user
		}
		got, err := DecodeConnect(one(t, AppendConnect(nil, c)).Body)
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Errorf("CONNECT %d: %v %s", version, err, diff)
		}
		a := &Connack{Present: true, Reason: NotAuthorized}
		if version == V5 {
			a.Properties = AppendNumber(nil, ReceiveMaximum, 100)
		}
		ack, err := DecodeConnack(one(t, AppendConnack(nil, version, a)).Body, version)
		if diff := cmp.Diff(a, ack); err != nil || diff != "" {
			t.Errorf("CONNACK %d: %v %s", version, err, diff)
		}
		for _, p := range []Publish{
			{Topic: []byte("a/b"), Payload: []byte("x")},
			{QoS: 2, Dup: true, Retain: true, PacketID: 7, Topic: []byte("a"), Payload: bytes.Repeat([]byte("y"), 200)},
		} {
			if version == V5 {
				p.Properties = user
			}
			packet := one(t, AppendPublish([]byte{}, version, &p))
			var got Publish
			if err := got.Decode(packet.Flags, packet.Body, version); err != nil || cmp.Diff(p, got) != "" {
				t.Errorf("PUBLISH %d: %v %s", version, err, cmp.Diff(p, got))
			}
		}
		for _, typ := range []Type{PUBACK, PUBREC, PUBREL, PUBCOMP} {
			want := Ack{PacketID: 258}
			if version == V5 {
				want.Reason = PacketIDNotFound
			}
			p := one(t, AppendAck(nil, typ, version, want))
			if got, err := DecodeAck(typ, p.Body, version); err != nil || got != want || p.Type != typ {
				t.Errorf("ack %d: %v %v", typ, got, err)
			}
		}
		s := &Subscribe{PacketID: 3, Filters: []Subscription{{Filter: "a/#", QoS: 2}, {Filter: "$share/g/b", QoS: 1}}}
		bare := &Subscribe{PacketID: 3, Filters: []Subscription{{Filter: "a/#"}, {Filter: "$share/g/b"}}}
		if version == V5 {
			s.Identifier = 300
			s.Filters[0].NoLocal, s.Filters[0].RetainAsPublished, s.Filters[1].RetainHandling = true, true, 2
		}
		if got, err := DecodeSubscribe(one(t, AppendSubscribe(nil, version, s)).Body, version); err != nil || cmp.Diff(s, got) != "" {
			t.Errorf("SUBSCRIBE %d: %v %s", version, err, cmp.Diff(s, got))
		}
		if got, err := DecodeUnsubscribe(one(t, AppendUnsubscribe(nil, version, bare)).Body, version); err != nil || cmp.Diff(bare, got) != "" {
			t.Errorf("UNSUBSCRIBE %d: %v %s", version, err, cmp.Diff(bare, got))
		}
		want := []Reason{2, UnspecifiedError}
		id, reasons, err := DecodeSuback(SUBACK, one(t, AppendSuback(nil, SUBACK, version, 9, want)).Body, version)
		if err != nil || id != 9 || cmp.Diff(want, reasons) != "" {
			t.Errorf("SUBACK %d: %v %v", version, reasons, err)
		}
		d := Disconnect{}
		if version == V5 {
			d = Disconnect{Reason: ServerShuttingDown, SessionExpiry: 4, HasExpiry: true, Text: "bye"}
		}
		if got, err := DecodeDisconnect(one(t, AppendDisconnect(nil, version, &d)).Body, version); err != nil || got != d {
			t.Errorf("DISCONNECT %d: %v %v", version, got, err)
		}
	}
	if p := one(t, AppendPing(nil, PINGREQ)); p.Type != PINGREQ {
		t.Error(p)
	}
}

func TestNextInPieces(t *testing.T) {
	t.Parallel()
	b := AppendPublish(nil, V311, &Publish{Topic: []byte("a"), Payload: make([]byte, 300)})
	for i := range b {
		if _, n, need, err := Next(b[:i], 1000); n != 0 || need <= i || need > len(b) || err != nil {
			t.Fatalf("%d bytes: %d %d %v", i, n, need, err)
		}
	}
	if _, _, _, err := Next(b[:4], 200); !is(err, PacketTooLarge) {
		t.Errorf("a packet too large: %v", err)
	}
}

func is(err error, r Reason) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == r
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    string
		want Reason
		text string
	}{
		{"\x00\x00", MalformedPacket, "type 0"},
		{"\x36\x00", MalformedPacket, "service 3"},
		{"\x38\x00", MalformedPacket, "repeat"},
		{"\x60\x00", MalformedPacket, "flags"},
		{"\xC1\x00", MalformedPacket, "flags"},
		{"\x30\xff\xff\xff\xff\x01", MalformedPacket, "four bytes"},
		{"\x30\x80\x00", MalformedPacket, "more bytes than it needs"},
	} {
		if _, _, _, err := Next([]byte(c.b), 1<<30); !is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%x: %v", c.b, err)
		}
	}
	publish := func(flags byte, version byte) func([]byte) error {
		return func(b []byte) error { var p Publish; return p.Decode(flags, b, version) }
	}
	connect := func(b []byte) error { _, err := DecodeConnect(b); return err }
	subscribe := func(b []byte) error { _, err := DecodeSubscribe(b, V5); return err }
	for _, c := range []struct {
		decode func([]byte) error
		b      string
		want   Reason
		text   string
	}{
		{publish(0, V311), "\x00\x02a", MalformedPacket, "within the topic"},
		{publish(0, V311), "\x00\x01\xff", MalformedPacket, "UTF-8"},
		{publish(0, V311), "\x00\x01\x00", MalformedPacket, "UTF-8"},
		{publish(2, V311), "\x00\x01a\x00\x00", ProtocolError, "identifier 0"},
		{publish(2, V311), "\x00\x01a\x00", MalformedPacket, "identifier"},
		{publish(0, V5), "\x00\x01a", MalformedPacket, "length of properties"},
		{publish(0, V5), "\x00\x01a\x05\x01", MalformedPacket, "properties"},
		{publish(0, V5), "\x00\x01a\x02\x01\x02", ProtocolError, "property 1 is 2"},
		{publish(0, V5), "\x00\x01a\x04\x01\x01\x01\x01", ProtocolError, "twice"},
		{publish(0, V5), "\x00\x01a\x03\x21\x00\x01", ProtocolError, "does not belong"},
		{publish(0, V5), "\x00\x01a\x03\x23\x00\x00", ProtocolError, "property 35 is 0"},
		{publish(0, V5), "\x00\x01a\x04\x03\x00\x01\xff", MalformedPacket, "UTF-8"},
		{publish(0, V5), "\x00\x01a\x03\x26\x00\x09", MalformedPacket, "property 38"},
		{connect, "\x00\x04MQTT\x06\x00\x00\x00", UnsupportedVersion, "3.1.1 and 5"},
		{connect, "\x00\x06MQIsdp\x03\x00\x00\x00", UnsupportedVersion, "3.1.1 and 5"},
		{connect, "\x00\x04HTTP\x04\x00\x00\x00", ProtocolError, "not MQTT"},
		{connect, "\x00\x04MQTT\x04\x01\x00\x00\x00\x00", MalformedPacket, "reserved"},
		{connect, "\x00\x04MQTT\x04\x20\x00\x00\x00\x00", MalformedPacket, "will"},
		{connect, "\x00\x04MQTT\x04\x40\x00\x00\x00\x00", MalformedPacket, "without a user"},
		{connect, "\x00\x04MQTT\x04\x00\x00\x00\x00\x00x", MalformedPacket, "too many"},
		{subscribe, "\x00\x01\x00", ProtocolError, "without a filter"},
		{subscribe, "\x00\x01\x00\x00\x01a", MalformedPacket, "options"},
		{subscribe, "\x00\x01\x00\x00\x01a\x03", ProtocolError, "options"},
		{subscribe, "\x00\x01\x00\x00\x01a\x40", ProtocolError, "options"},
	} {
		if err := c.decode([]byte(c.b)); !is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%q: %v, want %v with %s", c.b, err, c.want, c.text)
		}
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	p := AppendUser(AppendNumber(AppendNumber(AppendUser(nil, "a", "b"), TopicAlias, 4), MessageExpiry, 9), "c", "d")
	if got := p.Without(TopicAlias, MessageExpiry); !bytes.Equal(got, AppendUser(AppendUser(nil, "a", "b"), "c", "d")) {
		t.Errorf("%x", got)
	}
	if got := p.Without(ContentType); &got[0] != &p[0] {
		t.Error("a copy was made for nothing")
	}
}

// What decodes encodes to bytes that decode to the same; nothing panics.
func FuzzDecode(f *testing.F) {
	f.Add(AppendConnect(nil, &Connect{Version: V5, ClientID: "a", Will: &Will{Topic: "w", Delay: 3}, HasUser: true, User: "u"}), byte(V5))
	f.Add(AppendPublish(nil, V5, &Publish{QoS: 1, PacketID: 3, Topic: []byte("a/b"), Properties: AppendUser(nil, "k", "v"), Payload: []byte("x")}), byte(V5))
	f.Add(AppendSubscribe(nil, V5, &Subscribe{PacketID: 1, Identifier: 5, Filters: []Subscription{{Filter: "a/#", QoS: 1}}}), byte(V5))
	f.Add(AppendUnsubscribe(nil, V311, &Subscribe{PacketID: 1, Filters: []Subscription{{Filter: "a/#"}}}), byte(V311))
	f.Add(AppendConnack(nil, V5, &Connack{Properties: AppendData(nil, AssignedClientID, []byte("x"))}), byte(V5))
	f.Add(AppendDisconnect(nil, V5, &Disconnect{Reason: ServerBusy, Text: "x"}), byte(V5))
	f.Fuzz(func(t *testing.T, b []byte, version byte) {
		version = V311 + version&1
		p, n, need, err := Next(b, 1<<16)
		if err != nil || n == 0 {
			if err == nil && need <= len(b) {
				t.Fatalf("%d bytes are there, it needs %d", len(b), need)
			}
			return
		}
		same := func(what string, a, b any) {
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		switch p.Type {
		case CONNECT:
			if c, err := DecodeConnect(p.Body); err == nil {
				again, err := DecodeConnect(one(t, AppendConnect(nil, c)).Body)
				if err != nil {
					t.Fatal(err)
				}
				same("CONNECT", c, again)
			}
		case CONNACK:
			if c, err := DecodeConnack(p.Body, version); err == nil && version == V5 {
				again, err := DecodeConnack(one(t, AppendConnack(nil, version, c)).Body, version)
				if err != nil {
					t.Fatal(err)
				}
				same("CONNACK", c, again)
			}
		case PUBLISH:
			var m Publish
			if m.Decode(p.Flags, p.Body, version) == nil {
				if again := AppendPublish(nil, version, &m); !bytes.Equal(again, b[:n]) {
					t.Errorf("PUBLISH %x becomes %x", b[:n], again)
				}
				for id := range m.Properties.Without(UserProperty).All() {
					if id == UserProperty {
						t.Error("a property is there that was left out")
					}
				}
			}
		case PUBACK, PUBREC, PUBREL, PUBCOMP:
			if a, err := DecodeAck(p.Type, p.Body, version); err == nil {
				again, err := DecodeAck(p.Type, one(t, AppendAck(nil, p.Type, version, a)).Body, version)
				if err != nil || a != again {
					t.Errorf("%v becomes %v, %v", a, again, err)
				}
			}
		case SUBSCRIBE:
			if s, err := DecodeSubscribe(p.Body, version); err == nil {
				again, err := DecodeSubscribe(one(t, AppendSubscribe(nil, version, s)).Body, version)
				if err != nil {
					t.Fatal(err)
				}
				same("SUBSCRIBE", s, again)
			}
		case UNSUBSCRIBE:
			if s, err := DecodeUnsubscribe(p.Body, version); err == nil {
				again, err := DecodeUnsubscribe(one(t, AppendUnsubscribe(nil, version, s)).Body, version)
				if err != nil {
					t.Fatal(err)
				}
				same("UNSUBSCRIBE", s, again)
			}
		case SUBACK, UNSUBACK:
			if _, _, err := DecodeSuback(p.Type, p.Body, version); err != nil && !is(err, MalformedPacket) && !is(err, ProtocolError) {
				t.Error(err)
			}
		case DISCONNECT:
			if d, err := DecodeDisconnect(p.Body, version); err == nil {
				again, err := DecodeDisconnect(one(t, AppendDisconnect(nil, version, &d)).Body, version)
				if err != nil || d != again {
					t.Errorf("%v becomes %v, %v", d, again, err)
				}
			}
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	for _, version := range []byte{V311, V5} {
		m := Publish{QoS: 1, PacketID: 3, Topic: []byte("plant/seoul/line/4/vibration"), Payload: bytes.Repeat([]byte("x"), 120)}
		raw := AppendPublish(nil, version, &m)
		b.Run(map[byte]string{V311: "3.1.1", V5: "5"}[version], func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				p, _, _, err := Next(raw, 1<<20)
				if err == nil {
					err = m.Decode(p.Flags, p.Body, version)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
