// Package inlet is the source of a pipeline that wants what comes in at a port
// that the server has anyway: points as JSON, line protocol over HTTP. Whoever
// answers the port enters the gate, and stores by itself where no pipeline has
// opened it. A Source is safe for concurrent use; it has no goroutine of its own.
package inlet

import (
	"context"
	"sync/atomic"

	"github.com/varvedb/varve/source"
)

// Gate is what stands between the port and the pipeline.
type Gate = source.Gate[struct{}]

// Source is the source.
type Source struct {
	gate *Gate
	open atomic.Bool
}

// New returns a source that opens gate while it runs.
func New(gate *Gate) *Source { return &Source{gate: gate} }

// Run implements source.Source. One pipeline at a time can have the port.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	closing, err := s.gate.Open(struct{}{}, intake)
	if err != nil {
		return err
	}
	s.open.Store(true)
	<-ctx.Done()
	s.open.Store(false)
	closing()
	return nil
}

// Status implements source.Source.
func (s *Source) Status() source.Status {
	return source.Status{Connected: s.open.Load(), Lag: -1}
}
