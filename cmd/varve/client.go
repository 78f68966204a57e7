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

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// client talks to the ports of a server.
type client struct {
	url     string
	token   string
	dataDir string
}

// flags adds how a server is found to a command. With a data folder on the
// same machine neither address nor token has to be known.
func (c *client) flags(cmd *cobra.Command, usage string) {
	f := cmd.Flags()
	f.StringVar(&c.url, "url", "", usage)
	f.StringVar(&c.token, "token", "", "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN, or the data folder's")
	f.StringVar(&c.dataDir, "data-dir", "", "data folder of a server on this machine, to learn its address and token from")
}

// resolve fills in what was not given.
func (c *client) resolve(port func(server.Addresses) string, fallback string) error {
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
			c.url = "http://" + port(a)
		}
	}
	c.url = strings.TrimRight(c.url, "/")
	c.token = tokenOr(c.token)
	if c.token == "" && c.dataDir != "" {
		text, err := os.ReadFile(filepath.Join(c.dataDir, server.TokenFile))
		if err != nil {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask server: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	if c.token != "" {
		req.Header.Set("Authorization", "Token "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask server: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, &refusal{resp.StatusCode, reason(resp.Body)}
}

// refusal is an error that the server answered with.
type refusal struct {
	status int
	reason string
}

func (e *refusal) Error() string {
	s := fmt.Sprintf("server answered %d: %s", e.status, e.reason)
	if e.status == http.StatusUnauthorized {
		s += " (give a token by --token, VARVE_TOKEN or --data-dir)"
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
