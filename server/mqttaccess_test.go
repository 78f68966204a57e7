package server

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// mqttTrial is apiTrial with a broker, whose address it returns.
func mqttTrial(t *testing.T) (admin caller, addr string) {
	t.Helper()
	c := Default()
	c.AdminToken, c.MQTT.Addr = "admin", "127.0.0.1:0"
	b := openTrial(t, t.TempDir(), c)
	t.Cleanup(b.shut)
	if err := b.openAPI(); err != nil {
		t.Fatal(err)
	}
	if err := b.mqtt.Listen(); err != nil {
		t.Fatal(err)
	}
	return caller{t, b.api.Points(), "admin"}, b.mqtt.Addr("mqtt")
}

// gadget is a client of MQTT, and the reason with which the server ended it.
type gadget struct {
	*paho.Client
	ended chan mqttwire.Reason
}

// plug connects a gadget and returns how it is answered.
func plug(t *testing.T, addr, id, user, password string) (gadget, mqttwire.Reason) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	g := gadget{ended: make(chan mqttwire.Reason, 1)}
	g.Client = paho.NewClient(paho.ClientConfig{Conn: nc, OnServerDisconnect: func(d *paho.Disconnect) { g.ended <- mqttwire.Reason(d.ReasonCode) }})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, err := g.Connect(ctx, &paho.Connect{ClientID: id, KeepAlive: 60, CleanStart: true, UsernameFlag: user != "", Username: user, PasswordFlag: password != "", Password: []byte(password)})
	if a == nil {
		t.Fatalf("CONNECT of %s: %v", id, err)
	}
	return g, mqttwire.Reason(a.ReasonCode)
}

// may returns how a publish and a subscription are answered.
func (g gadget) may(t *testing.T) (publish, subscribe mqttwire.Reason) {
	t.Helper()
	p, err := g.Publish(t.Context(), &paho.Publish{QoS: 1, Topic: "t", Payload: []byte("1")})
	if p == nil {
		t.Fatal(err)
	}
	s, err := g.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "t"}}})
	if s == nil {
		t.Fatal(err)
	}
	return mqttwire.Reason(p.ReasonCode), mqttwire.Reason(s.Reasons[0])
}

// gone waits until the server has ended the connection, which it looks at every
// three seconds.
func (g gadget) gone(t *testing.T, why string) {
	t.Helper()
	select {
	case r := <-g.ended:
		if r != mqttwire.NotAuthorized {
			t.Errorf("%s: the connection ends with %s", why, r)
		}
	case <-time.After(15 * time.Second):
		t.Errorf("%s: the connection goes on", why)
	}
}

// A user connects with name and password, and may what a session of theirs
// may, for as long as that is so.
func TestUsersConnectOverMQTT(t *testing.T) {
	admin, addr := mqttTrial(t)
	org := admin.get("/api/v2/orgs").list("orgs")[0].(map[string]any)["id"].(string)
	user := func(name, role string) (self, id string) {
		u := admin.make("/api/v2/users", `{"name":"`+name+`"}`)
		self, id = "/api/v2/users/"+u.text("id"), u.text("id")
		admin.call(204, "POST", self+"/password", `{"password":"correct horse"}`, nil)
		if role != "" {
			admin.make("/api/v2/orgs/"+org+"/"+role, `{"id":"`+id+`"}`)
		}
		return self, id
	}
	connect := func(name, password string, want mqttwire.Reason) gadget {
		t.Helper()
		g, r := plug(t, addr, "of-"+name, name, password)
		if r != want {
			t.Fatalf("%s connects: %s, want %s", name, r, want)
		}
		return g
	}
	const yes, no = mqttwire.Success, mqttwire.NotAuthorized
	for _, who := range []struct {
		name, role         string
		publish, subscribe mqttwire.Reason
	}{{"olga", "owners", yes, yes}, {"mia", "members", no, yes}, {"zoe", "", no, no}} {
		user(who.name, who.role)
		p, s := connect(who.name, "correct horse", yes).may(t)
		if p != who.publish || s != who.subscribe {
			t.Errorf("%s of %s: publish %s, subscribe %s", who.name, who.role, p, s)
		}
	}
	connect("olga", "wrong horse", mqttwire.BadUserOrPassword)
	connect("nobody", "correct horse", mqttwire.BadUserOrPassword)
	admin.make("/api/v2/users", `{"name":"pia"}`)
	connect("pia", "correct horse", mqttwire.BadUserOrPassword) // has no password yet

	ada, _ := user("ada", "owners")
	g := connect("ada", "correct horse", yes)
	admin.call(204, "POST", ada+"/password", `{"password":"battery staple"}`, nil)
	g.gone(t, "another password")
	connect("ada", "correct horse", mqttwire.BadUserOrPassword)
	g = connect("ada", "battery staple", yes)
	admin.call(200, "PATCH", ada, `{"status":"inactive"}`, nil)
	g.gone(t, "an inactive user")
	connect("ada", "battery staple", mqttwire.BadUserOrPassword)
	admin.call(200, "PATCH", ada, `{"status":"active"}`, nil)

	bob, id := user("bob", "owners")
	g = connect("bob", "correct horse", yes)
	admin.call(204, "DELETE", "/api/v2/orgs/"+org+"/owners/"+id, "", nil)
	g.gone(t, "other rights")
	g = connect("bob", "correct horse", yes)
	if p, s := g.may(t); p != no || s != no {
		t.Errorf("who left the organisation: publish %s, subscribe %s", p, s)
	}
	admin.call(204, "DELETE", bob, "", nil)
	g.gone(t, "a user who was deleted")

	// A name for InfluxDB 1 comes before the user of that name, each with its own
	// password and rights.
	login := admin.make("/private/legacy/authorizations", `{"token":"mia","permissions":[{"action":"write","resource":{"type":"buckets","name":"default"}}]}`)
	admin.call(204, "POST", login.text("links", "self")+"/password", `{"password":"of influxdb 1"}`, nil)
	for password, want := range map[string][2]mqttwire.Reason{"of influxdb 1": {yes, no}, "correct horse": {no, yes}} {
		p, s := connect("mia", password, yes).may(t)
		if p != want[0] || s != want[1] {
			t.Errorf("mia with %q: publish %s, subscribe %s", password, p, s)
		}
	}
	connect("mia", "neither", mqttwire.BadUserOrPassword)
}

