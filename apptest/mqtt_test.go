package apptest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// device is a client of MQTT 5.
type device struct {
	t   *testing.T
	net net.Conn
	buf []byte
}

// mqttPorts returns where a server listens for MQTT.
func (s *server) mqttPorts() (a struct {
	MQTT, MQTTS   string
	MQTTWebSocket string `json:"mqtt_websocket"`
}) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "addresses.json"))
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func dialDevice(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// connectDevice says CONNECT and returns how it is answered.
func connectDevice(t *testing.T, c net.Conn, id, user, password string) (*device, mqttwire.Reason) {
	t.Helper()
	d := &device{t: t, net: c}
	m := &mqttwire.Connect{Version: mqttwire.V5, CleanStart: true, KeepAlive: 60, ClientID: id, HasUser: user != "", User: user, HasPassword: password != "", Password: []byte(password)}
	d.send(mqttwire.AppendConnect(nil, m))
	p := d.next()
	a, err := mqttwire.DecodeConnack(p.Body, mqttwire.V5)
	if p.Type != mqttwire.CONNACK || err != nil {
		t.Fatalf("CONNECT is answered by packet type %d, %v", p.Type, err)
	}
	return d, a.Reason
}

func (d *device) send(b []byte) {
	d.t.Helper()
	if _, err := d.net.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) next() mqttwire.Packet {
	d.t.Helper()
	for {
		p, n, _, err := mqttwire.Next(d.buf, 1<<20)
		if err != nil {
			d.t.Fatal(err)
		}
		if n > 0 {
			d.buf = d.buf[n:]
			return p
		}
		b := make([]byte, 4096)
		if err := d.net.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			d.t.Fatal(err)
		}
		k, err := d.net.Read(b)
		if err != nil {
			d.t.Fatalf("no packet: %v", err)
		}
		d.buf = append(d.buf, b[:k]...)
	}
}

// publish publishes with QoS 1 and returns how it is acknowledged.
func (d *device) publish(topic, payload string) mqttwire.Reason {
	d.t.Helper()
	d.send(mqttwire.AppendPublish(nil, mqttwire.V5, &mqttwire.Publish{QoS: 1, PacketID: 1, Topic: []byte(topic), Payload: []byte(payload)}))
	p := d.next()
	a, err := mqttwire.DecodeAck(p.Type, p.Body, mqttwire.V5)
	if p.Type != mqttwire.PUBACK || err != nil {
		d.t.Fatalf("PUBLISH is answered by packet type %d, %v", p.Type, err)
	}
	return a.Reason
}

func (d *device) subscribe(filter string) mqttwire.Reason {
	d.t.Helper()
	d.send(mqttwire.AppendSubscribe(nil, mqttwire.V5, &mqttwire.Subscribe{PacketID: 1, Filters: []mqttwire.Subscription{{Filter: filter}}}))
	p := d.next()
	_, reasons, err := mqttwire.DecodeSuback(p.Type, p.Body, mqttwire.V5)
	if p.Type != mqttwire.SUBACK || err != nil || len(reasons) != 1 {
		d.t.Fatalf("SUBSCRIBE is answered by packet type %d, %v", p.Type, err)
	}
	return reasons[0]
}

const mqttPipeline = `
pipelines:
  plant:
    source: {mqtt: {topics: ["plant/{plant}/#"]}}
    decode: {json: {measurement: m, fields: {v: float}}}
    validate: [{range: {field: v, max: 5}}]
    sinks: [{store: {}}]
`

