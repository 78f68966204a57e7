package decode

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/avro"
	"github.com/varvedb/varve/protocol/protobuf"
	"github.com/varvedb/varve/source"
)

// The reasons for which messages of a schema registry are refused.
const (
	BadFrame      = "bad_frame"
	UnknownSchema = "unknown_schema"
)

const (
	// registryTimeout is for one answer.
	registryTimeout = 5 * time.Second
	// askAgainAfter is how long nothing is asked of a registry that did not
	// answer, and unknownFor how long a number counts as unknown.
	askAgainAfter = time.Second
	unknownFor    = 30 * time.Second
	// maxSchema bounds an answer; maxReferences the schemas that one needs.
	maxSchema     = 8 << 20
	maxReferences = 200
	// maxKnown bounds the schemas that are remembered: whoever sends messages
	// chooses their numbers.
	maxKnown = 10_000
)

// registry keeps the schemas that it has asked a schema registry for, one that
// speaks Confluent's API. A message begins with a zero byte and the number of its
// schema, four bytes with the highest first. It is safe for concurrent use.
type registry struct {
	url, user, password string
	client              *http.Client
	now                 func() time.Time

	mu      sync.Mutex // guards what follows; held while the registry is asked
	known   map[uint32]*registered
	silent  error // it did not answer
	askFrom time.Time
}

// registered is a schema, or why there is none.
type registered struct {
	avro     *avro.Schema
	protobuf *protobuf.Schema
	refused  error // *record.Refusal
	until    time.Time
}

// declareRegistry reads the section registry of m; nil if a file has the schema.
func declareRegistry(m *declare.Map, file string) *registry {
	if m.Has("registry") == (file != "") {
		m.Fail("", "want schema: FILE, or registry: {url: ...}")
	}
	if !m.Has("registry") {
		return nil
	}
	s := m.Section("registry")
	r := &registry{url: strings.TrimSuffix(s.Required("url"), "/"), user: s.Text("user", ""), password: s.Text("password", ""),
		client: &http.Client{Timeout: registryTimeout}, now: time.Now, known: map[uint32]*registered{}}
	// A password in the URL would be shown wherever the URL is.
	if u, err := url.Parse(r.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		s.Fail("url", "want http://HOST:PORT or https://HOST:PORT; user and password have keys of their own")
	}
	if name := s.Text("password_file", ""); name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			s.Fail("password_file", "%s", err)
		}
		r.password = strings.TrimRight(string(text), "\r\n")
	}
	m.Add(s.Err())
	return r
}

// avro returns the schema of a message and the rest of it.
func (r *registry) avro(message []byte) (schema, []byte, error) {
	one, rest, err := r.of(message)
	if err == nil && one.avro == nil {
		err = record.Refuse(UnknownSchema, "schema %d is not one of Avro", binary.BigEndian.Uint32(message[1:]))
	}
	if err != nil {
		return nil, nil, err
	}
	return one.avro, rest, nil
}

// protobuf is the same for Protocol Buffers.
func (r *registry) protobuf(message []byte) (schema, []byte, error) {
	one, rest, err := r.of(message)
	if err == nil && one.protobuf == nil {
		err = record.Refuse(UnknownSchema, "schema %d is not one of Protocol Buffers", binary.BigEndian.Uint32(message[1:]))
	}
	if err != nil {
		return nil, nil, err
	}
	of, rest, err := one.protobuf.Cut(rest)
	return of, rest, err
}

// of returns what is registered for a message, and the message without its head.
// A registry that does not answer is a source.ErrBusy: the message is not what is
// wrong.
func (r *registry) of(message []byte) (*registered, []byte, error) {
	const head = 5
	if len(message) < head || message[0] != 0 {
		return nil, nil, record.Refuse(BadFrame, "the message does not begin with a zero byte and the number of its schema")
	}
	id := binary.BigEndian.Uint32(message[1:])
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.known[id]
	if one == nil || one.refused != nil && r.now().After(one.until) {
		if r.silent != nil && r.now().Before(r.askFrom) {
			return nil, nil, r.silent
		}
		var err error
		if one, err = r.ask(id); err != nil {
			r.silent = &source.BusyError{Reason: "the schema registry " + r.url + " does not answer", Err: err}
			r.askFrom = r.now().Add(askAgainAfter)
			return nil, nil, r.silent
		}
		r.silent = nil
		if len(r.known) >= maxKnown {
			clear(r.known)
		}
		r.known[id] = one
	}
	return one, message[head:], one.refused
}

// answered is an answer of a registry.
type answered struct {
	Type       string `json:"schemaType"` // "" is AVRO
	Text       string `json:"schema"`
	References []struct {
		Name    string `json:"name"`
		Subject string `json:"subject"`
		Version int    `json:"version"`
	} `json:"references"`
}

// errNone is that a registry has no such schema.
var errNone = errors.New("there is none")

// ask asks for a schema. What is wrong with it is in the answer; an error is that
// there is no answer.
func (r *registry) ask(id uint32) (*registered, error) {
	refuse := func(err error) (*registered, error) {
		return &registered{refused: record.Refuse(UnknownSchema, "schema %d: %s", id, err), until: r.now().Add(unknownFor)}, nil
	}
	a, err := r.get(fmt.Sprintf("/schemas/ids/%d", id))
	if errors.Is(err, errNone) {
		return refuse(err)
	} else if err != nil {
		return nil, err
	}
	needs := needed{imports: map[string]string{}}
	if err := r.references(a, &needs); errors.Is(err, errNone) || errors.Is(err, errMany) {
		return refuse(err)
	} else if err != nil {
		return nil, err
	}
	one := &registered{}
	switch a.Type {
	case "", "AVRO":
		one.avro, err = avro.Parse(a.Text, needs.texts...)
	case "PROTOBUF":
		one.protobuf, err = protobuf.Parse(a.Text, needs.imports)
	default:
		err = fmt.Errorf("is of type %s", a.Type)
	}
	if err != nil {
		return refuse(err)
	}
	return one, nil
}

// needed are the schemas that one refers to, by the name that it does, and in an
// order in which each stands behind those that it refers to itself.
type needed struct {
	imports map[string]string
	texts   []string
}

var errMany = fmt.Errorf("it refers to more than %d others", maxReferences)

func (r *registry) references(a *answered, all *needed) error {
	for _, ref := range a.References {
		if _, ok := all.imports[ref.Name]; ok {
			continue
		}
		if len(all.imports) == maxReferences {
			return errMany
		}
		all.imports[ref.Name] = "" // one that refers to itself ends here
		b, err := r.get(fmt.Sprintf("/subjects/%s/versions/%d", url.PathEscape(ref.Subject), ref.Version))
		if err != nil {
			return fmt.Errorf("%s, which it refers to: %w", ref.Name, err)
		}
		if err := r.references(b, all); err != nil {
			return err
		}
		all.imports[ref.Name] = b.Text
		all.texts = append(all.texts, b.Text)
	}
	return nil
}

func (r *registry) get(path string) (*answered, error) {
	req, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	if r.user != "" || r.password != "" {
		req.SetBasicAuth(r.user, r.password)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, errNone
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET %s: status %d", path, resp.StatusCode)
	}
	var a answered
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxSchema)).Decode(&a); err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	return &a, nil
}
