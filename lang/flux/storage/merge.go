package storage

import (
	"bytes"
	"errors"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// compareKeys orders series as the store does.
func compareKeys(a, b []byte) int { return bytes.Compare(a, b) }

// reader returns the tables of some parts. Those of one measurement run side by
// side, measurements one after another.
func (s *source) reader(parts []*plan.Plan) *reader { return &reader{source: s, parts: parts} }

type reader struct {
	source  *source
	parts   []*plan.Plan // not opened so far
	streams []*stream    // of the present measurement
	heads   []head
}

// head is the next item of a stream.
type head struct {
	item
	stream *stream
}

// Next implements table.Reader.
func (r *reader) Next() (*table.Table, error) {
	for len(r.heads) == 0 {
		r.closeStreams()
		if len(r.parts) == 0 {
			return nil, nil
		}
		if err := r.open(); err != nil {
			return nil, err
		}
	}
	least := 0
	for i := 1; i < len(r.heads); i++ {
		if r.heads[i].before(&r.heads[least].item) {
			least = i
		}
	}
	t := r.heads[least].table
	if err := r.advance(least); err != nil {
		return nil, err
	}
	return t, nil
}

// advance reads the next item of a stream.
func (r *reader) advance(i int) error {
	next, ok, err := r.heads[i].stream.next()
	switch {
	case err != nil:
		return err
	case ok:
		r.heads[i].item = next
	default:
		r.heads = slices.Delete(r.heads, i, i+1)
	}
	return nil
}

// open begins the parts of the next measurement.
func (r *reader) open() error {
	n := 1
	for n < len(r.parts) && slices.Equal(r.parts[n].Measurements, r.parts[0].Measurements) {
		n++
	}
	now := r.parts[:n]
	r.parts = r.parts[n:]
	for _, q := range now {
		a, err := r.source.host.Run(q)
		if err != nil {
			return err
		}
		r.streams = append(r.streams, &stream{answer: a, parser: r.source.parser(q)})
	}
	for _, s := range r.streams {
		r.heads = append(r.heads, head{stream: s})
	}
	for i := len(r.heads) - 1; i >= 0; i-- {
		if err := r.advance(i); err != nil {
			return err
		}
	}
	return nil
}

// parser returns what makes tables of the batches of a part.
func (s *source) parser(q *plan.Plan) parser {
	p := s.plan
	switch {
	case p.Aggregate != nil:
		return newWindows(s.run, p, q)
	case p.Rows.Wide:
		return &wide{layout: newLayout(p)}
	}
	return newNarrow(s.run, p)
}

func (r *reader) closeStreams() {
	for _, s := range r.streams {
		s.close()
	}
	r.streams, r.heads = nil, nil
}

// Close implements table.Reader.
func (r *reader) Close() {
	r.closeStreams()
	r.parts = nil
}

// either runs another graph if the first table cannot be had because a field is
// of a type that the plan cannot be applied to.
type either struct {
	table.Reader
	run       *flow.Run
	otherwise *flow.Node
	begun     bool
}

// Next implements table.Reader.
func (e *either) Next() (*table.Table, error) {
	t, err := e.Reader.Next()
	var wrong *scan.PlanError
	if e.begun || !errors.As(err, &wrong) {
		e.begun = true
		return t, err
	}
	e.begun = true
	e.Reader.Close()
	in, err := e.run.Open(e.otherwise)
	if err != nil {
		e.Reader = table.NewList()
		return nil, err
	}
	e.Reader = in
	return in.Next()
}
