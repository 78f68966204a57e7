package kafka

import (
	"time"

	"github.com/varvedb/varve/kafka"
	"github.com/varvedb/varve/pipeline/declare"
)

// Config says where messages go and how.
type Config struct {
	kafka.Connection
	Topic string
	// Compression is none, gzip, snappy, lz4 or zstd.
	Compression string
	// Linger is how long a message waits for others of its partition.
	Linger time.Duration
	// BufferBytes bounds the messages that are not acknowledged yet.
	BufferBytes int
	// BatchBytes bounds a batch, before it is compressed, and so a message too.
	// Brokers take 1 MB unless they are told otherwise.
	BatchBytes int
	// Timeout is how long a message may wait for its acknowledgement.
	Timeout time.Duration
}

// Default returns what is used unless a declaration says otherwise.
func Default() Config {
	return Config{
		Connection:  kafka.Connection{ClientID: "varve"},
		Compression: "lz4",
		Linger:      5 * time.Millisecond,
		BufferBytes: 64 << 20,
		BatchBytes:  1_000_000,
		Timeout:     30 * time.Second,
	}
}

// Declare reads a section kafka of a declaration's sinks.
func Declare(s *declare.Map) Config {
	c := Default()
	c.Connection = kafka.Declare(s)
	c.Topic = s.Required("topic")
	c.Compression = s.Choice("compression", c.Compression, "none", "gzip", "snappy", "lz4", "zstd")
	c.Linger = s.Duration("linger", c.Linger)
	if c.Linger > time.Minute {
		s.Fail("linger", "want at most 1m")
	}
	c.BufferBytes = s.Size("buffer", c.BufferBytes)
	c.BatchBytes = s.Size("batch", c.BatchBytes)
	if c.BatchBytes > 64<<20 || c.BatchBytes < 1<<10 {
		s.Fail("batch", "want 1KiB to 64MiB")
	}
	c.Timeout = s.Duration("timeout", c.Timeout)
	if c.Timeout < time.Second {
		s.Fail("timeout", "want at least 1s")
	}
	return c
}
