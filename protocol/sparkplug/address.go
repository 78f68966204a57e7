package sparkplug

import (
	"fmt"
	"strings"
)

// namespace is the first level of topics of Sparkplug B.
const namespace = "spBv1.0"

// The kinds of messages.
const (
	nodeBirth     = "NBIRTH"
	nodeData      = "NDATA"
	nodeDeath     = "NDEATH"
	nodeCommand   = "NCMD"
	deviceBirth   = "DBIRTH"
	deviceData    = "DDATA"
	deviceDeath   = "DDEATH"
	deviceCommand = "DCMD"
	hostState     = "STATE"
)

// address is what a topic says: spBv1.0/group/kind/node or
// spBv1.0/group/kind/node/device.
type address struct {
	kind, group, node string
	device            string // "" if it is the node's own
}

func parseAddress(topic string) (a address, err error) {
	first, rest, _ := strings.Cut(topic, "/")
	if first != namespace {
		return a, fmt.Errorf("topic %.200q does not begin with %s/", topic, namespace)
	}
	if id, ok := strings.CutPrefix(rest, hostState); ok && (id == "" || id[0] == '/') {
		a.kind = hostState
		return a, nil
	}
	levels := strings.Split(rest, "/")
	if len(levels) < 3 || len(levels) > 4 {
		return a, fmt.Errorf("topic %.200q: want %s/group/kind/node or %s/group/kind/node/device", topic, namespace, namespace)
	}
	for _, l := range levels {
		if l == "" {
			return a, fmt.Errorf("topic %.200q has an empty level", topic)
		}
	}
	a.group, a.kind, a.node = levels[0], levels[1], levels[2]
	if len(levels) == 4 {
		a.device = levels[3]
	}
	switch a.kind {
	case nodeBirth, nodeData, nodeDeath, nodeCommand:
		if a.device != "" {
			return a, fmt.Errorf("topic %.200q names a device, and %s is of a node", topic, a.kind)
		}
	case deviceBirth, deviceData, deviceDeath, deviceCommand:
		if a.device == "" {
			return a, fmt.Errorf("topic %.200q names no device, and %s is of one", topic, a.kind)
		}
	default:
		return a, fmt.Errorf("topic %.200q: %q is no kind of message", topic, a.kind)
	}
	return a, nil
}
