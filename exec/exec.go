// Package exec runs plans: a scan, and above it the few operators that see
// more than one series of one measurement at a time. The query driver calls
// Run; languages that need more work on the batches that it returns.
//
// A Result belongs to one goroutine.
package exec

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// operator is one step of the execution. It reads the batches of the one
// below it.
type operator interface {
	// next returns the next batch, nil at the end, valid until the next call.
	next() (*scan.Batch, error)
	// explain says in a line what the operator does, and what it did so far.
	explain() string
}

// Result is the answer to a plan, batch by batch.
type Result struct {
	plan *plan.Plan
	cfg  scan.Config
	open func(*plan.Plan) (*scan.Scan, error)

	scan   *scan.Scan
	steps  []*step // the last one first
	budget *held
}

// Run begins to execute a plan over the snapshots of all shards, which stay
// open until the result is closed. It stops when ctx ends.
func Run(ctx context.Context, p *plan.Plan, snaps []scan.Snapshot, cfg scan.Config) (*Result, error) {
	return start(p, cfg, func(pushed *plan.Plan) (*scan.Scan, error) { return scan.Open(ctx, pushed, snaps, cfg) })
}

// Merge begins to return the result of an aggregate from the partial results
// of all nodes that hold some of its series.
func Merge(ctx context.Context, p *plan.Plan, parts []*scan.Partial, cfg scan.Config) (*Result, error) {
	return start(p, cfg, func(pushed *plan.Plan) (*scan.Scan, error) { return scan.Merge(ctx, pushed, parts, cfg) })
}

func start(p *plan.Plan, cfg scan.Config, open func(*plan.Plan) (*scan.Scan, error)) (*Result, error) {
	r := &Result{plan: p, cfg: cfg, open: open}
	if err := r.Restart(); err != nil {
		return nil, err
	}
	return r, nil
}

// Restart goes back to the first batch: the same snapshots give the same
// answer again.
func (r *Result) Restart() error {
	r.Close()
	below, err := r.open(r.pushed())
	if err != nil {
		return fmt.Errorf("run plan: %w", err)
	}
	r.scan, r.budget, r.steps = below, &held{memory: r.cfg.Memory}, nil
	top := r.push(&source{below})
	merged := r.plan.Rows != nil && r.plan.Rows.Merged
	if merged {
		top = r.push(&mergeByTime{below: top, desc: r.plan.Desc, budget: r.budget})
		if !r.plan.Each.All() {
			top = r.push(&eachPage{below: top, page: r.plan.Each})
		}
	}
	if !r.plan.Groups.All() {
		top = r.push(&groupPage{below: top, page: r.plan.Groups, measurements: merged || r.plan.List != nil})
	}
	if !r.plan.Total.All() {
		r.push(&totalPage{below: top, page: r.plan.Total})
	}
	return nil
}

// pushed returns the plan of the scan, which knows series and nothing above.
func (r *Result) pushed() *plan.Plan {
	if r.plan.Rows == nil || !r.plan.Rows.Merged {
		return r.plan
	}
	p := *r.plan
	// Of each series only the first rows can be among the first of all.
	p.Each = plan.Page{}
	if end := r.plan.Each.End(); end > 0 {
		p.Each.Limit = end
	} else if end := r.plan.Total.End(); end > 0 && r.plan.Each.All() && r.plan.Groups.All() {
		p.Each.Limit = end
	}
	return &p
}

func (r *Result) push(o operator) *step {
	s := &step{operator: o}
	r.steps = append([]*step{s}, r.steps...)
	return s
}

// Next returns the next batch, nil at the end. It is valid until the next
// call.
func (r *Result) Next() (*scan.Batch, error) {
	b, err := r.steps[0].next()
	if err != nil {
		return nil, fmt.Errorf("run plan: %w", err)
	}
	return b, nil
}

// Stats returns what the scan did so far.
func (r *Result) Stats() scan.Stats { return r.scan.Stats() }

// Explain says what is done, an operator a line, the last one first, and what
// each has returned so far and the time that it and those below it took.
func (r *Result) Explain() string {
	var b strings.Builder
	for i, s := range r.steps {
		fmt.Fprintf(&b, "%s%s (%d rows in %d batches, %s)\n", strings.Repeat("  ", i), s.explain(), s.rows, s.batches, s.took.Round(time.Microsecond))
	}
	indent := strings.Repeat("  ", len(r.steps))
	for _, line := range strings.Split(r.pushed().String(), "\n") {
		fmt.Fprintf(&b, "%s%s\n", indent, line)
	}
	return b.String()
}

// Close stops the work and gives memory back.
func (r *Result) Close() {
	if r.scan != nil {
		r.scan.Close()
		r.budget.release()
	}
}

// step is an operator and the count of what it returned.
type step struct {
	operator
	rows, batches int64
	took          time.Duration
}

func (s *step) next() (*scan.Batch, error) {
	start := time.Now()
	b, err := s.operator.next()
	s.took += time.Since(start)
	if b != nil {
		s.batches++
		s.rows += int64(b.Rows())
	}
	return b, err
}

// source is the scan as an operator.
type source struct{ scan *scan.Scan }

func (s *source) next() (*scan.Batch, error) { return s.scan.Next() }
func (s *source) explain() string            { return "scan: " + s.scan.Stats().String() }

// held is the memory that operators keep.
type held struct {
	memory scan.Memory // nil: no limit
	bytes  int64
}

func (h *held) reserve(n int64) error {
	if h.memory == nil {
		return nil
	}
	if err := h.memory.Reserve(n); err != nil {
		return err
	}
	h.bytes += n
	return nil
}

func (h *held) release() {
	if h.memory != nil && h.bytes > 0 {
		h.memory.Release(h.bytes)
		h.bytes = 0
	}
}
