// Package otlp is how metrics of OpenTelemetry come in: a port for gRPC, and the
// source of a pipeline that wants them. Over HTTP they come to the port for
// InfluxDB clients. Both ports take messages whether a pipeline is declared or
// not; the source opens the gate through which their points go to the pipeline
// instead of the store.
//
//	source:
//	  otlp: {resource: [service.name, host.name], scope: false}
//
// A Source is safe for concurrent use and has no goroutine of its own. The
// goroutines of a Port are those of gRPC, which Serve starts and awaits.
package otlp

import (
	"context"
	"sync/atomic"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/source"
)

// Config is what the declaration says.
type Config struct{ Mapping otlp.Mapping }

// Declare reads a declaration. What is wrong with it is noted in s.
func Declare(s *declare.Map) Config {
	c := Config{otlp.Mapping{NoScope: !s.Bool("scope", true)}}
	if s.Has("resource") {
		c.Mapping.Resource = append([]string{}, s.Strings("resource")...)
	}
	return c
}

// Source is the source.
type Source struct {
	cfg  Config
	gate *source.Gate[otlp.Mapping]
	open atomic.Bool
}

// New returns a source that opens gate while it runs.
func New(cfg Config, gate *source.Gate[otlp.Mapping]) *Source {
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
