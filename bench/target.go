package bench

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// WriteAPI names a dialect of the write API.
type WriteAPI string

// The write APIs.
const (
	// V2 is POST /api/v2/write with org, bucket and token.
	V2 WriteAPI = "v2"
	// V1 is POST /write with a database.
	V1 WriteAPI = "v1"
)

// Target is a server to write to.
type Target struct {
	// URL is the server's root, such as http://127.0.0.1:8086.
	URL string
	API WriteAPI
	// Org and Bucket go to a V2 server unless empty, which is how Varve is
	// told to take the token's; Database goes to a V1 server.
	Org, Bucket, Database string
	// Token is sent as "Authorization: Token" unless it is empty.
	Token string
	// PID is the server's process on this machine, whose CPU time and memory
	// are reported; 0 if it is elsewhere.
	PID int
	// DataDir is the server's data folder on this machine, whose size is
	// reported; empty if it is elsewhere.
	DataDir string
}

// Validate says what is wrong with the target.
func (t Target) Validate() error {
	u, err := url.Parse(t.URL)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("target: %q is not like http://127.0.0.1:8086", t.URL)
	case t.API == V1 && t.Database == "":
		return errors.New("target: the v1 write API needs a database")
	case t.API != V1 && t.API != V2:
		return fmt.Errorf("target: write API %q is neither v1 nor v2", t.API)
	case strings.ContainsAny(t.Token, "\r\n"):
		return errors.New("target: the token contains a line break")
	case t.PID < 0:
		return fmt.Errorf("target: process id %d", t.PID)
	}
	return nil
}

// path is the write path with its query.
func (t Target) path() string {
	u, err := url.Parse(t.URL)
	if err != nil {
		panic("BUG: target was not validated: " + err.Error())
	}
	q := url.Values{"precision": {"ns"}}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	if t.API == V1 {
		q.Set("db", t.Database)
		return path + "/write?" + q.Encode()
	}
	if t.Bucket != "" {
		q.Set("bucket", t.Bucket)
	}
	if t.Org != "" {
		q.Set("org", t.Org)
	}
	return path + "/api/v2/write?" + q.Encode()
}
