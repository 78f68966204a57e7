// Package otlp is how metrics of OpenTelemetry come in: a port for gRPC, and the
// declaration of a pipeline that wants them. Over HTTP they come to the port for
// InfluxDB clients. Both ports take messages whether a pipeline is declared or
// not; its source opens the gate through which their points go to the pipeline
// instead of the store.
//
//	source:
//	  otlp: {resource: [service.name, host.name], scope: false}
//
// The goroutines of a Port are those of gRPC, which Serve starts and awaits.
package otlp

import (
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/otlp"
)

// Declare reads a declaration. What is wrong with it is noted in s.
func Declare(s *declare.Map) otlp.Mapping {
	m := otlp.Mapping{NoScope: !s.Bool("scope", true)}
	if s.Has("resource") {
		m.Resource = append([]string{}, s.Strings("resource")...)
	}
	return m
}
