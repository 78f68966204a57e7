// Package sparkplug turns messages of Sparkplug B (MQTT topics spBv1.0/…) into
// records. A Host remembers what edge nodes have announced in their birth
// certificates: which name and type an alias stands for, which devices they have,
// and the sequence number that comes next. It asks for new birth certificates when
// it does not know enough. What it remembers is bounded, and is not kept over a
// restart: nodes are then asked again.
//
// A Host is safe for concurrent use. The messages of one edge node have to come
// about in their order, or it takes them for lost ones.
//
// Source: Sparkplug Specification 3.0.0, Eclipse Foundation, chapters 4 (topics),
// 5 (operational behaviour) and 6 (payloads).
package sparkplug

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// The reasons for which messages are refused.
const (
	BadTopic   = "bad_topic"
	BadPayload = "bad_sparkplug"
	// UnknownAlias: no birth certificate that was seen has the alias.
	UnknownAlias = "unknown_alias"
	// LostSequence: messages before this one are missing, so that its aliases may
	// stand for other metrics by now.
	LostSequence = "lost_sequence"
	// Unsupported: a value is a data set, bytes, a file or an array.
	Unsupported = "unsupported_metric"
)

// Names of metrics that are no readings.
const (
	bdSeqMetric   = "bdSeq"
	controlPrefix = "Node Control/"
	devicePrefix  = "Device Control/"
	rebirthMetric = "Node Control/Rebirth"
)

// StatusMeasurement is where births and deaths are kept: tags group, node and, of
// a device, device; fields online (bool) and reason (birth or death). Their time is
// that of arrival, of both: a death has no other, and the clock of a node may be
// wrong, so that its births would stand before its deaths or hide them.
const StatusMeasurement = "device_status"

// Config is how messages become records.
type Config struct {
	Measurement string // of the records
	// Skip leaves out values that no field can hold (data sets, bytes, files,
	// arrays) instead of refusing their message.
	Skip bool
	// Nodes and Bytes bound what is remembered; the node that was silent longest
	// goes first, and is asked for its birth certificate when it speaks again. One
	// node gets a quarter of Bytes at most.
	Nodes int
	Bytes int
	// RebirthEvery is the least time between two requests to a node.
	RebirthEvery time.Duration
	// Reorder is how long a message may come after those that follow it, as brokers
	// do that keep the order of a topic only.
	Reorder time.Duration
}

// Default returns the standard settings.
func Default() Config {
	return Config{Measurement: "sparkplug", Nodes: 10_000, Bytes: 64 << 20, RebirthEvery: 10 * time.Second, Reorder: 2 * time.Second}
}

// Declare reads
//
//	sparkplug: {measurement: sparkplug, unsupported: refuse, nodes: 10000, memory: 64MiB, rebirth_every: 10s, reorder: 2s}
func Declare(s *declare.Map) Config {
	c := Default()
	c.Measurement = s.Text("measurement", c.Measurement)
	if c.Measurement == "" {
		s.Fail("measurement", "is empty")
	}
	c.Skip = s.Choice("unsupported", "refuse", "refuse", "skip") == "skip"
	c.Nodes = s.Int("nodes", c.Nodes, 1)
	c.Bytes = s.Size("memory", c.Bytes)
	c.RebirthEvery = s.Duration("rebirth_every", c.RebirthEvery)
	c.Reorder = s.Duration("reorder", c.Reorder)
	return c
}

// Command is a message for an edge node.
type Command struct {
	Topic   string
	Payload []byte
}

// Host remembers what edge nodes announce.
type Host struct {
	c Config

	mu    sync.Mutex // guards all below, and nodes
	nodes map[nodeID]*node
	order *list.List // of *node, the one heard last in front
	bytes int        // of all nodes
}

type nodeID struct{ group, node string }

// node is an edge node.
type node struct {
	id      nodeID
	place   *list.Element
	born    bool   // a birth certificate was seen, and no death since
	birth   uint64 // timestamp of that, in milliseconds
	bdSeq   uint64
	hasBd   bool
	status  int64 // time of the newest record of a birth or death, in nanoseconds
	order   sequence
	aliases map[uint64]*announced
	devices map[string]*device // that are online; "" is the node itself
	// gone are the devices that went with the node, or before its last birth, and
	// have not announced themselves since: what said so may come once more, because
	// it could not be stored.
	gone  map[string]struct{}
	asked int64 // when it was last asked for its birth, in nanoseconds
	bytes int
}

type device struct {
	metrics map[string]*announced
}

// announced is a metric of a birth certificate.
type announced struct {
	device   string
	name     string
	alias    uint64
	aliased  bool
	datatype Datatype
}

// What a node, a device and a metric take beside their names, with their places
// in maps, generously.
const (
	nodeBytes   = 512
	deviceBytes = 256
	nameBytes   = 192
)

// NewHost returns a host that has heard nothing.
func NewHost(c Config) *Host {
	return &Host{c: c, nodes: map[nodeID]*node{}, order: list.New()}
}

