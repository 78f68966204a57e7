// Package prometheus is the declaration of a pipeline that wants what Prometheus
// writes. The port for InfluxDB clients takes the requests whether it is
// declared or not; its source opens the gate through which their points go to
// the pipeline instead of the store.
//
//	source:
//	  prometheus: {layout: field, measurement: metrics}
package prometheus

import (
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// Declare reads a declaration. What is wrong with it is noted in s.
func Declare(s *declare.Map) remotewrite.Mapping {
	var m remotewrite.Mapping
	if s.Choice("layout", "metric", "metric", "field") == "field" {
		m = remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: s.Text("measurement", remotewrite.DefaultMeasurement)}
	} else if s.Has("measurement") {
		s.Fail("measurement", "is for layout: field; by metric, each metric is a measurement")
	}
	if err := m.Validate(); err != nil {
		s.Fail("measurement", "%s", err)
	}
	return m
}
