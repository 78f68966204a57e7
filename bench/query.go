package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// QueryReport is the outcome of RunQuery.
type QueryReport struct {
	Shapes []ShapeReport `json:"shapes"`
}

// ShapeReport is the outcome of one shape at one server.
type ShapeReport struct {
	Shape Shape    `json:"shape"`
	URL   string   `json:"url"`
	API   QueryAPI `json:"api"`
	// Queries is the number of timed questions; Latency runs from the
	// question to the last byte of the answer.
	Queries int64   `json:"queries"`
	Latency Latency `json:"latency"`
	// AnswerBytes is the mean size of an answer, Values and Groups what the
	// first compared one held.
	AnswerBytes float64 `json:"answer_bytes"`
	Values      int     `json:"values"`
	Groups      int     `json:"groups"`
	// Agrees says whether all compared answers equal those of the first
	// server in groups, number of values, and values to 1e-9. Trouble is the
	// first difference, or why there is no answer.
	Agrees  bool   `json:"agrees"`
	Trouble string `json:"trouble,omitempty"`
}

// RunQuery asks every shape of every server, compares the answers, and writes
// the report to out. A server that cannot answer a shape is reported and does
// not end the run; RunQuery returns an error when no question was answered,
// an answer differs, or ctx ended.
func RunQuery(ctx context.Context, cfg QueryConfig, out io.Writer) (QueryReport, error) {
	if err := cfg.Validate(); err != nil {
		return QueryReport{}, err
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: cfg.Clients,
		DisableCompression:  true, // the size of answers as they are
	}
	defer transport.CloseIdleConnections()
	a := asker{cfg: cfg, client: &http.Client{Transport: transport, Timeout: cfg.RequestTimeout}}
	var r QueryReport
	answered, differs := false, ""
	for _, shape := range cfg.Shapes {
		var first [][]cell
		for i, t := range cfg.Targets {
			s := ShapeReport{Shape: shape, URL: t.URL, API: t.API}
			answers, err := a.run(ctx, t, &s)
			if ctx.Err() != nil {
				return r, fmt.Errorf("bench query: %w", ctx.Err())
			}
			if err != nil {
				s.Trouble = err.Error()
			} else {
				answered = true
				s.Agrees = true
				for k := range answers {
					if first == nil {
						break // the first server has no answer to compare with
					}
					if d := difference(first[k], answers[k]); d != "" {
						s.Agrees, s.Trouble = false, d
						differs = fmt.Sprintf("%s answers %s differently: %s", t.API, shape, d)
						break
					}
				}
			}
			if i == 0 {
				first = answers
			}
			r.Shapes = append(r.Shapes, s)
		}
	}
	var err error
	if cfg.JSON {
		err = writeJSON(out, r)
	} else {
		err = r.WriteText(out)
	}
	switch {
	case err != nil:
		return r, err
	case !answered:
		return r, fmt.Errorf("bench query: no question was answered: %s", r.Shapes[0].Trouble)
	case differs != "":
		return r, fmt.Errorf("bench query: %s", differs)
	}
	return r, nil
}

// asker puts questions.
type asker struct {
	cfg    QueryConfig
	client *http.Client
}

// run compares, warms up and times one shape at one server. It returns the
// cells of the answers to compare, sorted or not.
func (a asker) run(ctx context.Context, t QueryTarget, s *ShapeReport) ([][]cell, error) {
	d := dialectOf(t.API)
	answers := make([][]cell, a.cfg.Check)
	for k := range answers {
		q := a.cfg.ask(s.Shape, k)
		text, err := a.answer(ctx, t, d, q)
		if err != nil {
			return nil, err
		}
		if answers[k], err = d.cells(q, text); err != nil {
			return nil, err
		}
	}
	if a.cfg.Check > 0 {
		difference(answers[0], nil) // sorts
		s.Values, s.Groups = len(answers[0]), groups(answers[0])
	}
	end := time.Now().Add(a.cfg.TimeLimit)
	for k := 0; k < a.cfg.Warm && time.Now().Before(end); k++ {
		if _, err := a.answer(ctx, t, d, a.cfg.ask(s.Shape, a.cfg.Check+k)); err != nil {
			return nil, err
		}
	}
	return answers, a.time(ctx, t, d, s, time.Now().Add(a.cfg.TimeLimit))
}

// time puts questions from several clients at once until enough are answered
// or the time is over.
func (a asker) time(ctx context.Context, t QueryTarget, d dialect, s *ShapeReport, end time.Time) error {
	var next atomic.Int64
	results := make([]timed, a.cfg.Clients)
	var asking sync.WaitGroup
	for i := range results {
		asking.Go(func() {
			r := &results[i]
			for r.err == nil {
				n := int(next.Add(1)) - 1
				if n >= a.cfg.Repeat || n > 0 && time.Now().After(end) {
					return
				}
				// Questions are numbered on behind those of the warming up: none is
				// put twice.
				r.err = a.measure(ctx, t, d, a.cfg.ask(s.Shape, a.cfg.Check+a.cfg.Warm+n), r)
			}
		})
	}
	asking.Wait()
	var all Histogram
	var size int64
	var errs []error
	for i := range results {
		all.Merge(&results[i].latency)
		size += results[i].bytes
		errs = append(errs, results[i].err)
	}
	s.Queries = int64(all.Count())
	s.Latency = all.Latency()
	s.AnswerBytes = ratio(float64(size), float64(s.Queries))
	return errors.Join(errs...)
}

// timed is what one client measured.
type timed struct {
	latency Histogram
	bytes   int64
	err     error
}

func (a asker) measure(ctx context.Context, t QueryTarget, d dialect, q question, to *timed) error {
	r, err := d.request(t, q)
	if err != nil {
		return err
	}
	began := time.Now()
	n, err := a.read(r.WithContext(ctx), io.Discard)
	if err != nil {
		return err
	}
	to.latency.Add(time.Since(began))
	to.bytes += n
	return nil
}

// answer puts a question and returns the answer's text.
func (a asker) answer(ctx context.Context, t QueryTarget, d dialect, q question) ([]byte, error) {
	r, err := d.request(t, q)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if _, err := a.read(r.WithContext(ctx), &text); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// read sends a request and copies the answer.
func (a asker) read(r *http.Request, to io.Writer) (int64, error) {
	resp, err := a.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := message(resp.Body)
		if err != nil {
			return 0, fmt.Errorf("read answer: %w", err)
		}
		return 0, errors.New(reason(answer{status: resp.StatusCode, message: text}, nil))
	}
	n, err := io.Copy(to, resp.Body)
	if err != nil {
		return n, fmt.Errorf("read answer: %w", err)
	}
	return n, nil
}

// WriteText writes the report for people.
func (r QueryReport) WriteText(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "shape\tserver\tp50 ms\tp90 ms\tp99 ms\tqueries\tvalues\tanswer bytes\tagrees")
	for _, s := range r.Shapes {
		verdict := "yes"
		if !s.Agrees {
			verdict = "NO"
		}
		if s.Trouble != "" {
			verdict += ": " + s.Trouble
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%.2f\t%d\t%s\t%s\t%s\n", s.Shape, s.API,
			s.Latency.P50, s.Latency.P90, s.Latency.P99, s.Queries, grouped(float64(s.Values)), grouped(s.AnswerBytes), verdict)
	}
	return t.Flush()
}
