package transport

import (
	"fmt"
	"time"
)

// Limits are what one port grants to its clients.
type Limits struct {
	// MaxConnections is how many connections may be open, and how many
	// requests may be under way, which differ for HTTP/2 only. 0 takes what
	// ConnectionsFor says.
	MaxConnections int
	// MaxHeaderBytes is the largest header of a request, its first line
	// included. net/http reads up to 4 KiB more before it refuses.
	MaxHeaderBytes int64
	// HeaderTimeout is how long the handshake, and then the header, may take.
	HeaderTimeout time.Duration
	// BodyTimeout is how long the server waits for a body in all, however
	// short it is. Longer ones have a second more for every MinBodyRate bytes
	// that have come. What the server itself takes does not count.
	BodyTimeout time.Duration
	// MinBodyRate is in bytes a second.
	MinBodyRate int64
	// WriteTimeout is how long a client may take nothing of an answer while
	// 64 KiB of it wait to be sent.
	WriteTimeout time.Duration
	// IdleTimeout closes a connection that waits for its next request.
	IdleTimeout time.Duration
	// MaxStreams is how many requests of one HTTP/2 connection may be under
	// way. Four times as many that were reset at once end the connection.
	MaxStreams int
}

// DefaultLimits returns the limits that a server starts with.
func DefaultLimits() Limits {
	return Limits{
		// Room for long tokens and trace headers.
		MaxHeaderBytes: 64 << 10,
		// Generous for a device on a bad line, and short against clients that
		// send headers for ever.
		HeaderTimeout: 10 * time.Second,
		// A hundred lines, 15 KB, at the pace of a modem of 1990.
		BodyTimeout: 15 * time.Second,
		// Half of what the slowest mobile network carries.
		MinBodyRate: 2 << 10,
		// TCP itself gives up on a peer that vanished after minutes only. A
		// notebook that draws does not stand still so long.
		WriteTimeout: 30 * time.Second,
		// Longer than the flush interval of agents (10 s to 1 min), so that
		// their connections last.
		IdleTimeout: 3 * time.Minute,
		// The least that RFC 9113 recommends.
		MaxStreams: 100,
	}
}

// Validate reports the first limit that makes no sense.
func (l *Limits) Validate() error {
	switch {
	case l.MaxConnections < 0:
		return fmt.Errorf("most connections of a port are %d, want 1 or more, or 0 for what the memory limit allows", l.MaxConnections)
	case l.MaxHeaderBytes < minHeaderBytes || l.MaxHeaderBytes > maxHeaderBytes:
		return fmt.Errorf("largest header is %d bytes, want %d to %d", l.MaxHeaderBytes, minHeaderBytes, maxHeaderBytes)
	case l.MinBodyRate < 1:
		return fmt.Errorf("least rate of a body is %d bytes a second, want 1 or more", l.MinBodyRate)
	case l.MaxStreams < 1 || l.MaxStreams > maxStreams:
		return fmt.Errorf("requests of an HTTP/2 connection are %d, want 1 to %d", l.MaxStreams, maxStreams)
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"header", l.HeaderTimeout}, {"body", l.BodyTimeout}, {"write", l.WriteTimeout}, {"idle", l.IdleTimeout}} {
		if t.value < minTimeout {
			return fmt.Errorf("%s timeout is %s, want %s or more", t.name, t.value, minTimeout)
		}
	}
	return nil
}

const (
	// minHeaderBytes is what an ordinary client with a token sends, doubled.
	minHeaderBytes = 2 << 10
	// maxHeaderBytes is read before anything is known of a client.
	maxHeaderBytes = 1 << 20
	// maxStreams is the default of proxies that pool many clients into one
	// connection, four times over.
	maxStreams = 1000
	// minTimeout is above the round trip of a satellite.
	minTimeout = time.Second
)

const (
	// connectionBytes is what a connection with TLS and a handler that waits
	// takes: two stacks, four buffers, records of TLS.
	connectionBytes = 64 << 10
	// mostConnections is where file descriptors, of which a store needs some
	// thousands itself, become scarce.
	mostConnections = 10_000
)

// ConnectionsFor returns how many connections a port takes in a process whose
// target for memory is so many bytes: what fits into an eighth of it.
func ConnectionsFor(memory int64) int {
	return int(max(min(memory/8/connectionBytes, mostConnections), 16))
}
