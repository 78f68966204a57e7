package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/tracing"
)

// traceDrain is how long a stop waits for the collector to take the last
// spans. Traces are not worth a stop that a service manager cuts off.
const traceDrain = 2 * time.Second

// openTracer makes the tracer, if traces are to be made.
func (s *server) openTracer() (err error) {
	if s.config.Trace.Endpoint == "" {
		return nil
	}
	if s.tracer, err = tracing.New(s.config.Trace, s.config.Version, s.log); err != nil {
		return err
	}
	for _, m := range []struct {
		name, help string
		value      func(tracing.Stats) uint64
	}{
		{"varve_trace_spans_total", "Spans that were recorded, if traces are made.", func(s tracing.Stats) uint64 { return s.Ended }},
		{"varve_trace_sent_spans_total", "Spans that the collector took. Those that it neither took nor lost within some seconds were dropped because too many waited.", func(s tracing.Stats) uint64 { return s.Sent }},
		{"varve_trace_lost_spans_total", "Spans that the collector did not take.", func(s tracing.Stats) uint64 { return s.Failed }},
	} {
		s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help},
			func() float64 { return float64(m.value(s.tracer.Stats())) }))
	}
	return nil
}

// closeTracer sends the spans that are left.
func (s *server) closeTracer() {
	if s.tracer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceDrain)
	defer cancel()
	if err := s.tracer.Close(ctx); err != nil {
		s.log.Warn("the last spans were not sent", "error", err)
	}
}
