package server

import (
	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
)

// gates are where the ports hand over what a pipeline wants of a protocol that
// they speak anyway.
type gates struct {
	data, write source.Gate[struct{}]
	remoteWrite source.Gate[remotewrite.Mapping]
	otlp        source.Gate[otlp.Mapping]
}

// atGate is a source of points that come through a gate.
func atGate[S any](g *source.Gate[S], settings S) pipeline.SourceSpec {
	return pipeline.SourceSpec{Points: true, Sole: true, Open: func(string) (source.Source, error) { return g.Source(settings), nil }}
}
