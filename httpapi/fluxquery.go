package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/varvedb/varve/lang/flux"
	"github.com/varvedb/varve/lang/flux/anncsv"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/pushdown"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/query"
)

// Question is what one script may take: package query.
type Question interface {
	flow.Memory
	// Context ends when the question has to.
	Context() context.Context
	Close()
}

// Scripts is what scripts run on.
type Scripts interface {
	// Begin begins a question of a principal in an organisation, and returns
	// what its script reaches. An error of either is one of package query,
	// which ReadError puts into the words of the API.
	Begin(ctx context.Context, who Principal, org uint64) (Question, flow.Host)
	ReadError(err error) error
}

// fluxRequest is the body of POST /api/v2/query.
type fluxRequest struct {
	Query   string          `json:"query" doc:"the script"`
	AST     json.RawMessage `json:"ast,omitempty" doc:"the script as a tree, as /api/v2/query/ast returns it; counts where there is no query"`
	Type    string          `json:"type,omitempty" enum:"flux"`
	Dialect *fluxDialect    `json:"dialect,omitempty"`
	Now     *time.Time      `json:"now,omitempty" doc:"what now() returns; absent: the present"`
	Extern  json.RawMessage `json:"extern,omitempty" doc:"a file as a tree, which comes before the script: options, mostly"`
	Params  map[string]any  `json:"params,omitempty" doc:"what the script sees as params.name"`
	Explain bool            `json:"explain,omitempty" doc:"answers with what would be done, as text, and does it not"`
}

// fluxDialect says how the answer is written.
type fluxDialect struct {
	Header         *bool    `json:"header,omitempty" doc:"names of columns; default: true"`
	Delimiter      string   `json:"delimiter,omitempty" doc:"one character; default: a comma"`
	Annotations    []string `json:"annotations,omitempty" doc:"of group, datatype, default; absent: none"`
	CommentPrefix  *string  `json:"commentPrefix,omitempty" doc:"default: #"`
	DateTimeFormat string   `json:"dateTimeFormat,omitempty" enum:"RFC3339,RFC3339Nano"`
}

// csv returns the dialect as the encoder has it.
func (d *fluxDialect) csv() (anncsv.Dialect, error) {
	out := anncsv.DefaultDialect()
	if d == nil {
		return out, nil
	}
	if d.Header != nil {
		out.Header = *d.Header
	}
	if d.Delimiter != "" {
		if len(d.Delimiter) != 1 || strings.ContainsAny(d.Delimiter, "\"\r\n") {
			return out, errors.New("invalid dialect: the delimiter is one character, and neither a quote nor the end of a line")
		}
		out.Delimiter = d.Delimiter[0]
	}
	for _, a := range d.Annotations {
		if !out.Annotate(a) {
			return out, fmt.Errorf("invalid dialect: there is no annotation %q; use group, datatype, default", a)
		}
	}
	if d.CommentPrefix != nil {
		out.CommentPrefix = *d.CommentPrefix
	}
	switch d.DateTimeFormat {
	case "", "RFC3339", "RFC3339Nano":
	default:
		return out, fmt.Errorf("invalid dialect: unknown date/time format %q; use RFC3339 or RFC3339Nano", d.DateTimeFormat)
	}
	return out, nil
}

// maxScriptBytes bounds a body. Scripts that carry data in them, as tests of
// Flux do, have some hundred KiB.
const maxScriptBytes = 8 << 20

// readFlux reads the body of a query: JSON, or the script itself.
func readFlux(r *http.Request) (*fluxRequest, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxScriptBytes+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(text) > maxScriptBytes {
		return nil, &Error{Code: TooLarge, Message: fmt.Sprintf("the script is longer than %d MiB", maxScriptBytes>>20)}
	}
	var req fluxRequest
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/vnd.flux" {
		req.Query = string(text)
		return &req, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&req); err != nil {
		return nil, &Error{Code: Invalid, Message: "failed to decode request body: " + err.Error(), Err: err}
	}
	return &req, nil
}

