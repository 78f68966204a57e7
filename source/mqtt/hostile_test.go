package mqtt

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

// served checks that a broker serves others.
func served(t *testing.T, b *Broker, in *fakeIntake) {
	t.Helper()
	d, _ := connect(t, b, named("good"))
	d.publish(1, 1, "a/good", "x")
	d.want(mqttwire.PUBACK, 1)
	d.send(mqttwire.AppendDisconnect(nil, d.version, &mqttwire.Disconnect{}))
	eventually(t, "it is taken", func() bool { return strings.Contains(join(in.all()), "a/good x") })
}

// TestGarbage sends 64 MiB of it, at once and behind a good CONNECT, in one
// piece and as what begins like packets.
func TestGarbage(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	b := open(t, Default(), Deps{})
	read(t, b, "p", in, "a/#")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	total := 64 << 20
	if testing.Short() {
		total = 4 << 20
	}
	for sent, round := 0, 0; sent < total; round++ {
		c, err := net.Dial("tcp", b.Addr("mqtt"))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, c) }()
		if round%3 > 0 {
			m := named("bad")
			m.Version = byte(3 + round%3)
			_, _ = c.Write(mqttwire.AppendConnect(nil, &m))
		}
		chunk := make([]byte, 256<<10)
		for i := range chunk {
			chunk[i] = byte(random.Uint32())
		}
		if round%2 == 0 { // as PUBLISH after PUBLISH of odd content
			for i := 0; i+200 < len(chunk); i += 200 {
				chunk[i], chunk[i+1], chunk[i+2] = 0x30|byte(random.IntN(8))&6, 0xC6, 0x01
				chunk[i+3], chunk[i+4] = 0, byte(random.IntN(40))
			}
		}
		_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Write(chunk)
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			t.Error("garbage is neither read nor refused")
		}
		sent += max(n, 64<<10)
		c.Close()
	}
	served(t, b, in)
	eventually(t, "nobody is left", func() bool { return b.Stats().Connections == 0 })
}

// Each breaks the protocol in one way and is told so.
func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	in := &fakeIntake{}
	c := Default()
	c.ReceiveMaximum, c.MaxPacket = 2, 8<<10
	b := open(t, c, Deps{})
	read(t, b, "p", in, "a/#")
	publish := func(p mqttwire.Publish) string { return string(mqttwire.AppendPublish(nil, mqttwire.V5, &p)) }
	for what, k := range map[string]struct {
		bytes string
		want  mqttwire.Reason
	}{
		"second CONNECT":           {string(mqttwire.AppendConnect(nil, &mqttwire.Connect{Version: 5, ClientID: "x"})), mqttwire.ProtocolError},
		"a packet of servers":      {"\xd0\x00", mqttwire.ProtocolError},
		"AUTH":                     {"\xf0\x02\x19\x00", mqttwire.ProtocolError},
		"packet too large":         {"\x30\x80\x80\x01\x00\x01b\x00", mqttwire.PacketTooLarge},
		"wildcard in a topic":      {publish(mqttwire.Publish{Topic: []byte("a/+")}), mqttwire.InvalidTopic},
		"empty topic":              {publish(mqttwire.Publish{}), mqttwire.InvalidTopic},
		"too many levels":          {publish(mqttwire.Publish{Topic: []byte(strings.Repeat("/", 200))}), mqttwire.InvalidTopic},
		"bad UTF-8":                {publish(mqttwire.Publish{Topic: []byte("a/\xff")}), mqttwire.MalformedPacket},
		"zero byte":                {publish(mqttwire.Publish{Topic: []byte("a/\x00")}), mqttwire.MalformedPacket},
		"subscription identifier":  {publish(mqttwire.Publish{Topic: []byte("a"), Properties: mqttwire.AppendNumber(nil, mqttwire.SubscriptionIdentifier, 4)}), mqttwire.ProtocolError},
		"SUBSCRIBE without option": {"\x82\x06\x00\x01\x00\x00\x01a", mqttwire.MalformedPacket},
		"PINGREQ with a body":      {"\xc0\x01x", mqttwire.MalformedPacket},
		"QoS 3":                    {"\x36\x00", mqttwire.MalformedPacket},
		"more of a session":        {string(mqttwire.AppendDisconnect(nil, 5, &mqttwire.Disconnect{SessionExpiry: 5, HasExpiry: true})), mqttwire.ProtocolError},
	} {
		d, _ := connect(t, b, named5("x"))
		d.send([]byte(k.bytes))
		if got := d.closed(); got.Reason != k.want {
			t.Errorf("%s: the connection ends with %v, want %v", what, got.Reason, k.want)
		}
	}
	served(t, b, in)
}

