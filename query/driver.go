// Package query is the read driver: between a language or an API, which knows
// what is asked, and exec, which carries a plan out. Whoever has a plan to run
// asks it of a Driver; httpapi's questions come by way of server.
//
//	q := driver.Begin(ctx)
//	defer q.Close()
//	a, err := q.Run(p)
//	for {
//		b, err := a.Next() // nil at the end
//	}
//
// A Question is all that one client wants to know at once: one plan, or the
// many that a script makes. It has one place among those that run, one limit
// of memory, one deadline, and one line in the log if it was slow.
// Driver.Run is the short form for a single plan.
//
// A plan goes:
//
//  1. It is clipped to what its bucket keeps (retention.go).
//  2. The present state of every shard is pinned. If the same plan was answered
//     over the same state before, and the answer was kept, that is the answer
//     (results.go).
//  3. The question takes a place, unless it has one. If none is free it lets go
//     of what it pinned, waits, and does step 2 again: who waits holds nothing
//     (admission.go).
//  4. exec runs it. What it keeps is reserved from the question's allowance,
//     and through it from the pool of all questions (allowance.go).
//  5. A small answer that is read to its end is kept.
//
// Closing a question ends its answers, gives back its memory, the pinned
// state and its place, in this order: a place that is free has memory to go
// with it.
//
// A Driver is safe for concurrent use, and so is Question.Run. An Answer
// belongs to one goroutine. Close is called when no answer is in use any
// more. The package starts no goroutine.
package query

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/shard"
)

// Snapshot is a consistent state of one shard.
type Snapshot interface {
	scan.Snapshot
	// Fingerprint stands for the rows of a measurement with min <= time <= max:
	// a change of them changes it.
	Fingerprint(bucket uint64, measurement string, min, max int64) shard.Fingerprint
}

var _ Snapshot = (*shard.Snapshot)(nil)

// Store is where the rows are: the shards of this machine.
type Store interface {
	// Snapshots pins the present state of every shard until release is called.
	Snapshots() (all []Snapshot, release func(), err error)
}

// Buckets knows what buckets keep: package meta.
type Buckets interface {
	// Horizon returns the oldest time that a bucket keeps at present, in
	// nanoseconds since 1970; false if there is no such bucket.
	Horizon(bucket uint64) (at int64, ok bool)
}

// Memory is the pool that all questions share: a memory.Pool.
type Memory interface {
	scan.Memory
	Stats() memory.PoolStats
}

// Parts is what a Driver stands on.
type Parts struct {
	Store    Store
	Buckets  Buckets
	Memory   Memory
	Results  *ResultCache // nil: no answers are kept
	Registry prometheus.Registerer
	Log      *slog.Logger
}

// Driver runs plans.
type Driver struct {
	cfg       Config
	store     Store
	buckets   Buckets
	memory    Memory
	admission *admission
	results   *results // nil: none are kept
	metrics   *metrics
	log       *slog.Logger
}

// New returns a driver. It registers its metrics with the registry.
func New(cfg Config, p Parts) (*Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	cfg = cfg.resolve(p.Memory.Stats().Limit)
	m := newMetrics(p.Registry)
	return &Driver{
		cfg: cfg, store: p.Store, buckets: p.Buckets, memory: p.Memory,
		admission: newAdmission(cfg, m), results: newResults(p.Results), metrics: m, log: p.Log,
	}, nil
}

// Begin begins a question, which ends with ctx or its deadline at the latest.
func (d *Driver) Begin(ctx context.Context) *Question {
	q := &Question{driver: d, began: time.Now(), asker: askerOf(ctx)}
	q.ctx, q.cancel = context.WithTimeoutCause(ctx, d.cfg.Timeout, d.timeoutError())
	q.allowance = allowance{pool: d.memory, limit: d.cfg.Memory}
	return q
}

// Run asks a single plan and calls use with each batch of its answer, in
// order. A batch is valid until use returns and must not be changed. An error
// of use ends the question and is returned. explain says what was done, with
// an error too.
func (d *Driver) Run(ctx context.Context, p *plan.Plan, use func(*scan.Batch) error) (explain string, err error) {
	q := d.Begin(ctx)
	defer q.Close()
	a, err := q.Run(p)
	if err != nil {
		return "", err
	}
	for {
		b, err := a.Next()
		if err == nil && b != nil {
			err = use(b)
		}
		if err != nil || b == nil {
			return a.Explain(), err
		}
	}
}

// timeoutError is what a question ends with at its deadline.
func (d *Driver) timeoutError() error {
	return &UnavailableError{Reason: fmt.Sprintf("the question ran out of time: it may take %s (query.timeout); ask for a shorter range, fewer series or fields, or wider windows; the explained plan says what is read", d.cfg.Timeout)}
}

// UnavailableError says that a question was not answered for a reason that
// may pass.
type UnavailableError struct {
	Reason     string
	RetryAfter time.Duration // 0: soon
}

func (e *UnavailableError) Error() string { return e.Reason }

// UnknownBucketError says that there is no bucket to ask.
type UnknownBucketError struct{ Bucket uint64 }

func (e *UnknownBucketError) Error() string {
	return fmt.Sprintf("bucket %016x is not there", e.Bucket)
}
