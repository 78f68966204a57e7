package transport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority signs certificates of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.pem, _ = a.issue("authority", time.Now().Add(time.Hour), true)
	return a
}

// issue returns certificate and key in PEM.
func (a *authority) issue(name string, until time.Time, isCA bool) (cert, key []byte) {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        isCA, BasicConstraintsValid: isCA, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
		a.key = k
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// fakeFiles are files in memory.
type fakeFiles struct {
	mu sync.Mutex // guards m
	m  map[string][]byte
}

func (f *fakeFiles) read(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return b, nil
}

func (f *fakeFiles) set(name string, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m[name] = b
}

func newFakeFiles(a *authority, name string) *fakeFiles {
	cert, key := a.issue(name, time.Now().Add(time.Hour), false)
	return &fakeFiles{m: map[string][]byte{"cert": cert, "key": key}}
}

func openFake(t *testing.T, files *fakeFiles, c TLS, log *slog.Logger) *Certificates {
	t.Helper()
	c.Cert, c.Key = "cert", "key"
	if c.MinVersion == "" {
		c.MinVersion = "1.2"
	}
	cs, err := OpenCertificates(c, files.read, time.Millisecond, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cs.Close)
	return cs
}

func testCertificates(t *testing.T) *Certificates {
	t.Helper()
	return openFake(t, newFakeFiles(newAuthority(t), "server"), TLS{}, quiet())
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// name returns that of the certificate which a server shows.
func (tr *trial) name(c *tls.Config) (string, error) {
	conn, err := tls.Dial("tcp", tr.Addr().String(), c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	files := newFakeFiles(a, "first")
	log := &lines{}
	cs := openFake(t, files, TLS{}, slog.New(slog.NewTextHandler(log, nil)))
	tr := open(t, DefaultLimits(), cs, hello)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.pem)
	client := &tls.Config{RootCAs: pool}
	if name, err := tr.name(client); name != "first" {
		t.Fatalf("certificate of %q, %v", name, err)
	}
	old := tr.dial("http/1.1")
	tr.get(old)

	// The new certificate alone, as while files are being written; then one that
	// has expired; then none.
	cert, key := a.issue("second", time.Now().Add(time.Hour), false)
	expired, expiredKey := a.issue("expired", time.Now().Add(-time.Hour), false)
	faults := uint64(0)
	for why, change := range map[string]func(){
		"does not match": func() { files.set("cert", cert) },
		"expired":        func() { files.set("cert", expired); files.set("key", expiredKey) },
		"failed to find": func() { files.set("cert", []byte("nothing")) },
	} {
		before := cs.Stats().Failures
		change()
		eventually(t, "the fault is found: "+why, func() bool { return cs.Stats().Failures > before && strings.Contains(log.String(), why) })
		faults = cs.Stats().Failures
		if name, err := tr.name(client); name != "first" {
			t.Errorf("%s: certificate of %q, %v", why, name, err)
		}
	}
	time.Sleep(20 * time.Millisecond)
	if n := cs.Stats().Failures; n != faults {
		t.Errorf("a fault that stays is counted and logged again: %d, then %d", faults, n)
	}

	files.set("cert", cert)
	files.set("key", key)
	eventually(t, "the new certificate is used", func() bool {
		name, err := tr.name(client)
		return err == nil && name == "second"
	})
	if s := cs.Stats(); s.Reloads != 1 || s.Expires.Before(time.Now()) {
		t.Errorf("%+v", s)
	}
	tr.get(old) // is not dropped
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	a, b := newAuthority(t), newAuthority(t)
	files := newFakeFiles(a, "server")
	files.set("ca", a.pem)
	tr := open(t, DefaultLimits(), openFake(t, files, TLS{ClientCA: "ca"}, quiet()), hello)
	ask := func(from *authority) error {
		c := &tls.Config{InsecureSkipVerify: true}
		if from != nil {
			cert, err := tls.X509KeyPair(from.issue("client", time.Now().Add(time.Hour), false))
			if err != nil {
				t.Fatal(err)
			}
			// Whatever the server says it would accept.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		conn, err := tls.Dial("tcp", tr.Addr().String(), c)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 1)) // TLS 1.3 refuses no earlier
		return err
	}
	if err := ask(nil); err == nil {
		t.Error("a client without a certificate is served")
	}
	if err := ask(b); err == nil {
		t.Error("a client of a stranger is served")
	}
	if err := ask(a); err != nil {
		t.Errorf("client: %v", err)
	}
	files.set("ca", b.pem)
	eventually(t, "the other authority is trusted", func() bool { return ask(b) == nil })
	if err := ask(a); err == nil {
		t.Error("the first authority is still trusted")
	}
	// Counted when the server notices, which the client does not wait for.
	eventually(t, "three handshakes count as failed", func() bool { return tr.Stats().HandshakeFailures >= 3 })
}

func TestVersions(t *testing.T) {
	t.Parallel()
	files := newFakeFiles(newAuthority(t), "server")
	for least, want := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		tr := open(t, DefaultLimits(), openFake(t, files, TLS{MinVersion: least}, quiet()), hello)
		for _, version := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			_, err := tr.name(&tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if (err == nil) != (version >= want) {
				t.Errorf("least %s, client %s: %v", least, tls.VersionName(version), err)
			}
		}
	}
}

// Who forgets the s of https is told so.
func TestPlainToTLS(t *testing.T) {
	t.Parallel()
	tr := open(t, DefaultLimits(), testCertificates(t), hello)
	c, err := net.Dial("tcp", tr.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tr.send(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if text := tr.closed(c); !strings.Contains(text, "400 Bad Request") || !strings.Contains(text, "HTTPS") {
		t.Errorf("answer %q", text)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for want, change := range map[string]func(*fakeFiles){
		"read key":            func(f *fakeFiles) { delete(f.m, "key") },
		"does not match":      func(f *fakeFiles) { _, f.m["key"] = a.issue("x", time.Now().Add(time.Hour), false) },
		"it expired on":       func(f *fakeFiles) { f.m["cert"], f.m["key"] = a.issue("x", time.Now().Add(-time.Hour), false) },
		"no certificate":      func(f *fakeFiles) { f.m["ca"] = []byte("x") },
		"file does not exist": func(f *fakeFiles) { delete(f.m, "ca") },
	} {
		files := newFakeFiles(a, "server")
		files.set("ca", a.pem)
		change(files)
		c, err := OpenCertificates(TLS{Cert: "cert", Key: "key", ClientCA: "ca", MinVersion: "1.2"}, files.read, time.Hour, quiet())
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	c := &Certificates{read: func(string) ([]byte, error) { return nil, fs.ErrPermission }, files: TLS{Cert: "cert"}}
	seen := c.look()
	if _, err := c.parse(&seen); err == nil || !strings.Contains(err.Error(), "must be able to read it") {
		t.Errorf("permission: %v", err)
	}
}

func TestTLSValidate(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]TLS{
		"both":       {Cert: "a", MinVersion: "1.2"},
		"both tls":   {Key: "a", MinVersion: "1.2"},
		"client_ca":  {ClientCA: "a", MinVersion: "1.2"},
		"1.2 or 1.3": {MinVersion: "1.1"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, c := range []TLS{{MinVersion: "1.3"}, {Cert: "a", Key: "b", ClientCA: "c", MinVersion: "1.2"}} {
		if err := errors.Join(c.Validate()); err != nil {
			t.Error(err)
		}
	}
}

// TestCertificatesForOthers: another protocol than HTTP has its own names for
// ALPN, certificates that are renewed, and clients that may show one.
func TestCertificatesForOthers(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	files := newFakeFiles(a, "first")
	files.set("ca", a.pem)
	cs := openFake(t, files, TLS{ClientCA: "ca", ClientOptional: true}, quiet())
	l, err := tls.Listen("tcp", "127.0.0.1:0", cs.For("mqtt"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				t := c.(*tls.Conn)
				if t.Handshake() == nil {
					name := "nobody"
					if s := t.ConnectionState(); len(s.VerifiedChains) > 0 {
						name = s.PeerCertificates[0].Subject.CommonName
					}
					_, _ = t.Write([]byte(name))
				}
			}()
		}
	}()
	ask := func(c *tls.Config) (server, client string, err error) {
		c.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", l.Addr().String(), c)
		if err != nil {
			return "", "", err
		}
		defer conn.Close()
		b := make([]byte, 100)
		n, err := conn.Read(b)
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, string(b[:n]), err
	}
	if server, client, err := ask(&tls.Config{NextProtos: []string{"mqtt"}}); server != "first" || client != "nobody" || err != nil {
		t.Errorf("%q %q %v", server, client, err)
	}
	if _, _, err := ask(&tls.Config{NextProtos: []string{"h2"}}); err == nil {
		t.Error("a client of HTTP/2 is served")
	}
	show := func(from *authority) tls.Certificate {
		cert, err := tls.X509KeyPair(from.issue("device", time.Now().Add(time.Hour), false))
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	if _, client, err := ask(&tls.Config{Certificates: []tls.Certificate{show(a)}}); client != "device" || err != nil {
		t.Errorf("%q %v", client, err)
	}
	stranger := show(newAuthority(t))
	if _, client, err := ask(&tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }}); err == nil {
		t.Errorf("the client of a stranger is served as %q", client)
	}
	cert, key := a.issue("second", time.Now().Add(time.Hour), false)
	files.set("cert", cert)
	files.set("key", key)
	eventually(t, "the new certificate is used", func() bool { server, _, err := ask(&tls.Config{}); return err == nil && server == "second" })
}
