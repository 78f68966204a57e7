package apptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	folder "github.com/varvedb/varve/server"
)

// writeCertificate puts a certificate for 127.0.0.1, signed by its own key, and
// that key into two files.
func writeCertificate(t *testing.T, cert, key, name string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// https is a client that trusts the certificate in a file.
func https(t *testing.T, cert string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read(t, cert)) {
		t.Fatal("no certificate")
	}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, Protocols: p}}
}

// TestTLS drives the real binary with TLS on both ports, over both versions of
// HTTP and by its own commands, through the renewal of its certificate.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	writeCertificate(t, cert, key, "first")
	data := filepath.Join(dir, "data")
	s := start(t, data, "--tls-cert", cert, "--tls-key", key)
	a, err := folder.ReadAddresses(data)
	if err != nil || !a.TLS {
		t.Fatalf("addresses %+v, %v", a, err)
	}
	ask := func(c *http.Client, method, url, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Token "+adminToken)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp
	}
	c := https(t, cert)
	resp := ask(c, http.MethodPost, a.URL(a.HTTP)+"/api/v2/write", "m v=1")
	if resp.StatusCode != 204 || resp.ProtoMajor != 2 || resp.TLS.PeerCertificates[0].Subject.CommonName != "first" {
		t.Errorf("write: status %d over %s", resp.StatusCode, resp.Proto)
	}
	old := https(t, cert)
	one := new(http.Protocols)
	one.SetHTTP1(true)
	old.Transport.(*http.Transport).Protocols = one
	if resp := ask(old, http.MethodPost, a.URL(a.Service)+"/query", `{"measurement":"m","start":0}`); resp.StatusCode != 200 || resp.ProtoMajor != 1 {
		t.Errorf("query: status %d over %s", resp.StatusCode, resp.Proto)
	}

	// The commands find the server in its folder, and want to know whom to trust.
	for _, args := range [][]string{{"health"}, {"query", "--measurement", "m", "--start", "0"}} {
		args = append(args, "--data-dir", data)
		if out, err := varve(t, args...); err == nil || !strings.Contains(out, "name its authority by --ca") {
			t.Errorf("%v without --ca: %v\n%s", args, err, out)
		}
		if out, err := varve(t, append(args, "--ca", cert)...); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		if out, err := varve(t, append(args, "--insecure")...); err != nil {
			t.Errorf("%v --insecure: %v\n%s", args, err, out)
		}
	}
	// Who speaks plainly learns why nothing comes of it.
	if resp := ask(http.DefaultClient, http.MethodGet, "http://"+a.HTTP+"/ping", ""); resp.StatusCode != 400 {
		t.Errorf("plain HTTP: status %d", resp.StatusCode)
	}

	// A faulty certificate changes nothing, a good one is used.
	if err := os.WriteFile(cert, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "the fault is logged", func() bool { return strings.Contains(s.stderr.String(), "the new certificate is not used") })
	ask(c, http.MethodGet, a.URL(a.HTTP)+"/ping", "")
	renewed := filepath.Join(dir, "renewed")
	writeCertificate(t, renewed+".pem", renewed+".key", "second")
	for from, to := range map[string]string{renewed + ".pem": cert, renewed + ".key": key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the renewed certificate is used", func() bool {
		resp, err := https(t, cert).Get(a.URL(a.HTTP) + "/ping")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.TLS.PeerCertificates[0].Subject.CommonName == "second"
	})
	if resp := ask(c, http.MethodGet, a.URL(a.HTTP)+"/ping", ""); resp.TLS.PeerCertificates[0].Subject.CommonName != "first" {
		t.Error("the open connection was dropped")
	}
	s.stop()
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// TestStop follows a server from its start to its end as a service manager and a
// balancer see it: the manager is told when the ports are open; at the order to
// stop /ready says no while requests are still taken; those under way end.
func TestStop(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	next := func() string {
		t.Helper()
		if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := manager.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	env := []string{"VARVE_ADMIN_TOKEN=" + adminToken, "NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=200000"}
	s := spawn(t, t.TempDir(), env, "--stop-delay", "4s", "--stop-timeout", "60s", "--http-body-timeout", "60s")
	if told := next(); !strings.HasPrefix(told, "READY=1\n") {
		t.Errorf("told %q", told)
	}
	s.await() // addresses.json was written before
	if told := next(); told != "WATCHDOG=1" {
		t.Errorf("told %q", told)
	}
	s.must(200, http.MethodGet, s.http+"/ready", "")

	// A write whose body comes slowly.
	c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /api/v2/write HTTP/1.1\r\nHost: x\r\nAuthorization: Token %s\r\nContent-Length: 7\r\n\r\nslow ", adminToken)
	await(t, "it is under way", func() bool {
		return strings.Contains(s.must(200, http.MethodGet, s.http+"/metrics", "").body, `varve_port_requests{port="points"} 2`)
	})
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for told := next(); !strings.HasPrefix(told, "STOPPING=1\n"); told = next() {
		if told != "WATCHDOG=1" {
			t.Errorf("told %q", told)
		}
	}
	a := s.must(503, http.MethodGet, s.http+"/ready", "")
	if !strings.Contains(a.body, "stopping") {
		t.Errorf("answer %s", a.body)
	}
	s.write("late v=1")
	await(t, "the port closes", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-s.ended:
		t.Fatal("the server does not wait for a request that is under way")
	default:
	}
	fmt.Fprint(c, "v=")
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
		t.Errorf("the write that was under way: %q, %v", b, err) // half a line
	}
	<-s.ended
	if s.err != nil {
		t.Errorf("server ended with %v", s.err)
	}

	s = start(t, s.dir)
	if got := s.query(`{"measurement":"late","start":0}`); len(got) != 1 {
		t.Errorf("what was written during the stop: %v", got)
	}
}

