package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/trace"
)

// Piece is some rows of one series or group: a part of an answer.
type Piece struct {
	Measurement string
	Tags        []byte   // a series key
	Fields      []string // names of the columns of Rows
	Rows        column.Rows
	// Overflow has an entry for each column of Rows: nil, or of which rows an
	// integer result left 64 bits and the value is what wrapping around leaves.
	Overflow [][]bool
}

// overflows reports whether the value in a row of a column is not the true one.
func (p *Piece) overflows(col, row int) bool {
	return len(p.Overflow) > 0 && p.Overflow[col] != nil && p.Overflow[col][row]
}

// Querier answers plans: package query.
type Querier interface {
	// Query calls emit with each piece of the answer, in order, and returns
	// an account of what was pruned and read, with an error too. A piece is
	// valid until emit returns; an error of emit ends the query and is
	// returned.
	Query(ctx context.Context, p *plan.Plan, emit func(*Piece) error) (explain string, err error)
	// List returns the names that a plan with a List asks for, ascending.
	List(ctx context.Context, p *plan.Plan) ([]Name, error)
}

// Name is one name of a list.
type Name struct {
	Name string
	Type string // of a field's values; empty for other names
}

// errEnough ends a query whose answer has as many values as were asked for.
var errEnough = errors.New("the answer is complete")

// query is POST /query of the service port.
func (a *API) query(w http.ResponseWriter, r *http.Request) error {
	who, err := a.servicePrincipal(r)
	if err != nil {
		return err
	}
	var req queryRequest
	if err := readRequest(r, &req); err != nil {
		return err
	}
	t, err := a.readable(who, r.URL.Query().Get("org"), req.Bucket)
	if err != nil {
		return err
	}
	p, err := req.plan(t.bucket, a.now())
	if err != nil {
		return &Error{Code: Invalid, Message: err.Error(), Err: err}
	}
	out := newAnswer(w, req.Limit)
	out.span = trace.Of(r.Context())
	explain, err := a.querier.Query(query.WithAsker(r.Context(), who.Name), p, out.add)
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	a.metrics.rows.Add(float64(out.count))
	if !req.Explain {
		explain = ""
	}
	return out.end(explain)
}

// readable finds the bucket that a question is about.
func (a *API) readable(who Principal, org, bucket string) (target, error) {
	t, err := a.find(who, org, bucket)
	if err != nil {
		return t, err
	}
	if !who.Rights.MayRead(t.bucket) {
		// Not 403: who may not read a bucket does not learn that it is there.
		return t, &Error{Code: NotFound, Message: fmt.Sprintf("bucket %q not found", bucket)}
	}
	return t, nil
}

// list answers GET requests for names: measurements, tag keys, fields, tag
// values. The parameters start, stop, bucket and measurement narrow it.
func (a *API) list(what plan.List) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := a.servicePrincipal(r)
		if err != nil {
			return err
		}
		q := r.URL.Query()
		t, err := a.readable(who, q.Get("org"), q.Get("bucket"))
		if err != nil {
			return err
		}
		start, stop := int64(column.MinTime), int64(column.MaxTime)
		for _, bound := range []struct {
			name string
			at   *int64
		}{{"start", &start}, {"stop", &stop}} {
			if text := q.Get(bound.name); text != "" {
				if *bound.at, err = instant(text).nanos(a.now()); err != nil {
					return &Error{Code: Invalid, Message: bound.name + ": " + err.Error(), Err: err}
				}
			}
		}
		p := plan.New(t.bucket, start, stop)
		l := what
		if l.What == plan.TagValues {
			l.Tag = r.PathValue("tag")
		} else if m := r.PathValue("measurement"); m != "" {
			p.Measurements = []string{m}
		}
		if m := q.Get("measurement"); m != "" {
			p.Measurements = []string{m}
		}
		p.List = &l
		if err := p.Validate(); err != nil {
			return &Error{Code: Invalid, Message: err.Error(), Err: err}
		}
		names, err := a.querier.List(query.WithAsker(r.Context(), who.Name), p)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, newNamesAnswer(names))
	}
}

// namesAnswer is a list of names.
type namesAnswer struct {
	Status string   `json:"status" enum:"success"`
	Data   []string `json:"data" nullable:"false" doc:"ascending"`
	Count  int      `json:"count"`
	// Types stands beside the names, because clients expect a list of strings.
	Types map[string]string `json:"types,omitempty" doc:"of a list of fields: the type of each, float, integer, unsigned, string or boolean"`
}

func newNamesAnswer(names []Name) namesAnswer {
	a := namesAnswer{Status: "success", Data: make([]string, len(names)), Count: len(names)}
	for i, n := range names {
		a.Data[i] = n.Name
		if n.Type != "" {
			if a.Types == nil {
				a.Types = make(map[string]string, len(names))
			}
			a.Types[n.Name] = n.Type
		}
	}
	return a
}

// tagValues is a value of a tag, or a list of them of which one must hold.
type tagValues []string

// UnmarshalJSON takes a string or a list of strings.
func (v *tagValues) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*v = make(tagValues, 1)
		return json.Unmarshal(b, &(*v)[0])
	}
	if err := json.Unmarshal(b, (*[]string)(v)); err != nil || *v == nil {
		return fmt.Errorf("a filter is a string or a list of strings, not %s", b)
	}
	return nil
}
