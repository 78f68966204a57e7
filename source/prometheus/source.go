// Package prometheus is the source of a pipeline that wants what Prometheus
// writes. The port for InfluxDB clients takes the requests whether it is
// declared or not; this opens the gate through which their points go to the
// pipeline instead of the store.
//
//	source:
//	  prometheus: {layout: field, measurement: metrics}
//
// A Source is safe for concurrent use; it has no goroutine of its own.
package prometheus

import (
	"context"
	"sync/atomic"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
)

// Config is what the declaration says.
type Config struct{ Mapping remotewrite.Mapping }

// Declare reads a declaration. What is wrong with it is noted in s.
func Declare(s *declare.Map) Config {
	var c Config
	if s.Choice("layout", "metric", "metric", "field") == "field" {
		c.Mapping = remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: s.Text("measurement", remotewrite.DefaultMeasurement)}
	} else if s.Has("measurement") {
		s.Fail("measurement", "is for layout: field; by metric, each metric is a measurement")
	}
	if err := c.Mapping.Validate(); err != nil {
		s.Fail("measurement", "%s", err)
	}
	return c
}

// Source is the source.
type Source struct {
	cfg  Config
	gate *source.Gate[remotewrite.Mapping]
	open atomic.Bool
}

// New returns a source that opens gate while it runs.
func New(cfg Config, gate *source.Gate[remotewrite.Mapping]) *Source {
	return &Source{cfg: cfg, gate: gate}
}

// Run implements source.Source.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	closing, err := s.gate.Open(s.cfg.Mapping, intake)
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