func TestBadConnects(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	long := named5("")
	long.ClientID = strings.Repeat("x", 600)
	method := named5("x")
	method.AuthMethod = "SCRAM"
	will := named5("x")
	will.Will = &mqttwire.Will{Topic: "a/#"}
	bare := named("")
	bare.CleanStart = false
	for what, k := range map[string]struct {
		m    mqttwire.Connect
		want mqttwire.Reason
		why  string // "": MQTT 3.1.1 has no words for it
	}{
		"long id":            {long, mqttwire.InvalidClientID, "the client id has 600 bytes, at most 512 are taken"},
		"method":             {method, mqttwire.BadAuthMethod, "no methods of enhanced authentication are offered"},
		"will":               {will, mqttwire.InvalidTopic, "the will: "},
		"session without id": {bare, mqttwire.InvalidClientID, ""},
	} {
		d, a := connect(t, b, k.m)
		why, _ := a.Properties.Get(mqttwire.ReasonString)
		if a.Reason != k.want || !strings.HasPrefix(string(why.Data), k.why) {
			t.Errorf("%s: %v, %q, want %v, %q", what, a.Reason, why.Data, k.want, k.why)
		}
		d.closed()
	}
	for what, raw := range map[string]string{
		"another version": "\x10\x0c\x00\x04MQTT\x06\x02\x00\x3c\x00\x00",
		"HTTP":            "GET / HTTP/1.1\r\n\r\n",
		"PUBLISH first":   "\x30\x03\x00\x01a",
		"a huge CONNECT":  "\x10\xff\xff\xff\x7f",
	} {
		d := dial(t, b)
		d.send([]byte(raw))
		p, err := d.read(10 * time.Second)
		if what == "another version" {
			if a, err := mqttwire.DecodeConnack(p.Body, mqttwire.V311); err != nil || a.Reason != mqttwire.UnsupportedVersion {
				t.Errorf("%s: %v %v", what, a, err)
			}
		} else if err == nil {
			t.Errorf("%s is answered by packet type %d", what, p.Type)
		}
		d.closed()
	}
	d, a := connect(t, b, mqttwire.Connect{Version: mqttwire.V5, CleanStart: true})
	if v, ok := a.Properties.Get(mqttwire.AssignedClientID); !ok || !strings.HasPrefix(string(v.Data), "auto-") {
		t.Errorf("no id is assigned: %+v", a)
	}
	d.ping()
}

// A client of MQTT 5 that sends more than it may is ended, one of 3.1.1 is read
// no further until some are acknowledged.
func TestReceiveMaximum(t *testing.T) {
	t.Parallel()
	c := Default()
	c.ReceiveMaximum = 3
	in := &fakeIntake{gate: make(chan struct{})}
	b := open(t, c, Deps{})
	read(t, b, "p", in, "a")
	five, _ := connect(t, b, named5("five"))
	four, _ := connect(t, b, named("four"))
	for i := range 4 {
		five.publish(uint16(i+1), 1, "a", "5")
		four.publish(uint16(i+1), 1, "a", "4")
	}
	if d := five.closed(); d.Reason != mqttwire.ReceiveMaxExceeded {
		t.Errorf("%+v", d)
	}
	four.send(mqttwire.AppendPing(nil, mqttwire.PINGREQ))
	four.nothing()
	close(in.gate)
	for i := range 3 {
		four.want(mqttwire.PUBACK, uint16(i+1))
	}
	seen := map[mqttwire.Type]int{}
	for range 2 {
		seen[four.next().Type]++
	}
	if seen[mqttwire.PUBACK] != 1 || seen[mqttwire.PINGRESP] != 1 {
		t.Errorf("%v", seen)
	}
}

// What waits for a pipeline that takes nothing is bounded: QoS 0 is dropped, and
// others are read no further.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	c := Default()
	c.MaxPacket, c.QueueBytes = 64<<10, 64<<10
	in := &fakeIntake{gate: make(chan struct{})}
	b := open(t, c, Deps{})
	read(t, b, "p", in, "a")
	zero, _ := connect(t, b, named("zero"))
	one, _ := connect(t, b, named("one"))
	payload := strings.Repeat("x", 10<<10)
	for range 20 {
		zero.publish(0, 0, "a", payload)
	}
	zero.ping()
	if s := b.Stats(); s.Dropped < 5 || s.Waiting > 128<<10 {
		t.Errorf("%+v", s)
	}
	for i := range 5 {
		one.publish(uint16(i+1), 1, "a", payload)
	}
	eventually(t, "it is held", func() bool { return b.Stats().Held > 0 })
	one.nothing()
	close(in.gate)
	for i := range 5 {
		one.want(mqttwire.PUBACK, uint16(i+1))
	}
	eventually(t, "nothing waits", func() bool { return b.Stats().Waiting == 0 })
}

