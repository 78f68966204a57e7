package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/varvedb/varve/export/stream"
)

// RemoteConfig says which server to ask for what. The times are as people
// write them, for the server to read.
type RemoteConfig struct {
	URL    string // of the service port, as http://127.0.0.1:8000
	Token  string
	Client *http.Client

	Bucket      string // empty: the token's default
	Start, Stop string // empty: all
	Filters     map[string][]string
}

// Remote is a Source that is a server.
type Remote struct{ cfg RemoteConfig }

// NewRemote returns a source.
func NewRemote(cfg RemoteConfig) *Remote { return &Remote{cfg} }

// RefusedError is what a server answered instead of rows.
type RefusedError struct {
	Status int
	Detail string
}

func (e *RefusedError) Error() string {
	s := fmt.Sprintf("export: server answered %d: %s", e.Status, e.Detail)
	switch e.Status {
	case http.StatusUnauthorized:
		s += " (give a token by --token, VARVE_TOKEN or --data-dir)"
	case http.StatusNotFound:
		if e.Detail == "path not found" {
			s += " (is this the service port of a varve that can export?)"
		}
	}
	return s
}

// maxDetailBytes is what of an error is read.
const maxDetailBytes = 64 << 10

// Export implements Source. Times and tags are those of the RemoteConfig.
func (s *Remote) Export(ctx context.Context, r *stream.Request, out stream.Receiver) error {
	body, err := json.Marshal(struct {
		Bucket       string              `json:"bucket,omitempty"`
		Measurements []string            `json:"measurements,omitempty"`
		Start        string              `json:"start,omitempty"`
		Stop         string              `json:"stop,omitempty"`
		Filters      map[string][]string `json:"filters,omitempty"`
		Partition    stream.Partition    `json:"partition,omitempty"`
	}{s.cfg.Bucket, r.Measurements, s.cfg.Start, s.cfg.Stop, s.cfg.Filters, r.Partition})
	if err != nil {
		return fmt.Errorf("export: make request: %w", err)
	}
	url := strings.TrimRight(s.cfg.URL, "/") + "/api/v1/export"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("export from %s: %w", s.cfg.URL, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", stream.ContentType)
	if s.cfg.Token != "" {
		req.Header.Set("Authorization", "Token "+s.cfg.Token)
	}
	resp, err := s.cfg.Client.Do(req)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	if _, err = stream.Decode(resp.Body, out); errors.Is(err, stream.ErrBroken) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func refused(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDetailBytes))
	if err != nil {
		return fmt.Errorf("export: read answer %s: %w", resp.Status, err)
	}
	var answer struct{ Detail string }
	if json.Unmarshal(text, &answer) != nil || answer.Detail == "" {
		answer.Detail = strings.TrimSpace(string(text))
	}
	return &RefusedError{resp.StatusCode, answer.Detail}
}
