package clienttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fault is how the proxy answers a write instead of the server.
type fault struct {
	Status     int // 0: the connection is closed without an answer
	RetryAfter int // seconds, 0 for no such header
	// Stored passes the write on before the fault, as when an answer is lost;
	// both are exchanges then.
	Stored bool
}

// exchange is a request that passed, as tests look at it.
type exchange struct {
	Method, Path    string
	Query           string
	ContentType     string
	ContentEncoding string // of the request
	AcceptEncoding  string
	Status          int    // 0: the connection was closed
	AnswerEncoding  string // Content-Encoding of the answer
}

// proxy stands before a server. Clients talk to it as to the server; tests ask
// it for faults and for what it saw:
//
//	POST /proxy/faults    [{"Status": 503, "RetryAfter": 1}, …]: the next writes
//	                      are answered like that, one by one
//	GET  /proxy/exchanges what passed since the last time that this was asked
//	POST /proxy/restart   kills the server, which comes back a little later
type proxy struct {
	server  *httputil.ReverseProxy
	restart func()

	mu        sync.Mutex // guards what follows
	faults    []fault
	exchanges []exchange
}

// startProxy returns the address of a proxy before a server.
func startProxy(t *testing.T, to *server) string {
	t.Helper()
	u, err := url.Parse(to.url)
	if err != nil {
		t.Fatal(err)
	}
	var restarts sync.WaitGroup
	p := &proxy{restart: func() { to.restart(t, &restarts) }}
	p.server = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) },
		// Without this a client that asks for no compression would be given
		// what the proxy asked for.
		Transport: &http.Transport{DisableCompression: true},
		ModifyResponse: func(r *http.Response) error {
			e := seen(r.Request)
			e.Status, e.AnswerEncoding = r.StatusCode, r.Header.Get("Content-Encoding")
			p.note(e)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) { // no server is there
			e := seen(r)
			e.Status = http.StatusBadGateway
			p.note(e)
			answerFault(w, fault{Status: e.Status})
		},
	}
	s := httptest.NewServer(p)
	t.Cleanup(restarts.Wait)
	t.Cleanup(s.Close)
	return s.URL
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/proxy/faults":
		p.setFaults(w, r)
	case "/proxy/exchanges":
		p.mu.Lock()
		seen := append([]exchange{}, p.exchanges...)
		p.exchanges = nil
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(seen)
	case "/proxy/restart":
		p.restart()
		w.WriteHeader(http.StatusNoContent)
	default:
		p.pass(w, r)
	}
}

func (p *proxy) setFaults(w http.ResponseWriter, r *http.Request) {
	var f []fault
	if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.faults = f
	p.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (p *proxy) pass(w http.ResponseWriter, r *http.Request) {
	// All of the body first: as soon as an answer passes, the proxy's server
	// closes what is left of the request, even if that is its end only, and the
	// connection behind it would break.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		answerFault(w, fault{})
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f, ok := p.nextFault(r.URL.Path)
	if !ok {
		p.server.ServeHTTP(w, r)
		return
	}
	if f.Stored {
		p.server.ServeHTTP(httptest.NewRecorder(), r)
	}
	e := seen(r)
	e.Status = f.Status
	p.note(e)
	answerFault(w, f)
}

// seen describes a request.
func seen(r *http.Request) exchange {
	return exchange{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		ContentType: r.Header.Get("Content-Type"), ContentEncoding: r.Header.Get("Content-Encoding"),
		AcceptEncoding: r.Header.Get("Accept-Encoding"),
	}
}

func (p *proxy) nextFault(path string) (fault, bool) {
	if !strings.HasSuffix(path, "/write") {
		return fault{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) == 0 {
		return fault{}, false
	}
	f := p.faults[0]
	p.faults = p.faults[1:]
	return f, true
}

func (p *proxy) note(e exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges = append(p.exchanges, e)
}

func answerFault(w http.ResponseWriter, f fault) {
	if f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(f.Status)
	fmt.Fprintf(w, `{"code":"unavailable","message":"the proxy of the test says %d"}`, f.Status)
}
