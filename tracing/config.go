package tracing

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Config says which traces are made and where they go.
type Config struct {
	// Endpoint is the URL of an OpenTelemetry collector that takes OTLP over
	// HTTP, such as http://127.0.0.1:4318; without a path, /v1/traces is meant.
	// Empty: no traces are made.
	Endpoint string
	// Headers go with each request to the collector, each as name=value. They
	// may be secret.
	Headers []string
	// SampleRatio is the share of requests that are recorded, 0 to 1, of those
	// whose caller has not decided about it.
	SampleRatio float64
}

// Default returns the configuration of a server that makes no traces, and all
// of them once it is given an endpoint: who looks for a request should find it.
func Default() Config { return Config{SampleRatio: 1} }

// Validate reports the first setting that makes no sense. It repeats nothing
// that may be secret.
func (c *Config) Validate() error {
	if _, err := c.url(); err != nil {
		return err
	}
	if _, err := c.header(); err != nil {
		return err
	}
	if !(c.SampleRatio >= 0 && c.SampleRatio <= 1) {
		return fmt.Errorf("sampled share of traces is %v, want 0 to 1", c.SampleRatio)
	}
	return nil
}

// url returns the address that spans are posted to, nil for no endpoint.
func (c *Config) url() (*url.URL, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("trace endpoint is not an address such as http://127.0.0.1:4318")
	case u.User != nil || u.RawQuery != "":
		return nil, errors.New("trace endpoint has a user or parameters in it, which would be shown: give secrets as headers (trace.headers)")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u, nil
}

func (c *Config) header() (http.Header, error) {
	h := http.Header{}
	for i, line := range c.Headers {
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || strings.ContainsFunc(name, notToken) || strings.ContainsFunc(value, control) {
			return nil, fmt.Errorf("header %d for traces is not name=value", i+1)
		}
		h.Set(name, value)
	}
	return h, nil
}

// notToken reports whether c cannot be in the name of a header (RFC 9110,
// section 5.6.2).
func notToken(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

func control(c rune) bool { return c < ' ' || c == 0x7f }