// A second signal does not wait, and takes nothing that was acknowledged.
func TestSecondSignal(t *testing.T) {
	s := start(t, t.TempDir(), "--stop-timeout", "1h", "--http-body-timeout", "1h")
	s.write("m v=1")
	c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /api/v2/write HTTP/1.1\r\nHost: x\r\nAuthorization: Token %s\r\nContent-Length: 9\r\n\r\n", adminToken)
	await(t, "it is under way", func() bool {
		return strings.Contains(s.must(200, http.MethodGet, s.http+"/metrics", "").body, `varve_port_requests{port="points"} 2`)
	})
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	await(t, "the server stops", func() bool { return strings.Contains(s.stderr.String(), "stopping") })
	select {
	case <-s.ended:
		t.Fatal("the server does not wait")
	case <-time.After(300 * time.Millisecond):
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the server does not end")
	}
	s = start(t, s.dir)
	if got := s.query(`{"measurement":"m","start":0}`); len(got) != 1 {
		t.Errorf("after the second signal: %v", got)
	}
}

func TestProfiles(t *testing.T) {
	s := start(t, t.TempDir(), "--pprof-addr", "127.0.0.1:0")
	a, err := folder.ReadAddresses(s.dir)
	if err != nil || a.Pprof == "" {
		t.Fatalf("addresses %+v, %v", a, err)
	}
	if got := s.must(200, http.MethodGet, "http://"+a.Pprof+"/debug/pprof/goroutine?debug=1", ""); !strings.Contains(got.body, "goroutine profile") {
		t.Errorf("answer %.200s", got.body)
	}
	s.must(404, http.MethodGet, s.http+"/debug/pprof/", "")
	s.must(404, http.MethodGet, s.service+"/debug/pprof/", "")
	out, err := varve(t, "serve", "--data-dir", t.TempDir(), "--pprof-addr", "0.0.0.0:0")
	if err == nil || !strings.Contains(out, "want a port on loopback") || !strings.Contains(out, "--pprof-addr") {
		t.Errorf("%v: %s", err, out)
	}
}

// A store of a later format is refused by words and left as it was; one that was
// written by a program that did not note its version is taken.
func TestFormatVersion(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.write("m v=1")
	s.stop()
	name := filepath.Join(dir, "store", "layout.json")
	var layout map[string]any
	if err := json.Unmarshal(read(t, name), &layout); err != nil || layout["written_by"] == "" {
		t.Fatalf("layout %v, %v", layout, err)
	}
	replace := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const later = `{"version":9,"shards":1,"written_by":"v9.8.7"}`
	replace(later)
	for _, args := range [][]string{
		{"serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--service-addr", "127.0.0.1:0"},
		{"check", "--data-dir", dir},
	} {
		out, err := varve(t, args...)
		for _, want := range []string{"format version 9", "last written by varve v9.8.7", "reads versions up to 2", "Start that varve or a later one"} {
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("varve %s: %v: %s: want %q", args[0], err, out, want)
			}
		}
	}
	if got := string(read(t, name)); got != later {
		t.Errorf("the layout became %s", got)
	}
	replace(`{"version":1,"shards":1}`)
	s = start(t, dir)
	if got := s.query(`{"measurement":"m","start":0}`); len(got) != 1 {
		t.Errorf("an older store: %v", got)
	}
}
