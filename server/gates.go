package server

import (
	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/source/inlet"
)

// gates are where the ports hand over what a pipeline wants of a protocol that
// they speak anyway.
type gates struct {
	data, write inlet.Gate
	remoteWrite source.Gate[remotewrite.Mapping]
	otlp        source.Gate[otlp.Mapping]
}
