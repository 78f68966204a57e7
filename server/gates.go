package server

import (
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
)

// gates are where the ports hand over what a pipeline wants of a protocol that
// they speak anyway.
type gates struct {
	remoteWrite source.Gate[remotewrite.Mapping]
}
