package mqttclient

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/protocol/topic"
)

// Config says which broker is read, and how.
type Config struct {
	// Address is host:port; WebSocket is the path of MQTT over WebSocket, "" for
	// MQTT over TCP.
	Address   string
	WebSocket string
	TLS       *TLS // nil: none
	Topics    []string
	QoS       byte
	Version   byte // mqttwire.V311 or V5
	ClientID  string
	User      string
	Password  string
	// PasswordFile holds the password instead; it is read with each connection.
	PasswordFile string
	KeepAlive    time.Duration
	// SessionExpiry is how long the broker keeps messages while nobody reads.
	SessionExpiry time.Duration
	// ReceiveMaximum is how many messages may wait here for the intake.
	ReceiveMaximum int
	// MaxPacket is the largest packet that is taken, in bytes.
	MaxPacket int
}

// TLS says whom to trust and what to show.
type TLS struct {
	CA, Certificate, Key string // PEM files; "": the system's authorities, no certificate
	ServerName           string
	Insecure             bool
}

// schemes are those of a broker's URL.
var schemes = map[string]struct {
	port           string
	tls, webSocket bool
}{
	"mqtt": {"1883", false, false}, "tcp": {"1883", false, false},
	"mqtts": {"8883", true, false}, "ssl": {"8883", true, false}, "tls": {"8883", true, false},
	"ws": {"80", false, true}, "wss": {"443", true, true},
}

// Declare reads the section of a pipeline's source.
func Declare(s *declare.Map) Config {
	c := Config{
		User: s.Text("user", ""), Password: s.Text("password", ""), PasswordFile: s.Text("password_file", ""),
		KeepAlive: s.Duration("keep_alive", 30*time.Second), SessionExpiry: s.Duration("session_expiry", 24*time.Hour),
		ReceiveMaximum: s.Int("receive_maximum", 1000, 1), MaxPacket: s.Size("max_packet", 4<<20),
	}
	c.Version = mqttwire.V5
	if s.Choice("version", "5", "5", "3.1.1") == "3.1.1" {
		c.Version = mqttwire.V311
	}
	c.ClientID = s.Text("client_id", "")
	if c.ClientID == "" {
		s.Fail("client_id", "is missing: the broker keeps what comes while nobody reads for a client id, which no other client may have")
	}
	c.QoS = s.Choice("qos", "1", "0", "1", "2")[0] - '0'
	c.address(s)
	if c.Password != "" && c.PasswordFile != "" {
		s.Fail("password_file", "there is a password already")
	}
	if c.ReceiveMaximum > 65535 {
		s.Fail("receive_maximum", "want at most 65535")
	}
	if c.KeepAlive < time.Second || c.KeepAlive > 65535*time.Second {
		s.Fail("keep_alive", "want from 1s to 18h")
	}
	for _, text := range s.Strings("topics") {
		f := text
		if strings.Contains(f, "{") {
			t, err := topic.Parse(f)
			if err != nil {
				s.Fail("topics", "%v", err)
				continue
			}
			f = t.Filter()
		}
		if err := topic.CheckFilter(f); err != nil {
			s.Fail("topics", "%v", err)
		}
		c.Topics = append(c.Topics, f)
	}
	if len(c.Topics) == 0 {
		s.Fail("topics", "is missing: write filters of topics, such as [\"plant/+/line/+/#\"]")
	}
	return c
}

func (c *Config) address(s *declare.Map) {
	text := s.Required("broker")
	given := s.Has("tls")
	t := s.Section("tls")
	conf := TLS{CA: t.Text("ca", ""), Certificate: t.Text("certificate", ""), Key: t.Text("key", ""), ServerName: t.Text("server_name", ""), Insecure: t.Bool("insecure", false)}
	if (conf.Certificate == "") != (conf.Key == "") {
		t.Fail("", "certificate and key belong together")
	}
	s.Add(t.Err())
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		s.Fail("broker", "%q: want a URL such as mqtts://broker.example.com:8883", text)
		return
	}
	scheme, ok := schemes[u.Scheme]
	if !ok {
		s.Fail("broker", "%q: want mqtt://, mqtts://, ws:// or wss://", text)
		return
	}
	if u.User != nil {
		s.Fail("broker", "user and password have keys of their own")
	}
	port := u.Port()
	if port == "" {
		port = scheme.port
	}
	c.Address = net.JoinHostPort(u.Hostname(), port)
	if scheme.webSocket {
		c.WebSocket = u.RequestURI()
	}
	switch {
	case scheme.tls:
		if conf.ServerName == "" {
			conf.ServerName = u.Hostname()
		}
		c.TLS = &conf
	case given:
		s.Fail("tls", "%s:// has no TLS; write mqtts:// or wss://", u.Scheme)
	}
}

// config reads the files, with each connection, so that they may be renewed.
func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("authorities %s: there is no certificate in it", t.CA)
		}
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