// A client that does not read what it asked for does not hold up others.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	slow, _ := connect(t, b, named("slow"))
	slow.subscribe(filter("a", 0), filter("b", 1))
	quick, _ := connect(t, b, named("quick"))
	quick.subscribe(filter("b", 0))
	payload := []byte(strings.Repeat("x", 32<<10))
	began := time.Now()
	for range 2000 {
		b.Publish("a", payload, 0, false)
		b.Publish("b", payload, 1, false)
		if _, text := quick.message(); !strings.HasPrefix(text, "b x") {
			t.Fatal(text)
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if s := b.Stats(); s.Undelivered < 1000 {
		t.Errorf("%+v", s)
	}
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	m := named5("d")
	m.KeepAlive = 1
	d, _ := connect(t, b, m)
	idle := dial(t, b) // says nothing; has longer
	for range 5 {
		time.Sleep(700 * time.Millisecond)
		d.ping()
	}
	began := time.Now()
	d.closed()
	if took := time.Since(began); took < 1500*time.Millisecond || took > 8*time.Second {
		t.Errorf("it is closed after %s", took)
	}
	eventually(t, "the other is left", func() bool { return b.Stats().Connections == 1 })
	idle.net.Close()
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	c := Default()
	c.MaxConnections = 1
	b := open(t, c, Deps{})
	d, _ := connect(t, b, named("d"))
	e := dial(t, b)
	e.closed()
	if s := b.Stats(); s.TurnedAway != 1 {
		t.Errorf("%+v", s)
	}
	d.ping()
}

func TestRules(t *testing.T) {
	t.Parallel()
	read := func(text string) (*Rules, error) {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		m := declare.Section(n.Content[0], "mqtt")
		r := Declare(m)
		return r, m.Err()
	}
	r, err := read(`access:
- {user: u, publish: ["p/{user}/#", "p/+/{client}"], subscribe: [s]}
- {certificate: "dev-*", publish: ["d/#", "d-{user}/#"]}
- {token: t, subscribe: "#"}
- {user: "*", publish: ["x"]}`)
	if err != nil {
		t.Fatal(err)
	}
	all := Identity{Publish: true, Subscribe: true}
	for _, c := range []struct {
		rules  *Rules
		kind   Kind
		names  []string
		client string
		want   string
	}{
		{r, User, []string{"u"}, "c", "[p/u/# p/+/c] [s]"},
		{r, User, []string{"u"}, "c/#", "[p/u/#] [s]"},
		{r, User, []string{"v"}, "c", "[x] []"},
		{r, Certificate, []string{"dev-1"}, "c", "[d/# d-dev-1/#] []"},
		{r, Certificate, []string{"dev-1"}, "dev-2", "[d/# d-dev-1/#] []"},
		{r, Certificate, []string{"dev-+"}, "c", "[d/#] []"},
		{r, Certificate, []string{"u"}, "c", "[] []"},
		{r, Token, []string{"0001", "t"}, "c", "[] [#]"},
		{nil, Token, []string{"t"}, "c", "[#] [#]"},
		{&Rules{}, Token, []string{"t"}, "c", "[] []"},
	} {
		who := all
		who.Kind, who.Names = c.kind, c.names
		p := c.rules.of(&who, c.client)
		if got := fmt.Sprint(p.publish, p.subscribe); got != strings.ReplaceAll(c.want, "] [", "] [") {
			t.Errorf("%s %v %s: %s, want %s", c.kind, c.names, c.client, got, c.want)
		}
	}
	if r, err := read("{}"); r != nil || err != nil {
		t.Errorf("%v %v", r, err)
	}
	for want, text := range map[string]string{
		"one of user, token or certificate": `access: [{publish: x}]`,
		"is for one of":                     `access: [{user: x, token: y}]`,
		"only be the last":                  `access: [{user: x, publish: "a/#/b"}]`,
		"{client} and {user}":               `access: [{user: x, publish: "a/{b}"}]`,
		"1:46: mqtt.access.publish: \"d/{client}/#\": whoever this rule is for may take the client id of another": `access: [{certificate: "dev-*", publish: [a, "d/{client}/#"]}]`,
		"mqtt.access.subscribe: \"d/{client}\": whoever":                                                          `access: [{user: "*", subscribe: "d/{client}"}]`,
		"without $share":        `access: [{user: x, subscribe: "$share/g/b"}]`,
		"did you mean publish?": `access: [{user: x, publsh: "b"}]`,
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDeclareSource(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{topics: ["a/{b}/#", c]}`:  "[a/+/# c]",
		`{topics: a}`:               "[a]",
		`{}`:                        "is missing",
		`{topics: "a/#/b"}`:         "only be the last",
		`{topics: "a/{b"}`:          "whole level",
		`{topics: "$share/g/a"}`:    "without $share",
		`{topics: a, filters: [b]}`: "no such key",
	} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		m := declare.Section(n.Content[0], "source.mqtt")
		c := DeclareSource(m)
		got := fmt.Sprint(c.Topics)
		if err := m.Err(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestDeclareSink(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{topic: a, retain: true}`: "{a 1 true}",
		`{topic: a, qos: 2}`:       "{a 2 false}",
		`{}`:                       "topic: is missing",
		`{topic: a/#}`:             "may only be in filters",
		`{topic: a, qos: 4}`:       "want one of 0, 1, 2",
	} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		m := declare.Section(n.Content[0], "sinks.mqtt")
		c := DeclareSink(m)
		got := fmt.Sprint(c)
		if err := m.Err(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// FuzzConnection sends anything behind a good CONNECT. The broker has to survive
// it and serve the next client.
func FuzzConnection(f *testing.F) {
	f.Add([]byte("\x32\x07\x00\x01a\x00\x01\x00x\x82\x07\x00\x02\x00\x00\x01#\x01"), byte(5))
	f.Add([]byte("\x34\x06\x00\x01a\x00\x01x\x62\x02\x00\x01\xe0\x00"), byte(4))
	f.Add([]byte("\xa2\x05\x00\x02\x00\x01#\xc0\x00\x40\x02\x00\x01\x50\x02\x00\x07\x70\x02\x00\x09"), byte(4))
	f.Add([]byte("\x32\xd0\x23\x00\x01a\x00\x01\x00"+strings.Repeat("x", 4560)+"\xc0\x00"), byte(4))
	f.Add([]byte("\x34\xff\xff\xff\x7f\x00\x01a\x00\x01\x00"+strings.Repeat("x", 5000)), byte(5))
	in := &fakeIntake{}
	c := Default()
	c.MaxPacket = leastPacket
	b := open(f, c, Deps{})
	read(f, b, "p", in, "#")
	f.Fuzz(func(t *testing.T, bytes []byte, version byte) {
		d, a := connect(t, b, mqttwire.Connect{Version: mqttwire.V311 + version&1, CleanStart: true, ClientID: "fuzz", KeepAlive: 60})
		if a.Reason.Failed() {
			t.Fatal(a.Reason)
		}
		_, _ = d.net.Write(bytes)
		_, _ = d.net.Write(mqttwire.AppendPing(nil, mqttwire.PINGREQ))
		_ = d.net.(*net.TCPConn).CloseWrite()
		for {
			if _, err := d.read(10 * time.Second); err != nil {
				if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
					t.Fatal("the connection hangs")
				}
				break
			}
		}
		d.net.Close()
		in.mu.Lock()
		in.taken, in.clients = nil, nil
		in.mu.Unlock()
	})
}

// A place that is held where nothing runs, and one whose intake is cancelled, do not
// keep a broker from closing.
func TestCloseWithVacantSlot(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	read(t, b, "p", &fakeIntake{}, "a")()
	s := b.Source("p", SourceConfig{Topics: []string{"a"}})
	s.Hold()
	d, _ := connect(t, b, named("d"))
	d.publish(1, 1, "a", "x")
	d.ping()
	if st := s.Status(); st.Connected || st.Lag < 0 {
		t.Errorf("%+v", st)
	}
	blocked := &fakeIntake{block: true, entered: make(chan struct{}, 1)}
	stop := read(t, b, "q", blocked, "b")
	d.publish(2, 1, "b", "x")
	<-blocked.entered
	done := make(chan struct{})
	go func() { stop(); b.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(vacateGrace + 10*time.Second):
		t.Fatal("it does not close")
	}
	var _ source.Source = s
}

// A pipeline that takes nothing holds up its own clients alone.
func TestBusyPipelineAmongOthers(t *testing.T) {
	t.Parallel()
	c := Default()
	c.MaxPacket, c.QueueBytes = 64<<10, 128<<10
	busy, good := &fakeIntake{gate: make(chan struct{})}, &fakeIntake{}
	b := open(t, c, Deps{})
	read(t, b, "busy", busy, "busy")
	read(t, b, "good", good, "good")
	stuck, _ := connect(t, b, named("stuck"))
	for i := range 10 {
		stuck.publish(uint16(i+1), 1, "busy", strings.Repeat("x", 10<<10))
	}
	eventually(t, "it is held", func() bool { return b.Stats().Held > 0 })
	other, _ := connect(t, b, named("other"))
	for i := range 20 {
		other.publish(uint16(i+1), 1, "good", strings.Repeat("x", 10<<10))
		other.want(mqttwire.PUBACK, uint16(i+1))
	}
	stuck.nothing()
	close(busy.gate)
	for i := range 10 {
		stuck.want(mqttwire.PUBACK, uint16(i+1))
	}
}

// Who subscribes to many retained messages gets them all.
func TestManyRetained(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	const many = 8000
	payload := []byte(strings.Repeat("x", 200))
	for i := range many {
		if err := b.Publish(fmt.Sprint("state/", i), payload, 1, true); err != nil {
			t.Fatal(err)
		}
	}
	for qos := range byte(2) {
		d, _ := connect(t, b, named5("d"))
		d.subscribe(filter("state/+", qos))
		for range many {
			m, text := d.message()
			if !strings.HasSuffix(text, "retained") {
				t.Fatal(text)
			}
			if qos > 0 {
				d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: m.PacketID}))
			}
		}
		d.ping()
	}
}

