// Package target is where a simulated fleet sends its messages: a server over
// HTTP, a broker of MQTT or Kafka, a file. All send at least once: a message
// that is not acknowledged is sent again, over a new connection if need be,
// until it is acknowledged, refused, or the run ends. What became of messages
// is counted in a Tally.
//
// Targets are safe for concurrent use. Send keeps nothing of its batch.
package target

import "time"

// Batch is messages that are handed over together.
type Batch struct {
	// Text is all that has been appended, with no message on its own.
	Text     []byte
	messages []message
}

// message is where a message stands in the text.
type message struct {
	device                 int
	due                    int64
	start, topic, key, end int // topic, key and payload follow one another; where each ends
}

// Reset empties the batch.
func (b *Batch) Reset() { b.Text, b.messages = b.Text[:0], b.messages[:0] }

// Len is how many messages it holds.
func (b *Batch) Len() int { return len(b.messages) }

// Cut makes what has been appended to Text since the last Cut a message: its
// topic up to topic, its key up to key, and its payload up to the end. due is
// when it should be sent, in nanoseconds since 1970.
func (b *Batch) Cut(device int, due int64, topic, key int) {
	m := message{device: device, due: due, topic: topic, key: key, end: len(b.Text)}
	if n := len(b.messages); n > 0 {
		m.start = b.messages[n-1].end
	}
	b.messages = append(b.messages, m)
}

func (b *Batch) topic(m *message) []byte   { return b.Text[m.start:m.topic] }
func (b *Batch) payload(m *message) []byte { return b.Text[m.key:m.end] }

const (
	// firstWait is the pause before something is tried again; it doubles up to
	// longestWait, which is short enough for a server that is started again to
	// be found soon.
	firstWait   = 20 * time.Millisecond
	longestWait = time.Second
)
