package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// TLS names the files of a port with TLS.
type TLS struct {
	// Cert is a PEM file with the certificate and those between it and the
	// authority, Key one with its private key. Both empty: no TLS.
	Cert, Key string
	// ClientCA is a PEM file of authorities. If it is given, a client has to
	// show a certificate of one of them, or, with ClientOptional, may show one.
	ClientCA       string
	ClientOptional bool
	// MinVersion is "1.2" or "1.3".
	MinVersion string
}

// Enabled reports whether ports have TLS.
func (t *TLS) Enabled() bool { return t.Cert != "" }

// Validate reports what makes no sense, without looking at the files.
func (t *TLS) Validate() error {
	switch {
	case t.Cert == "" && t.Key != "" || t.Cert != "" && t.Key == "":
		return errors.New("TLS needs both tls.cert and tls.key")
	case t.ClientCA != "" && t.Cert == "":
		return errors.New("tls.client_ca needs tls.cert and tls.key: without TLS a client shows no certificate")
	case t.MinVersion != "1.2" && t.MinVersion != "1.3":
		return fmt.Errorf("least version of TLS is %q, want 1.2 or 1.3", t.MinVersion)
	}
	return nil
}

// Files reads a whole file: package vfs, or a test's.
type Files func(name string) ([]byte, error)

// Certificates is what ports show of themselves and demand of clients. It looks
// at its files again and again, so that a renewed certificate is used from the
// next connection on. Connections that are open keep theirs.
type Certificates struct {
	files TLS
	read  Files
	log   *slog.Logger

	now      atomic.Pointer[pair]
	reloads  atomic.Uint64
	failures atomic.Uint64

	stop chan struct{}
	done sync.WaitGroup
}

// pair is one state of the files that was found good.
type pair struct {
	config  *tls.Config
	expires time.Time
}

// content is what the files hold; what is good or bad about it was said once.
type content struct {
	cert, key, ca []byte
	err           string // of reading
}

func (c *content) equal(d *content) bool {
	return bytes.Equal(c.cert, d.cert) && bytes.Equal(c.key, d.key) && bytes.Equal(c.ca, d.ca) && c.err == d.err
}

// LookEvery is how often a server looks whether its certificate was renewed.
// The files are read as a whole, a few KiB, because their times say little where
// links are swapped.
const LookEvery = 2 * time.Second

// OpenCertificates reads the files, and goes on to do so until Close.
func OpenCertificates(t TLS, read Files, every time.Duration, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{files: t, read: read, log: log, stop: make(chan struct{})}
	seen := c.look()
	p, err := c.parse(&seen)
	if err != nil {
		return nil, err
	}
	c.now.Store(p)
	c.done.Go(func() { c.watch(seen, every) })
	return c, nil
}

// Close ends the looking.
func (c *Certificates) Close() {
	close(c.stop)
	c.done.Wait()
}

// CertificateStats is a snapshot of Certificates.
type CertificateStats struct {
	Expires           time.Time
	Reloads, Failures uint64
}

// Stats returns a snapshot.
func (c *Certificates) Stats() CertificateStats {
	return CertificateStats{c.now.Load().expires, c.reloads.Load(), c.failures.Load()}
}

func (c *Certificates) watch(seen content, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		found := c.look()
		if found.equal(&seen) {
			continue
		}
		seen = found
		p, err := c.parse(&found)
		if err != nil {
			c.failures.Add(1)
			c.log.Error("the new certificate is not used, the one before stays", "error", err, "expires", c.now.Load().expires)
			continue
		}
		c.now.Store(p)
		c.reloads.Add(1)
		c.log.Info("the certificate was renewed", "file", c.files.Cert, "expires", p.expires)
	}
}

func (c *Certificates) look() (found content) {
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{c.files.Cert, &found.cert}, {c.files.Key, &found.key}, {c.files.ClientCA, &found.ca}} {
		if f.name == "" {
			continue
		}
		b, err := c.read(f.name)
		if err != nil {
			found.err = fmt.Sprintf("read %s: %v", f.name, err)
			if errors.Is(err, fs.ErrPermission) {
				found.err += "; the user that varve runs as must be able to read it"
			}
			return found
		}
		*f.to = b
	}
	return found
}

// parse makes of the files what a handshake needs.
func (c *Certificates) parse(from *content) (*pair, error) {
	if from.err != "" {
		return nil, errors.New(from.err)
	}
	cert, err := tls.X509KeyPair(from.cert, from.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.files.Cert, c.files.Key, err)
	}
	now := time.Now()
	if now.After(cert.Leaf.NotAfter) {
		return nil, fmt.Errorf("certificate %s: it expired on %s", c.files.Cert, cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	t := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if c.files.MinVersion == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	if c.files.ClientCA != "" {
		t.ClientCAs = x509.NewCertPool()
		if !t.ClientCAs.AppendCertsFromPEM(from.ca) {
			return nil, fmt.Errorf("authorities of clients %s: there is no certificate in it", c.files.ClientCA)
		}
		t.ClientAuth = tls.RequireAndVerifyClientCert
		if c.files.ClientOptional {
			t.ClientAuth = tls.VerifyClientCertIfGiven
		}
		// An authority that was taken out of the file must not be trusted
		// because of a session that began before.
		t.SessionTicketsDisabled = true
	}
	return &pair{t, cert.Leaf.NotAfter}, nil
}

// config is of a listener: each handshake takes what is there by then.
func (c *Certificates) config() *tls.Config {
	first := c.now.Load().config.Clone()
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load().config, nil }
	return first
}

// For returns what a listener of another protocol hands to crypto/tls, with the
// names of the protocol for ALPN. Each handshake takes what is there by then.
func (c *Certificates) For(protocols ...string) *tls.Config {
	now := func() *tls.Config {
		t := c.now.Load().config.Clone()
		t.NextProtos = protocols
		return t
	}
	first := now()
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return now(), nil }
	return first
}