// Who asks without end and reads no answer is read no further.
func TestPingsWithoutReading(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	d, _ := connect(t, b, named("d"))
	pings := []byte(strings.Repeat("\xc0\x00", 64<<10))
	var err error
	for i := 0; i < 1000 && err == nil; i++ { // 128 MiB
		_ = d.net.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = d.net.Write(pings)
	}
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("all is read: %v", err)
	}
	b.mu.Lock()
	for c := range b.conns {
		c.mu.Lock()
		if n := len(c.out); n > 2*maxOut {
			t.Errorf("%d bytes wait for it", n)
		}
		c.mu.Unlock()
	}
	b.mu.Unlock()
}

// CONNACK comes first and messages in their order, whatever is published while a
// client comes back.
func TestResumeUnderLoad(t *testing.T) {
	t.Parallel()
	c := Default()
	c.SessionQueue = 1 << 20 // nothing is dropped
	b := open(t, c, Deps{})
	m := named("d")
	m.CleanStart = false
	d, _ := connect(t, b, m)
	d.subscribe(filter("a", 1))
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			if b.Stats().Connections > 0 || n%100 < 50 {
				if err := b.Publish("a", fmt.Append(nil, n), 1, false); err != nil {
					t.Error(err)
				}
				n++
				time.Sleep(20 * time.Microsecond)
			}
		}
	}()
	next, read := 0, 0
	get := func() {
		p, text := d.message()
		var n int
		if _, err := fmt.Sscanf(text, "a %d", &n); err != nil {
			t.Fatal(text)
		}
		if n > next || n < next && !p.Dup {
			t.Fatalf("message %d comes instead of %d (repeat: %v)", n, next, p.Dup)
		}
		next = n + 1
		if read++; read%7 > 0 { // some are not acknowledged
			d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: p.PacketID}))
		}
	}
	for range 50 {
		for range 20 {
			get()
		}
		// What is in flight comes again: from the first that was not acknowledged.
		d.net.Close()
		next = 0
		var a *mqttwire.Connack
		if d, a = connect(t, b, m); !a.Present {
			t.Fatal("the session is gone")
		}
		p, text := d.message()
		if _, err := fmt.Sscanf(text, "a %d", &next); err != nil || !p.Dup {
			t.Fatalf("%s comes first", text)
		}
		d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: p.PacketID}))
		last := next
		for { // repeats, in order, with gaps where some were acknowledged
			p, text := d.message()
			if _, err := fmt.Sscanf(text, "a %d", &next); err != nil || next <= last {
				t.Fatalf("%s comes after %d", text, last)
			}
			last = next
			d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: p.PacketID}))
			if !p.Dup {
				next++
				break
			}
		}
	}
	close(stop)
	<-done
}