// Decode appends the records of a message, which is number n of those under way
// and arrived at now. made is when its source says that it was made, 0 if it does
// not; both are in nanoseconds since 1970. If Decode returns an error, a
// *record.Refusal, out is as it was, though what a birth certificate announces is
// remembered, unless its own timestamp is out of range. The command, if it is not
// nil, is to be sent to the node, with an error or without.
//
// Commands and the states of hosts make no records, and a death certificate of a
// session before the present one only those of devices that have not announced
// themselves since. A message that came before is decoded again, and changes
// nothing that is remembered.
func (h *Host) Decode(topic string, text []byte, n int, made, now int64, out *record.List) (*Command, error) {
	a, err := parseAddress(topic)
	if err != nil {
		return nil, record.Refuse(BadTopic, "%s", err)
	}
	switch a.kind {
	case hostState, nodeCommand, deviceCommand:
		return nil, nil
	}
	var p payload
	if err := p.decode(text); err != nil {
		return nil, record.Refuse(BadPayload, "the payload is not one of Sparkplug B: %s", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// The will of a node was written when its session began: its timestamp says
	// nothing.
	if p.timestamp > latest && a.kind != nodeDeath {
		if n := h.nodes[nodeID{a.group, a.node}]; n != nil && a.kind == nodeBirth {
			n.order.lost = true // its aliases may stand for something else now
		}
		return nil, record.Refuse(BadPayload, "the payload has the timestamp %d: want milliseconds since 1970", p.timestamp)
	}
	if made == 0 {
		made = now
	}
	before := out.Len()
	w := writer{h: h, node: h.node(a), a: a, p: &p, message: n, made: made, now: now, out: out, names: record.NamesOf(len(text))}
	err = w.run()
	if err != nil {
		out.Truncate(before)
	}
	h.evict(w.node)
	if !w.ask || w.node.asked != 0 && now-w.node.asked < int64(h.c.RebirthEvery) {
		return nil, err
	}
	w.node.asked = now
	return &Command{Topic: strings.Join([]string{namespace, a.group, nodeCommand, a.node}, "/"), Payload: rebirth(now)}, err
}

// node returns the node of an address.
func (h *Host) node(a address) *node {
	n := h.nodes[nodeID{a.group, a.node}]
	if n == nil {
		id := nodeID{strings.Clone(a.group), strings.Clone(a.node)}
		n = &node{id: id, aliases: map[uint64]*announced{}, devices: map[string]*device{}, gone: map[string]struct{}{}}
		n.place = h.order.PushFront(n)
		h.nodes[id] = n
		h.grow(n, nodeBytes+len(id.group)+len(id.node))
	}
	h.order.MoveToFront(n.place)
	return n
}

func (h *Host) grow(n *node, bytes int) {
	n.bytes += bytes
	h.bytes += bytes
}

// evict lets the nodes go that were silent longest until there is room. A node
// that takes more than a quarter of it is forgotten instead, and its aliases stay
// unknown.
func (h *Host) evict(now *node) {
	if now.bytes > h.c.Bytes/4 {
		h.forget(now)
	}
	for (len(h.nodes) > h.c.Nodes || h.bytes > h.c.Bytes) && len(h.nodes) > 1 {
		n := h.order.Remove(h.order.Back()).(*node)
		delete(h.nodes, n.id)
		h.bytes -= n.bytes
	}
}

// forget drops what a node has announced.
func (h *Host) forget(n *node) {
	h.bytes -= n.bytes
	n.bytes = 0
	n.aliases, n.devices, n.gone = map[uint64]*announced{}, map[string]*device{}, map[string]struct{}{}
	n.born, n.order = false, sequence{}
	h.grow(n, nodeBytes+len(n.id.group)+len(n.id.node))
}

// part drops what a node has announced, when it dies or is born, but not which
// devices went with it. The next birth leaves those as they are, and the one after
// it drops them.
func (h *Host) part(n *node) {
	gone := n.gone
	if n.born {
		gone = map[string]struct{}{}
	}
	for name := range n.devices {
		if name != "" {
			gone[name] = struct{}{}
		}
	}
	h.forget(n)
	n.gone = gone
	for name := range gone {
		h.grow(n, deviceBytes+len(name))
	}
}

// found takes a device, or the node itself if it has no name, for one that is
// there, or that went by itself.
func (h *Host) found(n *node, name string) {
	if _, ok := n.gone[name]; ok {
		h.grow(n, -deviceBytes-len(name))
		delete(n.gone, name)
	}
}

// forgetDevice drops what one device of a node has announced.
func (h *Host) forgetDevice(n *node, name string) {
	d := n.devices[name]
	if d == nil {
		return
	}
	for _, m := range d.metrics {
		if m.aliased && n.aliases[m.alias] == m {
			delete(n.aliases, m.alias)
		}
		h.grow(n, -nameBytes-len(m.name))
	}
	h.grow(n, -deviceBytes-len(name))
	delete(n.devices, name)
}

// learn takes a birth certificate of a device, or of the node itself.
func (h *Host) learn(n *node, name string, metrics []metric) {
	h.found(n, name)
	h.forgetDevice(n, name)
	d := &device{metrics: map[string]*announced{}}
	name = strings.Clone(name)
	n.devices[name] = d
	h.grow(n, deviceBytes+len(name))
	for i := range metrics {
		m := &metrics[i]
		if m.name == "" || m.definition || d.metrics[m.name] != nil {
			continue
		}
		known := &announced{device: name, name: m.name, alias: m.alias, aliased: m.aliased, datatype: m.datatype}
		d.metrics[m.name] = known
		if m.aliased {
			n.aliases[m.alias] = known
		}
		h.grow(n, nameBytes+len(m.name))
	}
}

// announces says whether metrics are those that a device of a node has announced.
func (n *node) announces(name string, metrics []metric) bool {
	d := n.devices[name]
	if d == nil {
		return false
	}
	for i := range metrics {
		m := &metrics[i]
		if m.name == "" || m.definition {
			continue
		}
		if known := d.metrics[m.name]; known == nil || known.alias != m.alias || known.aliased != m.aliased || known.datatype != m.datatype {
			return false
		}
	}
	return true
}
