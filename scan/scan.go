// Package scan executes plans over snapshots of shards: it finds the runs that
// can hold rows in question, reads only the columns that are needed, merges
// runs that overlap, and condenses rows where they lie. The query driver uses
// it through exec, which puts what belongs above the series of one
// measurement on top.
//
// # A scan, step by step
//
//  1. for each measurement, ask every snapshot for its runs in the range; leave
//     out those without one of the fields (source.go).
//  2. choose the series of each run by postings and cut their order of keys
//     into units of work (unit.go).
//  3. workers take units in order. A worker walks the keys of all runs side by
//     side; for each series it merges the runs that have it (stream.go) and
//     applies the condition on values (filter.go).
//  4. rows go into batches (rows.go), or values into one meter for each
//     function, by window (meter.go, windows.go), and from there into groups
//     (aggregate.go). Where a plan wants nothing but the last values, workers
//     walk back in time with the series that have none so far (last.go).
//  5. batches are handed out in the order of the units (pipeline.go).
//
// # Invariants
//
//   - Of two inputs that overlap in time the later in the list overwrites the
//     earlier; series of different snapshots are disjoint.
//   - What a summary answers, its rows would have answered: the window covers
//     the span, no other input can have rows there, no tombstone touches it and
//     there is no condition.
//   - The result does not depend on the number of workers: units are cut by
//     the data alone and their states are merged in order.
//
// Rejected: a source of rows for each (series, run, partition) with slices of
// time cut beforehand. It seeks too often where runs overlap a little, as
// flushes of the same minute do; a bound below which a source cannot have rows
// finds the same stretches as it goes.
//
// A Scan belongs to one goroutine; its workers are its own.
package scan

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/trace"
)

// Snapshot is a consistent state of one shard.
type Snapshot interface {
	// Runs returns what may hold rows of a measurement with
	// min <= time <= max. Of runs that overlap in time the later in the slice
	// overwrites the earlier.
	Runs(bucket uint64, measurement string, min, max int64) ([]shard.Input, error)
	// Measurements returns the measurements that may have such rows.
	Measurements(bucket uint64, min, max int64) ([]string, error)
}

var _ Snapshot = (*shard.Snapshot)(nil)

// Memory is what a scan reserves memory from before it keeps anything that
// grows with the data.
type Memory interface {
	Reserve(bytes int64) error
	Release(bytes int64)
}

// Config sets how a scan works. The zero Config uses all processors and
// memory without a limit.
type Config struct {
	Parallel int    // workers; 0: one for each processor
	Memory   Memory // nil: no limit
}

// Scan is the execution of one plan.
type Scan struct {
	ctx    context.Context
	plan   *plan.Plan
	snaps  []Snapshot
	cfg    Config
	budget *budget
	stats  Stats

	first, last  int64
	measurements []string
	listed       bool // measurements is set
	feed         *pipeline
	out          []*Batch // that are ready
	held         int64    // reserved for the batch that was handed out last
	err          error
	partial      *[]*groups // where states go instead of batches; nil: batches are wanted
	span         *trace.Span
}

// Open begins the execution of a plan, which is not changed until Close. It
// stops when ctx ends.
func Open(ctx context.Context, p *plan.Plan, snaps []Snapshot, cfg Config) (*Scan, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = runtime.GOMAXPROCS(0)
	}
	ctx, span := trace.Start(ctx, "scan")
	s := &Scan{ctx: ctx, plan: p, snaps: snaps, cfg: cfg, budget: newBudget(cfg.Memory), span: span}
	s.first, s.last = p.Bounds()
	return s, nil
}

// Next returns the next batch, nil at the end. The scan does not touch it
// again, but counts its memory as given back at the next call. After an error
// there is nothing more.
func (s *Scan) Next() (*Batch, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.budget.release(s.held)
	s.held = 0
	b, err := s.next()
	if err != nil {
		s.err = err
		return nil, err
	}
	if b != nil {
		s.held = b.reserved
		s.stats.Groups += int64(len(b.Groups))
		s.stats.RowsReturned += int64(b.Rows())
	}
	return b, nil
}

func (s *Scan) next() (*Batch, error) {
	if !s.listed {
		if err := s.list(); err != nil {
			return nil, err
		}
	}
	for {
		if len(s.out) > 0 {
			b := s.out[0]
			s.out = s.out[1:]
			return b, nil
		}
		if s.feed != nil {
			b, err := s.feed.next()
			if b != nil || err != nil {
				return b, err
			}
			s.feed = nil
		}
		if len(s.measurements) == 0 {
			return nil, nil
		}
		m := s.measurements[0]
		s.measurements = s.measurements[1:]
		if err := s.open(m); err != nil {
			return nil, fmt.Errorf("scan %q: %w", m, err)
		}
	}
}

// list finds the measurements in question, ascending.
func (s *Scan) list() error {
	s.listed = true
	if s.first > s.last {
		return nil
	}
	if len(s.plan.Measurements) > 0 {
		s.measurements = slices.Clone(s.plan.Measurements)
	} else {
		for _, snap := range s.snaps {
			names, err := snap.Measurements(s.plan.Bucket, s.first, s.last)
			if err != nil {
				return fmt.Errorf("list measurements: %w", err)
			}
			s.measurements = append(s.measurements, names...)
		}
	}
	slices.Sort(s.measurements)
	s.measurements = slices.Compact(s.measurements)
	return nil
}

// open begins the work on a measurement.
func (s *Scan) open(measurement string) error {
	src, err := s.source(measurement)
	if err != nil || src == nil {
		return err
	}
	switch {
	case s.plan.Rows != nil:
		return s.openRows(src)
	case s.plan.Aggregate != nil:
		return s.openAggregate(src)
	}
	return s.openList(src)
}

// Stats returns what was done so far. It is complete once Next returned the
// end or Close was called.
func (s *Scan) Stats() Stats { return s.stats }

// Close stops all work and gives memory back.
func (s *Scan) Close() {
	if s.feed != nil {
		s.feed.stop()
		s.feed = nil
	}
	s.measurements, s.out, s.listed = nil, nil, true
	s.budget.releaseAll()
	if s.span != nil {
		s.stats.note(s.span)
		s.span.End(s.err)
		s.span = nil
	}
}
