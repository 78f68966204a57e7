package transport

import "sync/atomic"

// hits counts how often each limit of a port struck.
type hits struct {
	connections, requests, headerTimeout, headerSize, malformed atomic.Uint64
	bodyRate, writeTimeout, idleTimeout, http2, handshakes      atomic.Uint64
}

// Stats is a snapshot of one port.
type Stats struct {
	Name        string
	Connections int // open
	Waiting     int // of these, without a request under way
	Limit       int // of connections
	Requests    int // under way
	// Hits is how often each limit struck, by the name of its setting without
	// the prefix http.
	Hits []Hit
	// Malformed is headers and frames that net/http refused, HandshakeFailures what the
	// name says.
	Malformed, HandshakeFailures uint64
}

// Hit is how often a limit struck.
type Hit struct {
	Limit string
	Count uint64
}

// Stats returns a snapshot.
func (p *Port) Stats() Stats {
	open, waiting := p.conns.counts()
	h := &p.hits
	return Stats{
		Name: p.name, Connections: open, Waiting: waiting, Limit: p.conns.max, Requests: int(p.requests.Load()),
		Hits: []Hit{
			{"max_connections", h.connections.Load()},
			{"max_requests", h.requests.Load()},
			{"header_timeout", h.headerTimeout.Load()},
			{"max_header", h.headerSize.Load()},
			{"min_body_rate", h.bodyRate.Load()},
			{"write_timeout", h.writeTimeout.Load()},
			{"idle_timeout", h.idleTimeout.Load()},
			{"max_streams", h.http2.Load()},
		},
		Malformed: h.malformed.Load(), HandshakeFailures: h.handshakes.Load(),
	}
}