// TestMQTT: what is acknowledged is stored, over each port; refused messages are
// kept; who shows nothing is not let in.
func TestMQTT(t *testing.T) {
	dir := t.TempDir()
	ca := newDeviceAuthority(t)
	cert, key, authority := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), filepath.Join(dir, "devices.pem")
	writeCertificate(t, cert, key, "server")
	if err := os.WriteFile(authority, ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	file := pipelineFile(t, "", mqttPipeline)
	s := start(t, filepath.Join(dir, "data"), "--tls-cert", cert, "--tls-key", key, "--pipelines-file", file,
		"--mqtt-addr", "127.0.0.1:0", "--mqtt-tls-addr", "127.0.0.1:0", "--mqtt-ws-addr", "127.0.0.1:0", "--mqtt-client-ca", authority)
	ports := s.mqttPorts()

	d, reason := connectDevice(t, dialDevice(t, ports.MQTT), "d", "", adminToken)
	if reason != mqttwire.Success {
		t.Fatalf("a token is answered by %v", reason)
	}
	for i := range 3 {
		if r := d.publish(fmt.Sprint("plant/seoul/", i), fmt.Sprintf(`{"v": %d}`, i*3)); r != mqttwire.Success {
			t.Errorf("message %d: %v", i, r)
		}
	}
	for user, password := range map[string]string{"": "", "x": "y"} {
		if _, reason := connectDevice(t, dialDevice(t, ports.MQTT), "e", user, password); reason != mqttwire.BadUserOrPassword {
			t.Errorf("%q %q is answered by %v", user, password, reason)
		}
	}

	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.issue("device-7")}}
	over, err := tls.Dial("tcp", ports.MQTTS, config)
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	d, reason = connectDevice(t, over, "f", "", "")
	if reason != mqttwire.Success || d.publish("plant/busan/x", `{"v": 1}`) != mqttwire.Success {
		t.Errorf("a certificate is answered by %v", reason)
	}
	ws, _, err := websocket.Dial(t.Context(), "wss://"+ports.MQTTWebSocket+"/mqtt", &websocket.DialOptions{
		Subprotocols: []string{"mqtt"}, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	d, reason = connectDevice(t, websocket.NetConn(context.Background(), ws, websocket.MessageBinary), "g", "anything", adminToken)
	if reason != mqttwire.Success || d.publish("plant/daegu/x", `{"v": 2}`) != mqttwire.Success {
		t.Errorf("WebSocket is answered by %v", reason)
	}

	token := "Authorization: Token " + adminToken
	ask := func(body string) string {
		t.Helper()
		client := https(t, cert)
		req, err := http.NewRequest(http.MethodPost, "https"+strings.TrimPrefix(s.service, "http")+"/query", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", strings.TrimPrefix(token, "Authorization: "))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if body := ask(`{"measurement": "m", "start": 0}`); strings.Count(body, `"v"`) < 1 || strings.Count(body, "time") < 4 {
		t.Errorf("stored %s", body)
	}
	if body := ask(`{"measurement": "refused", "bucket": "dead-letter", "start": 0}`); !strings.Contains(body, "v_out_of_range") || !strings.Contains(body, "plant/seoul/2") {
		t.Errorf("kept %s", body)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // states gather for a moment
		body := ask(`{"measurement": "device_status", "start": 0, "filters": {"client": "f"}}`)
		if strings.Contains(body, "device-7") && strings.Contains(body, "true") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("states %s", body)
		}
	}
}

// TestMQTTAccess: rules of the file hold, also for connections that are open
// when they change, and names with passwords are let in.
func TestMQTTAccess(t *testing.T) {
	file := pipelineFile(t, "", mqttPipeline+`
mqtt:
  access:
    - {user: line-4, publish: ["plant/{user}/#"], subscribe: ["commands/{client}"]}
`)
	s := start(t, t.TempDir(), "--pipelines-file", file, "--mqtt-addr", "127.0.0.1:0")
	var login struct{ ID string }
	ids := map[string]string{}
	passwords := map[bool]string{true: "another horse", false: "correct horse"}
	for name := range map[string]bool{"line-4": true, "line-5": true} {
		a := s.must(201, http.MethodPost, s.http+"/private/legacy/authorizations", fmt.Sprintf(`{"token": %q, "permissions": [{"action": "write", "resource": {"type": "buckets"}}]}`, name))
		if err := json.Unmarshal([]byte(a.body), &login); err != nil {
			t.Fatal(err)
		}
		ids[name] = login.ID
		s.must(204, http.MethodPost, s.http+"/private/legacy/authorizations/"+login.ID+"/password", `{"password": "correct horse"}`)
	}
	addr := s.mqttPorts().MQTT
	four, reason := connectDevice(t, dialDevice(t, addr), "d4", "line-4", "correct horse")
	if reason != mqttwire.Success {
		t.Fatal(reason)
	}
	five, reason := connectDevice(t, dialDevice(t, addr), "d5", "line-5", "correct horse")
	if reason != mqttwire.Success {
		t.Fatal(reason)
	}
	if _, reason := connectDevice(t, dialDevice(t, addr), "d4", "line-4", "wrong horse"); reason != mqttwire.BadUserOrPassword {
		t.Error(reason)
	}
	for _, c := range []struct {
		d     *device
		topic string
		want  mqttwire.Reason
	}{
		{four, "plant/line-4/x", mqttwire.Success}, {four, "plant/line-5/x", mqttwire.NotAuthorized}, {four, "$SYS/x", mqttwire.NotAuthorized},
		{five, "plant/line-5/x", mqttwire.NotAuthorized},
	} {
		if got := c.d.publish(c.topic, `{"v": 1}`); got != c.want {
			t.Errorf("%s: %v, want %v", c.topic, got, c.want)
		}
	}
	for filter, want := range map[string]mqttwire.Reason{"commands/d4": 0, "commands/#": mqttwire.NotAuthorized, "$share/g/commands/d4": 0} {
		if got := four.subscribe(filter); got != want {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
	// Who is taken a password ends.
	s.must(204, http.MethodPost, s.http+"/private/legacy/authorizations/"+login.ID+"/password", `{"password": "another horse"}`)
	last := five
	if login.ID == ids["line-4"] {
		last = four
	}
	for p := last.next(); p.Type != mqttwire.DISCONNECT; p = last.next() {
	}
	five, reason = connectDevice(t, dialDevice(t, addr), "d5", "line-5", passwords[login.ID == ids["line-5"]])
	if reason != mqttwire.Success {
		t.Fatal(reason)
	}
	// Without rules a name may what its permissions say: publish, but not
	// subscribe.
	pipelineFile(t, file, mqttPipeline)
	s.must(204, http.MethodPost, s.service+"/api/v1/pipelines/reload", "")
	if got := five.publish("plant/line-5/x", `{"v": 1}`); got != mqttwire.Success {
		t.Error(got)
	}
	if got := five.subscribe("commands/d5"); got != mqttwire.NotAuthorized {
		t.Error(got)
	}
}

// TestMQTTKill: what was acknowledged is there after a kill, and devices that
// were online are offline.
func TestMQTTKill(t *testing.T) {
	dir := t.TempDir()
	file := pipelineFile(t, "", mqttPipeline)
	args := []string{"--pipelines-file", file, "--mqtt-addr", "127.0.0.1:0"}
	s := start(t, dir, args...)
	online := func() (on, off int) {
		last := map[string]value{}
		for _, v := range s.query(`{"measurement": "device_status", "start": 0}`) {
			if before, ok := last[v.Tags["client"]]; v.Field == "online" && (!ok || v.Time.After(before.Time)) {
				last[v.Tags["client"]] = v
			}
		}
		for _, v := range last {
			if v.Value == true {
				on++
			} else {
				off++
			}
		}
		return on, off
	}
	await := func(on, off int) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			x, y := online()
			if x == on && y == off {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d devices are online and %d offline, want %d and %d", x, y, on, off)
			}
		}
	}
	for i := range 3 {
		d, reason := connectDevice(t, dialDevice(t, s.mqttPorts().MQTT), fmt.Sprint("d", i), "", adminToken)
		if reason != mqttwire.Success {
			t.Fatal(reason)
		}
		if r := d.publish(fmt.Sprint("plant/p/", i), fmt.Sprintf(`{"v": %d}`, i)); r != mqttwire.Success {
			t.Fatal(r)
		}
	}
	await(3, 0)
	s.kill()
	s = start(t, dir, args...)
	if _, reason := connectDevice(t, dialDevice(t, s.mqttPorts().MQTT), "d1", "", adminToken); reason != mqttwire.Success {
		t.Fatal(reason)
	}
	await(1, 2)
	if n := len(s.query(`{"measurement": "m", "start": 0}`)); n != 3 {
		t.Errorf("%d of 3 acknowledged messages are stored", n)
	}
	s.stop()
	s = start(t, dir, args...)
	await(0, 3)
}

// deviceAuthority issues certificates of devices.
type deviceAuthority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newDeviceAuthority(t *testing.T) *deviceAuthority {
	t.Helper()
	a := &deviceAuthority{t: t}
	c := a.issue("authority")
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	a.key = c.PrivateKey.(*ecdsa.PrivateKey)
	var err error
	if a.cert, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *deviceAuthority) issue(name string) tls.Certificate {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: a.cert == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}