// fluxQuery is POST /api/v2/query.
func (a *API) fluxQuery(w http.ResponseWriter, r *http.Request) error {
	who, err := a.principal(r, headerOnly)
	if err != nil {
		return err
	}
	org, err := a.fluxOrg(r, who)
	if err != nil {
		return err
	}
	req, err := readFlux(r)
	if err != nil {
		return err
	}
	if req.Type != "" && req.Type != "flux" {
		return &Error{Code: Invalid, Message: fmt.Sprintf("unknown query type %q; this port answers flux", req.Type)}
	}
	if strings.TrimSpace(req.Query) == "" && absent(req.AST) {
		return &Error{Code: Invalid, Message: "query body requires either query or AST"}
	}
	dialect, err := req.Dialect.csv()
	if err != nil {
		return &Error{Code: Invalid, Message: err.Error(), Err: err}
	}
	script, err := req.script()
	if err != nil {
		return &Error{Code: Invalid, Message: "compilation failed: " + err.Error(), Err: err}
	}
	q, host := a.scripts.Begin(query.WithAsker(r.Context(), who.Name), who, org)
	defer q.Close()
	now := a.now()
	if req.Now != nil {
		now = *req.Now
	}
	run, err := script.Run(q.Context(), flux.Options{Memory: q, Host: host, Now: now, Params: req.Params, Rewrite: pushdown.Rewrite})
	if err != nil {
		return a.fluxError(q, err)
	}
	defer run.Close()
	if req.Explain {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, err := io.WriteString(w, run.Explain()+"\n")
		return err
	}
	if run.Results() == 0 {
		// As InfluxDB has it, so that nobody looks for data in an empty answer.
		return &Error{Code: Invalid, Message: `this Flux script returns no streaming data. Consider adding a "yield" or invoking streaming functions directly, without performing an assignment`}
	}
	if strings.HasPrefix(r.Header.Get("Prefer"), "return-no-content") {
		if err := results(run, anncsv.NewEncoder(io.Discard, dialect)); err != nil {
			return a.fluxError(q, err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	out := a.newLateWriter(w, r)
	defer out.release()
	enc := anncsv.NewEncoder(out, dialect)
	if err = results(run, enc); err == nil {
		return out.Close()
	}
	if !out.begun {
		return a.fluxError(q, err)
	}
	// The client has a part of the answer: the rest of it says why there is no
	// more.
	shown, expected := describe(a.fluxError(q, err))
	if !expected {
		a.log.ErrorContext(r.Context(), "a script failed", "error", err)
	}
	if err := enc.Fail(shown); err != nil {
		return err
	}
	return out.Close()
}

// results writes the results of a script.
func results(run *flux.Execution, enc *anncsv.Encoder) error {
	for run.Next() {
		name, tables := run.Result()
		if err := enc.Begin(name); err != nil {
			return err
		}
		for {
			t, err := tables.Next()
			if err != nil {
				return err
			}
			if t == nil {
				break
			}
			if err := enc.Table(t); err != nil {
				return err
			}
		}
		if err := enc.End(); err != nil {
			return err
		}
	}
	return run.Err()
}

// script parses the script of a request.
func (req *fluxRequest) script() (*flux.Script, error) {
	var before []*syntax.File
	if !absent(req.Extern) {
		extern, err := syntax.ParseJSON(req.Extern)
		if err != nil {
			return nil, fmt.Errorf("extern: %w", err)
		}
		before = append(before, extern)
	}
	if strings.TrimSpace(req.Query) == "" {
		tree, err := syntax.ParseJSON(req.AST)
		if err != nil {
			return nil, fmt.Errorf("ast: %w", err)
		}
		before = append(before, tree)
	}
	return flux.Parse(req.Query, before...)
}

// absent reports whether a part of a body is not there.
func absent(part json.RawMessage) bool { return len(part) == 0 || string(part) == "null" }

// fluxOrg returns the organisation in which a script runs. Whether another one is
// there is told to those only who may see something of it.
func (a *API) fluxOrg(r *http.Request, who Principal) (uint64, error) {
	p := r.URL.Query()
	for _, name := range []string{"org", "orgID"} {
		ref := p.Get(name)
		if ref == "" {
			continue
		}
		org, err := a.org(ref)
		if err == nil && org != who.Org && !who.Rights.MaySee(org) {
			err = noOrg(ref)
		}
		return org, err
	}
	return who.Org, nil
}

// fluxError puts an error of a script into the words of the API. What a script
// does wrong is found while it runs, so that everything that is not the
// server's fault is the script's.
func (a *API) fluxError(q Question, err error) error {
	if q.Context().Err() != nil {
		if cause := context.Cause(q.Context()); !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	if mapped := a.scripts.ReadError(err); mapped != nil {
		return mapped
	}
	return &Error{Code: Invalid, Message: err.Error(), Err: err}
}