// Wrong passwords are slowed down as those to sign in are, and together with
// them; an address that has to wait cannot find out the right one from memory.
func TestWrongPasswordsOverMQTTAreSlowedDown(t *testing.T) {
	admin, addr := mqttTrial(t)
	u := admin.make("/api/v2/users", `{"name":"ada"}`)
	admin.call(204, "POST", "/api/v2/users/"+u.text("id")+"/password", `{"password":"correct horse"}`, nil)
	login := admin.make("/private/legacy/authorizations", `{"token":"collector","permissions":[{"action":"write","resource":{"type":"buckets","name":"default"}}]}`)
	admin.call(204, "POST", login.text("links", "self")+"/password", `{"password":"correct horse"}`, nil)
	for _, name := range []string{"ada", "collector"} { // a user, and a name for InfluxDB 1
		if _, r := plug(t, addr, "d", name, "correct horse"); r != mqttwire.Success {
			t.Fatal(r)
		}
		for range 20 { // a device that nobody has told the new password
			if _, r := plug(t, addr, "d", name, "wrong horse"); r != mqttwire.BadUserOrPassword {
				t.Fatalf("a wrong password of %s: %s", name, r)
			}
		}
		if _, r := plug(t, addr, "d", name, "correct horse"); r != mqttwire.Success {
			t.Fatalf("beside a device with a wrong password: %s", r)
		}
		for i := range 4 { // after that one
			if _, r := plug(t, addr, "d", name, fmt.Sprint("guess ", i)); r != mqttwire.BadUserOrPassword {
				t.Fatalf("a guess at the password of %s: %s", name, r)
			}
		}
		for _, password := range []string{"guess 4", "correct horse"} {
			if _, r := plug(t, addr, "d", name, password); r != mqttwire.ServerBusy {
				t.Errorf("%q of %s after five wrong ones: %s", password, name, r)
			}
		}
	}
}

// A fleet of one user that connects all at once is let in at once: the password
// is checked once, or attempts would count as failed while they are under way.
func TestFleetOfOneUserConnects(t *testing.T) {
	admin, addr := mqttTrial(t)
	u := admin.make("/api/v2/users", `{"name":"fleet"}`)
	admin.call(204, "POST", "/api/v2/users/"+u.text("id")+"/password", `{"password":"correct horse"}`, nil)
	began := time.Now()
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			if r := greet(t, addr, fmt.Sprint("d", i), "fleet", "correct horse"); r != mqttwire.Success {
				t.Errorf("device %d: %s", i, r)
			}
		})
	}
	all.Wait()
	t.Logf("300 devices connected in %s", time.Since(began))
}

