package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/varvedb/varve/kafka"
)

// TestAccess reads over TLS with each of the ways to sign in, and is refused
// with the wrong password or a certificate that is not trusted.
func TestAccess(t *testing.T) {
	t.Parallel()
	certificate, ca := certificates(t)
	c := newCluster(t, kfake.SeedTopics(1, "a"), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "p", "pp"), kfake.Superuser("SCRAM-SHA-256", "s2", "pp"), kfake.Superuser("SCRAM-SHA-512", "s5", "pp"))
	client := newClient(t, c.ListenAddrs(), kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true}), kgo.SASL(plain.Auth{User: "p", Pass: "pp"}.AsMechanism()))
	produce(t, client, "a", 1, 1)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("pp\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, access := range map[string]struct {
		sasl *kafka.SASL
		tls  *kafka.TLS
		want string // in the trouble; "": it works
	}{
		"plain":    {&kafka.SASL{Mechanism: "plain", User: "p", Password: "pp"}, &kafka.TLS{CA: ca}, ""},
		"scram256": {&kafka.SASL{Mechanism: "scram-sha-256", User: "s2", Password: "pp"}, &kafka.TLS{CA: ca}, ""},
		"scram512": {&kafka.SASL{Mechanism: "scram-sha-512", User: "s5", PasswordFile: file}, &kafka.TLS{CA: ca}, ""},
		"password": {&kafka.SASL{Mechanism: "plain", User: "p", Password: "wrong"}, &kafka.TLS{CA: ca}, "password"},
		"insecure": {&kafka.SASL{Mechanism: "plain", User: "p", Password: "pp"}, &kafka.TLS{Insecure: true}, ""},
		"unknown":  {&kafka.SASL{Mechanism: "plain", User: "p", Password: "pp"}, &kafka.TLS{}, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(c, "a")
			cfg.Group, cfg.SASL, cfg.TLS = name, access.sasl, access.tls
			f := newFakeIntake()
			r := start(t, cfg, f)
			if access.want != "" {
				eventually(t, "trouble", func() bool { s := r.Status(); return !s.Connected && strings.Contains(s.Trouble, access.want) })
				return
			}
			eventually(t, "the message", func() bool { return f.count() == 1 })
		})
	}
}

func TestFilesOfAccess(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []kafka.Connection{
		{TLS: &kafka.TLS{CA: "no-such-file"}},
		{TLS: &kafka.TLS{CA: empty}},
		{TLS: &kafka.TLS{Certificate: empty, Key: empty}},
		{SASL: &kafka.SASL{Mechanism: "plain", PasswordFile: "no-such-file"}},
		{SASL: &kafka.SASL{Mechanism: "plain", PasswordFile: empty}},
	} {
		cfg := Default()
		cfg.Connection = c
		if _, err := New(cfg, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v %+v: no error", c.TLS, c.SASL)
		}
	}
}

// certificates returns a certificate for 127.0.0.1 and the file of its issuer.
func certificates(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafka"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
