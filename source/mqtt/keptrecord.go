package mqtt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// What the log of retained messages has in a record; see FORMAT.md.
const (
	keptVersion = 1
	// keptRemoved is among the flags of a topic of which nothing is retained; the
	// two lowest bits are the quality of service.
	keptRemoved = 1 << 2
	keptQoS     = 3
)

var errKeptVersion = errors.New("written by a newer program")

// appendKept appends a message to a record, which begins with its version. One
// without payload says that nothing is retained of the topic.
func appendKept(b []byte, m *message) []byte {
	if len(b) == 0 {
		b = append(b, keptVersion)
	}
	text := func(s []byte) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	if len(m.payload) == 0 {
		b = append(b, keptRemoved)
		text([]byte(m.topic))
		return b
	}
	b = append(b, m.qos)
	text([]byte(m.topic))
	b = binary.AppendUvarint(b, uint64(m.expires))
	text(m.properties)
	text(m.payload)
	return b
}

// keptSize is how much appendKept appends at most.
func keptSize(m *message) int { return m.size() + 2 + 4*binary.MaxVarintLen64 }

// readKept hands over the messages of a record, as they were appended.
func readKept(b []byte, to func(*message)) error {
	if len(b) == 0 {
		return errors.New("the record is empty")
	}
	if b[0] != keptVersion {
		return fmt.Errorf("version %d: %w", b[0], errKeptVersion)
	}
	b = b[1:]
	bad := false
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return v
	}
	text := func() []byte {
		n := number()
		if n > uint64(len(b)) {
			bad, b = true, nil
			return nil
		}
		t := b[:n:n]
		b = b[n:]
		return t
	}
	for len(b) > 0 {
		flags := b[0]
		b = b[1:]
		m := &message{retain: true, qos: flags & keptQoS, topic: string(text())}
		if flags&keptRemoved == 0 {
			m.expires = int64(number())
			m.properties = mqttwire.Properties(append([]byte(nil), text()...))
			m.payload = append([]byte(nil), text()...)
			bad = bad || len(m.payload) == 0
		}
		if bad || flags > keptRemoved || m.qos > 2 || m.expires < 0 {
			return errors.New("a message in it cannot be read")
		}
		if err := checkTopic(m.topic); err != nil {
			return fmt.Errorf("a topic in it: %w", err)
		}
		to(m)
	}
	return nil
}