// greet says CONNECT and returns how it is answered.
func greet(t *testing.T, addr, id, user, password string) mqttwire.Reason {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer nc.Close()
	m := &mqttwire.Connect{Version: mqttwire.V5, CleanStart: true, KeepAlive: 60, ClientID: id, HasUser: true, User: user, HasPassword: true, Password: []byte(password)}
	if _, err := nc.Write(mqttwire.AppendConnect(nil, m)); err != nil {
		t.Error(err)
		return 0
	}
	b := make([]byte, 4096)
	n, err := nc.Read(b)
	if err != nil {
		t.Error(err)
		return 0
	}
	p, _, _, err := mqttwire.Next(b[:n], len(b))
	if err != nil {
		t.Error(err)
		return 0
	}
	a, err := mqttwire.DecodeConnack(p.Body, mqttwire.V5)
	if err != nil {
		t.Error(err)
	}
	return a.Reason
}

// A session is of the user, name or token that made it, and what it has subscribed
// to is looked at again when its client comes back.
func TestSessionsOverMQTTAreOfWhoMadeThem(t *testing.T) {
	admin, addr := mqttTrial(t)
	org := admin.get("/api/v2/orgs").list("orgs")[0].(map[string]any)["id"].(string)
	const read, write = `{"permissions":[{"action":"read","resource":{"type":"buckets","name":"default"}}],"description":"sensors"}`,
		`{"token":"mia","permissions":[{"action":"write","resource":{"type":"buckets","name":"default"}}]}`
	member := func(name string) (id string) {
		id = admin.make("/api/v2/users", `{"name":"`+name+`"}`).text("id")
		admin.call(204, "POST", "/api/v2/users/"+id+"/password", `{"password":"correct horse"}`, nil)
		admin.make("/api/v2/orgs/"+org+"/members", `{"id":"`+id+`"}`)
		return id
	}
	token := func() string { return admin.make("/api/v2/authorizations", read).text("token") }
	// back connects to a session that lasts, and returns whether it was there and what
	// waits in it.
	back := func(name, password string, subscribes bool) (present bool, waits int) {
		t.Helper()
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan struct{}, 100)
		c := paho.NewClient(paho.ClientConfig{Conn: nc, OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(paho.PublishReceived) (bool, error) {
			got <- struct{}{}
			return true, nil
		}}})
		lasts := uint32(3600)
		a, err := c.Connect(t.Context(), &paho.Connect{ClientID: "of-" + name, KeepAlive: 60, UsernameFlag: true, Username: name, PasswordFlag: true, Password: []byte(password),
			Properties: &paho.ConnectProperties{SessionExpiryInterval: &lasts}})
		if err != nil {
			t.Fatalf("%s connects: %v", name, err)
		}
		if subscribes {
			if _, err := c.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "secret/#", QoS: 1}}}); err != nil {
				t.Fatalf("%s subscribes: %v", name, err)
			}
		}
		for waiting := true; waiting; {
			select {
			case <-got:
				waits++
			case <-time.After(200 * time.Millisecond):
				waiting = false
			}
		}
		nc.Close()
		<-c.Done()
		return a.SessionPresent, waits
	}
	member("mia")
	ada, bob, one, two := member("ada"), member("bob"), token(), token()
	for _, name := range []string{"mia", "ada", "bob"} {
		back(name, "correct horse", true)
	}
	back("sensors", one, true)
	login := admin.make("/private/legacy/authorizations", write)
	admin.call(204, "POST", login.text("links", "self")+"/password", `{"password":"of influxdb 1"}`, nil)
	admin.call(204, "DELETE", "/api/v2/orgs/"+org+"/members/"+ada, "", nil)
	admin.call(204, "DELETE", "/api/v2/users/"+bob, "", nil)
	member("bob")
	g, r := plug(t, addr, "publisher", "x", "admin")
	if r != mqttwire.Success {
		t.Fatal(r)
	}
	if _, err := g.Publish(t.Context(), &paho.Publish{QoS: 1, Topic: "secret/a", Payload: []byte("42")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who, name, password string
		present             bool
		waits               int
	}{
		{"a name for InfluxDB 1 that is also a user's", "mia", "of influxdb 1", false, 0},
		{"the user of that name", "mia", "correct horse", true, 1},
		{"a user who left the organisation", "ada", "correct horse", true, 0},
		{"a user who was made anew", "bob", "correct horse", false, 0},
		{"another token of the same description", "sensors", two, false, 0},
		{"the token", "sensors", one, true, 1},
	} {
		if present, waits := back(c.name, c.password, false); present != c.present || waits != c.waits {
			t.Errorf("%s: session %v with %d messages, want %v with %d", c.who, present, waits, c.present, c.waits)
		}
	}
	// Rules may call a token by its description: by another one it is let in anew.
	made := admin.make("/api/v2/authorizations", read)
	if g, r = plug(t, addr, "renamed", "", made.text("token")); r != mqttwire.Success {
		t.Fatal(r)
	}
	admin.call(200, "PATCH", made.text("links", "self"), `{"description":"boilers"}`, nil)
	g.gone(t, "a token of another description")
}
