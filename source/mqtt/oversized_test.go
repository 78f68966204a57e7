package mqtt

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// with returns the lines that have a text.
func (l *lines) with(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// A message that is too large is kept as it begins, with the reason, and
// acknowledged in its turn: it does not come again for ever.
func TestOversized(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	c := Default()
	c.MaxPacket = 8 << 10
	log := &lines{}
	b := open(t, c, Deps{Log: log.logger()})
	read(t, b, "p", in, "a/#")
	text := strings.Repeat("é", 500_000)
	taken := func() []string {
		in.mu.Lock()
		defer in.mu.Unlock()
		all := in.taken
		in.taken = nil
		return all
	}
	check := func(what string, n int) {
		t.Helper()
		all := taken()
		if len(all) != n {
			t.Fatalf("%s: %d messages are taken, want %d", what, len(all), n)
		}
		if large := all[n/2]; !strings.HasPrefix(large, "a/x éé") || len(large) > 8<<10 || len(large) < 8000 || strings.Trim(large, "a/x é") != "" {
			t.Errorf("%s: it is kept as %d bytes, %.20q", what, len(large), large)
		}
	}

	five, _ := connect(t, b, named5("five"))
	five.publish(1, 1, "a/x", "before")
	five.publish(2, 1, "a/x", text)
	five.publish(3, 1, "a/x", "behind")
	five.want(mqttwire.PUBACK, 1)
	if a := five.want(mqttwire.PUBACK, 2); a.Reason != mqttwire.QuotaExceeded {
		t.Errorf("it is acknowledged with %v", a.Reason)
	}
	five.want(mqttwire.PUBACK, 3)
	check("QoS 1", 3)
	five.publish(4, 2, "a/x", text)
	if a := five.want(mqttwire.PUBREC, 4); a.Reason != mqttwire.QuotaExceeded {
		t.Errorf("it is acknowledged with %v", a.Reason)
	}
	check("QoS 2", 1)
	five.publish(0, 0, "a/x", text)
	five.ping()
	eventually(t, "it is taken", func() bool { return len(in.all()) == 1 })
	check("QoS 0", 1)
	alias := mqttwire.AppendNumber(nil, mqttwire.TopicAlias, 1)
	five.send(mqttwire.AppendPublish(nil, 5, &mqttwire.Publish{QoS: 1, PacketID: 5, Topic: []byte("a/x"), Properties: alias, Payload: []byte(text)}))
	five.want(mqttwire.PUBACK, 5)
	check("alias", 1)
	five.send(mqttwire.AppendPublish(nil, 5, &mqttwire.Publish{QoS: 1, PacketID: 6, Properties: alias, Payload: []byte(text)}))
	five.want(mqttwire.PUBACK, 6)
	check("by alias", 1)

	four, _ := connect(t, b, named("four"))
	four.publish(1, 1, "a/x", text)
	four.want(mqttwire.PUBACK, 1)
	check("3.1.1", 1)
	four.publish(2, 2, "a/x", text)
	four.want(mqttwire.PUBREC, 2)
	four.send(mqttwire.AppendAck(nil, mqttwire.PUBREL, 4, mqttwire.Ack{PacketID: 2}))
	four.want(mqttwire.PUBCOMP, 2)
	check("3.1.1, QoS 2", 1)
	// One byte more than may be, in two parts.
	p := mqttwire.AppendPublish(nil, 4, &mqttwire.Publish{QoS: 1, PacketID: 3, Topic: []byte("a/x"), Payload: make([]byte, 8<<10-9)})
	p = append(p, mqttwire.AppendPublish(nil, 4, &mqttwire.Publish{QoS: 1, PacketID: 4, Topic: []byte("a/x"), Payload: []byte("behind")})...)
	four.send(p[:8<<10])
	four.nothing()
	four.send(p[8<<10:])
	four.want(mqttwire.PUBACK, 3)
	four.want(mqttwire.PUBACK, 4)
	if all := taken(); len(all) != 2 || all[1] != "a/x behind" {
		t.Errorf("%d are taken", len(all))
	}

	in.mu.Lock()
	for _, u := range in.unread {
		if u.Reason != "too_large" || !strings.HasPrefix(u.Detail, "the packet has ") || !strings.Contains(u.Detail, "more than mqtt.max_packet, which is 8192") {
			t.Errorf("%+v", u)
		}
	}
	if len(in.unread) != 8 {
		t.Errorf("%d are unread", len(in.unread))
	}
	in.mu.Unlock()
	if got := log.with("mqtt.max_packet"); len(got) != 2 || !strings.Contains(got[0], "level=WARN") || !strings.Contains(got[0], "client=five") || !strings.Contains(got[1], "client=four") {
		t.Errorf("the log says %q", got)
	}
	// Nothing is kept that did not come to its end.
	four.send(mqttwire.AppendPublish(nil, 4, &mqttwire.Publish{QoS: 1, PacketID: 9, Topic: []byte("a/x"), Payload: []byte(text)})[:100_000])
	four.net.Close()
	eventually(t, "it is gone", func() bool { return b.connections() == 1 })
	if all := taken(); len(all) > 0 {
		t.Errorf("%d are taken", len(all))
	}
}

// Where nobody keeps it, a packet that is too large ends its connection, and so does
// one that only says so.
func TestOversizedForNobody(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	c := Default()
	c.MaxPacket = 8 << 10
	b := open(t, c, Deps{})
	read(t, b, "p", in, "a/#", "$a")
	publish := func(p mqttwire.Publish) []byte {
		if p.Payload == nil {
			p.Payload = make([]byte, 9000)
		}
		p.QoS, p.PacketID = 1, 1
		return mqttwire.AppendPublish(nil, 5, &p)
	}
	for what, k := range map[string]struct {
		bytes []byte
		want  mqttwire.Reason
	}{
		"no pipeline":            {publish(mqttwire.Publish{Topic: []byte("b")}), mqttwire.PacketTooLarge},
		"not allowed":            {publish(mqttwire.Publish{Topic: []byte("$a")}), mqttwire.PacketTooLarge},
		"wildcard":               {publish(mqttwire.Publish{Topic: []byte("a/#")}), mqttwire.PacketTooLarge},
		"a topic without end":    {publish(mqttwire.Publish{Topic: []byte("a/" + strings.Repeat("x", 9000))}), mqttwire.PacketTooLarge},
		"properties":             {publish(mqttwire.Publish{Topic: []byte("a/x"), Properties: mqttwire.AppendData(nil, mqttwire.CorrelationData, make([]byte, 9000))}), mqttwire.PacketTooLarge},
		"as soon as it is known": {publish(mqttwire.Publish{Topic: []byte("b")})[:9], mqttwire.PacketTooLarge},
		"a SUBSCRIBE":            {[]byte("\x82\xff\xff\xff\x7f"), mqttwire.PacketTooLarge},
		"an alias of nothing":    {publish(mqttwire.Publish{Properties: mqttwire.AppendNumber(nil, mqttwire.TopicAlias, 9)}), mqttwire.ProtocolError},
		"an alias that may not":  {publish(mqttwire.Publish{Topic: []byte("a/x"), Properties: mqttwire.AppendNumber(nil, mqttwire.TopicAlias, 99)}), mqttwire.InvalidTopicAlias},
	} {
		d, _ := connect(t, b, named5("x"))
		_, _ = d.net.Write(k.bytes)
		if got := d.closed(); got.Reason != k.want {
			t.Errorf("%s: the connection ends with %v, want %v", what, got.Reason, k.want)
		}
	}
	served(t, b, in)
	if got := join(in.all()); got != "a/good x" {
		t.Errorf("%.100q is taken", got)
	}
	// One that says that 256 MiB come, and sends nothing, is as silent as others.
	m := named5("silent")
	m.KeepAlive = 1
	d, _ := connect(t, b, m)
	d.send([]byte("\x32\xff\xff\xff\x7f\x00\x03a/x"))
	began := time.Now()
	if got := d.closed(); got.Reason != mqttwire.Success || time.Since(began) > 8*time.Second {
		t.Errorf("%v after %s", got, time.Since(began))
	}
}

func TestWholeRunes(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "é": "é", "aé"[:2]: "a", "a€"[:3]: "a", "a\xff": "a\xff", "\x80\x80\x80\x80\x80": "\x80\x80\x80\x80\x80", "a𝄞"[:4]: "a"} {
		if got := wholeRunes([]byte(in)); string(got) != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

func TestSeldom(t *testing.T) {
	s, now := seldom{}, time.Unix(1e9, 0)
	for i := range 2 * maxSeldom {
		if got := s.due(strings.Repeat("x", i), now); got != (i < maxSeldom) {
			t.Fatalf("%d: %v", i, got)
		}
	}
	if s.due("", now.Add(seldomEvery-1)) || !s.due("", now.Add(seldomEvery)) || !s.due("y", now.Add(seldomEvery)) {
		t.Error("it is not once a minute")
	}
}
