// Package kafka says how a broker of Kafka is reached: addresses, TLS and who
// signs in. The source that reads topics, the sink that writes them and the
// benchmark share it, so that a section of a declaration means the same to all.
// A Connection is a value and safe for concurrent use.
package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
)

const (
	// metadataMaxAge is after which time topics that came are noticed, and
	// metadataMinAge how long after a broker that went is asked where its
	// partitions are now. The library's 5 minutes and 5 s are made for fleets of
	// thousands of clients.
	metadataMaxAge = 15 * time.Second
	metadataMinAge = time.Second
	// dialTimeout is for one address; the next is tried after it.
	dialTimeout = 5 * time.Second
)

// Connection is how brokers are reached.
type Connection struct {
	Brokers  []string // host:port, at least one
	ClientID string   // how the brokers name it in their logs and quotas
	TLS      *TLS     // nil: none
	SASL     *SASL    // nil: nobody signs in
}

// TLS is how connections are encrypted. The zero value trusts what the system
// trusts.
type TLS struct {
	CA               string // file with certificates (PEM) that are trusted instead of the system's
	Certificate, Key string // files (PEM) with which Varve shows who it is; "" if it does not
	ServerName       string // what the certificate has to be for; "" is the host of the address
	Insecure         bool   // any certificate will do
}

// SASL is who signs in.
type SASL struct {
	Mechanism    string // plain, scram-sha-256 or scram-sha-512
	User         string
	Password     string
	PasswordFile string // holds the password, if Password is ""
}

// Declare reads the keys brokers, client_id, tls and sasl of a section that has
// others besides. What is wrong it notes in s.
func Declare(s *declare.Map) Connection {
	c := Connection{Brokers: s.Strings("brokers"), ClientID: s.Text("client_id", "varve")}
	if len(c.Brokers) == 0 {
		s.Fail("brokers", "is missing: want addresses such as 127.0.0.1:9092")
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			s.Fail("brokers", "%q: want host:port", b)
		}
	}
	switch n := s.Node("tls"); {
	case n == nil:
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		if s.Bool("tls", false) {
			c.TLS = &TLS{}
		}
	default:
		c.TLS = declareTLS(s.Section("tls"), s)
	}
	if s.Has("sasl") {
		c.SASL = declareSASL(s.Section("sasl"), s)
	}
	return c
}

func declareTLS(t, parent *declare.Map) *TLS {
	c := &TLS{
		CA:          t.Text("ca", ""),
		Certificate: t.Text("certificate", ""),
		Key:         t.Text("key", ""),
		ServerName:  t.Text("server_name", ""),
		Insecure:    t.Bool("insecure", false),
	}
	if (c.Certificate == "") != (c.Key == "") {
		t.Fail("", "certificate and key go together")
	}
	parent.Add(t.Err())
	return c
}

func declareSASL(t, parent *declare.Map) *SASL {
	c := &SASL{
		Mechanism:    t.Choice("mechanism", "scram-sha-512", "plain", "scram-sha-256", "scram-sha-512"),
		User:         t.Required("user"),
		Password:     t.Text("password", ""),
		PasswordFile: t.Text("password_file", ""),
	}
	if (c.Password == "") == (c.PasswordFile == "") {
		t.Fail("", "want password or password_file")
	}
	parent.Add(t.Err())
	return c
}

// Options returns what a client needs to reach the brokers. It reads the files
// that c names.
func (c Connection) Options() ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.DialTimeout(dialTimeout),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.DisableClientMetrics(),
	}
	if c.TLS != nil {
		t, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(t))
	}
	if c.SASL != nil {
		m, err := c.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(m))
	}
	return options, nil
}

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read the certificates that Kafka's brokers are trusted by: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate (PEM)", t.CA)
		}
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate for Kafka: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	password := s.Password
	if password == "" {
		text, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the password for Kafka: %w", err)
		}
		if password = strings.TrimRight(string(text), "\r\n"); password == "" {
			return nil, fmt.Errorf("%s, which should hold the password for Kafka, is empty", s.PasswordFile)
		}
	}
	switch s.Mechanism {
	case "plain":
		return plain.Auth{User: s.User, Pass: password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: s.User, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: s.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("SASL mechanism %q: want plain, scram-sha-256 or scram-sha-512", s.Mechanism)
}
