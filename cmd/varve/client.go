package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// client talks to the ports of a server.
type client struct {
	url     string
	token   string
	dataDir string
	trust   trust
	http    *http.Client // set by resolve
}

// flags adds how a server is found to a command. With a data folder on the
// same machine neither address nor token has to be known.
func (c *client) flags(cmd *cobra.Command, usage string) {
	f := cmd.Flags()
	f.StringVar(&c.url, "url", "", usage)
	f.StringVar(&c.token, "token", "", "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN, or the data folder's")
	f.StringVar(&c.dataDir, "data-dir", "", "data folder of a server on this machine, to learn its address and token from (VARVE_DATA_DIR)")
	c.trust.flags(f)
}

// servicePort and pointsPort say which of a server's ports a command talks to.
func servicePort(a server.Addresses) string { return a.Service }
func pointsPort(a server.Addresses) string  { return a.HTTP }

// resolve fills in what was not given.
func (c *client) resolve(port func(server.Addresses) string, fallback string) error {
	var err error
	if c.http, err = c.trust.client(); err != nil {
		return err
	}
	if c.dataDir == "" && c.url == "" {
		c.dataDir = os.Getenv("VARVE_DATA_DIR")
	}
	if c.url == "" {
		c.url = "http://" + fallback
		if c.dataDir != "" {
			a, err := server.ReadAddresses(c.dataDir)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("no server runs on data folder %s; start one by: varve serve --data-dir %s", c.dataDir, c.dataDir)
			}
			if err != nil {
				return err
			}
			c.url = a.URL(port(a))
		}
	}
	if !strings.Contains(c.url, "://") {
		c.url = "http://" + c.url
	}
	c.url = strings.TrimRight(c.url, "/")
	c.token = tokenOr(c.token)
	if c.token == "" && c.dataDir != "" {
		text, err := os.ReadFile(filepath.Join(c.dataDir, server.TokenFile))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// The token was given to the server; a port that asks for none may
			// do without.
		case err != nil:
			return fmt.Errorf("read token: %w", err)
		}
		c.token = strings.TrimSpace(string(text))
	}
	return nil
}

// tokenOr returns token, or the one of the environment.
func tokenOr(token string) string {
	for _, name := range []string{"VARVE_TOKEN", "VARVE_ADMIN_TOKEN"} {
		if token == "" {
			token = os.Getenv(name)
		}
	}
	return token
}

// post sends body and returns the answer if it is a success; the caller
// closes it.
func (c *client) post(ctx context.Context, path, contentType string, body []byte) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodPost, path, contentType, body)
}

// do makes a request and returns the answer if it is a success; the caller
// closes it.
func (c *client) do(ctx context.Context, method, path, contentType string, body []byte) (io.ReadCloser, error) {
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.send(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, &refusal{resp.StatusCode, reason(resp.Body), c.token != ""}
}

// request makes a request with the token.
func (c *client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask server: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Token "+c.token)
	}
	return req, nil
}

// send makes a request and returns whatever the answer is.
func (c *client) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("no server answers at %s; start one by varve serve, or say where it is by --url or --data-dir", c.url)
	}
	if err != nil {
		return nil, fmt.Errorf("ask server: %w", distrust(err))
	}
	return resp, nil
}

// call sends v as JSON, unless it is nil, and reads the answer into answer,
// unless that is nil.
func (c *client) call(ctx context.Context, method, path string, v, answer any) error {
	var body []byte
	contentType := ""
	if v != nil {
		var err error
		if body, err = json.Marshal(v); err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		contentType = "application/json"
	}
	r, err := c.do(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(r).Decode(answer); err != nil {
		return fmt.Errorf("read answer of %s%s: %w", c.url, path, err)
	}
	return nil
}

// refusal is an error that the server answered with.
type refusal struct {
	status    int
	reason    string
	withToken bool
}

func (e *refusal) Error() string {
	s := fmt.Sprintf("server answered %d: %s", e.status, e.reason)
	switch {
	case e.status == http.StatusUnauthorized && e.withToken:
		s += " (the server does not know this token; is it another server's?)"
	case e.status == http.StatusUnauthorized:
		s += " (give a token by --token, VARVE_TOKEN or --data-dir)"
	case e.status == http.StatusNotFound && strings.Contains(e.reason, "bucket"):
		s += " (varve bucket list shows those that are there)"
	}
	return s
}

// reason finds the sentence in an error of either port.
func reason(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return err.Error()
	}
	var e struct{ Detail, Message string }
	if json.Unmarshal(text, &e) == nil {
		if e.Detail != "" {
			return e.Detail
		}
		if e.Message != "" {
			return e.Message
		}
	}
	return strings.TrimSpace(string(text))
}
