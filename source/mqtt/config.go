package mqtt

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config sets ports and limits of a broker.
type Config struct {
	// Addr, TLSAddr and WSAddr are host:port for MQTT over TCP, TLS and
	// WebSocket; "": not.
	Addr, TLSAddr, WSAddr string
	// MaxConnections is the most connections at once.
	MaxConnections int
	// MaxPacket is the largest packet that is taken, in bytes.
	MaxPacket int64
	// ReceiveMaximum is how many messages of QoS 1 and 2 a client may have on
	// their way. A client of MQTT 5 that sends more breaks the protocol, one of
	// MQTT 3.1.1 is read no further until some are acknowledged.
	ReceiveMaximum int
	// QueueBytes is how much may wait for pipelines, of all clients together.
	// Beyond it messages of QoS 0 are dropped, and clients that send others are
	// read no further.
	QueueBytes int64
	// SubscriberBytes is how much may wait for subscribers, in all sessions
	// together; as much again may wait of retained messages, if those may not be
	// more. Beyond it those sessions that have most lose their latest messages. As
	// much again may wait to be written; beyond it slow readers get no more.
	SubscriberBytes int64
	// SessionExpiry is how long a session outlives its connection at most.
	SessionExpiry time.Duration
	// SessionQueue is how many messages of QoS 1 and 2 wait for a client that is
	// away or slow; later ones are dropped.
	SessionQueue int
	// RetainedMessages and RetainedBytes bound what is retained; beyond them
	// nothing new is.
	RetainedMessages int
	RetainedBytes    int
}

// Default returns the limits that the server starts with, and no port.
func Default() Config {
	return Config{
		MaxConnections:  50_000,
		MaxPacket:       1 << 20,
		ReceiveMaximum:  1000,
		QueueBytes:      64 << 20,
		SubscriberBytes: 64 << 20,
		SessionExpiry:   24 * time.Hour,
		SessionQueue:    1000,
		// A retained state for each of a fleet, of the size that states have.
		RetainedMessages: 200_000,
		RetainedBytes:    64 << 20,
	}
}

// leastPacket is what a CONNECT with a token and a will may need.
const leastPacket = 4 << 10

// Validate reports what makes no sense.
func (c *Config) Validate() error {
	switch {
	case c.MaxConnections < 1:
		return errors.New("mqtt.max_connections is less than 1")
	case c.MaxPacket < leastPacket || c.MaxPacket > 256<<20:
		return fmt.Errorf("mqtt.max_packet is %d bytes, want from %d to %d", c.MaxPacket, leastPacket, 256<<20)
	case c.ReceiveMaximum < 1 || c.ReceiveMaximum > 65535:
		return fmt.Errorf("mqtt.receive_maximum is %d, want from 1 to 65535", c.ReceiveMaximum)
	case c.QueueBytes < c.MaxPacket:
		return errors.New("the queue of MQTT is smaller than a packet may be")
	case c.SubscriberBytes < c.MaxPacket:
		return errors.New("what may wait for subscribers of MQTT is smaller than a packet may be")
	case c.SessionExpiry < 0 || c.SessionQueue < 0 || c.RetainedMessages < 0 || c.RetainedBytes < 0:
		return errors.New("a limit of MQTT is negative")
	}
	return nil
}

// expirySeconds is SessionExpiry as packets have it.
func (c *Config) expirySeconds() uint32 {
	return uint32(min(c.SessionExpiry/time.Second, math.MaxUint32))
}
