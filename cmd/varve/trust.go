package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/pflag"
)

// trust is how a client and a server with TLS know each other.
type trust struct {
	authority, cert, key string // names of PEM files; empty: the system's, none
	anybody              bool
}

func (t *trust) flags(f *pflag.FlagSet) {
	f.StringVar(&t.authority, "ca", "", "PEM file with the authority of the server's certificate, or that certificate; otherwise the system's")
	f.StringVar(&t.cert, "client-cert", "", "PEM file with a certificate to show, where the server wants one")
	f.StringVar(&t.key, "client-key", "", "PEM file with its private key")
	f.BoolVar(&t.anybody, "insecure", false, "take whatever certificate the server shows: whoever is in between can read token and data")
}

// client returns what makes requests.
func (t *trust) client() (*http.Client, error) {
	c, err := t.config()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return http.DefaultClient, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c
	return &http.Client{Transport: transport}, nil
}

// config returns what connections are made with, nil for the system's defaults.
func (t *trust) config() (*tls.Config, error) {
	if *t == (trust{}) {
		return nil, nil
	}
	c := &tls.Config{InsecureSkipVerify: t.anybody}
	if t.authority != "" {
		text, err := os.ReadFile(t.authority)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: there is no certificate in %s", t.authority)
		}
	}
	if (t.cert == "") != (t.key == "") {
		return nil, errors.New("--client-cert and --client-key go together")
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("--client-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// distrust adds to an error what to do if it is about certificates.
func distrust(err error) error {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return fmt.Errorf("%w; name its authority by --ca, and the server by a name that its certificate has in --url", err)
	}
	return err
}
