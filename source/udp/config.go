package udp

import (
	"net"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
)

// Config says where to listen and how much may wait.
type Config struct {
	Listen string // host:port
	// ReceiveBuffer is what the system holds of packets that were not read yet, in
	// bytes. The system may allow less (on Linux net.core.rmem_max).
	ReceiveBuffer int
	// Queue bounds the packets that were read and are not stored yet, in bytes.
	// Packets for which there is no room are dropped and counted. Beside its text
	// a packet takes some 150 bytes.
	Queue int
	// Linger is how long a packet waits for others, to be stored with them.
	Linger time.Duration
}

// Default returns the standard settings.
func Default() Config {
	return Config{
		Listen:        "127.0.0.1:8089", // the port that InfluxDB 1 and Telegraf use
		ReceiveBuffer: 4 << 20,
		Queue:         16 << 20,
		Linger:        20 * time.Millisecond,
	}
}

// Declare reads
//
//	udp: {listen: "127.0.0.1:8089", receive_buffer: 4MiB, queue: 16MiB, linger: 20ms}
func Declare(s *declare.Map) Config {
	c := Default()
	c.Listen = s.Text("listen", c.Listen)
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || port == "" {
		s.Fail("listen", "%q: want host:port, such as 127.0.0.1:8089", c.Listen)
	}
	c.ReceiveBuffer = s.Size("receive_buffer", c.ReceiveBuffer)
	if c.ReceiveBuffer > 1<<30 {
		s.Fail("receive_buffer", "at most 1GiB")
	}
	c.Queue = s.Size("queue", c.Queue)
	if c.Queue < leastQueue {
		s.Fail("queue", "at least 256KiB")
	}
	c.Linger = s.Duration("linger", c.Linger)
	return c
}

const (
	// batchBytes is how much text goes to the intake at once: some thousand lines,
	// with which an fsync is shared well, and little to lose.
	batchBytes = 128 << 10
	// leastQueue has room for a batch that is filled and one that is stored.
	leastQueue = 2 * batchBytes
)
