package mqtt

import "github.com/varvedb/varve/protocol/mqttwire"

// window is the messages of a connection that are not acknowledged yet, in the
// order in which they came. It is guarded by conn.mu.
type window struct {
	ring       []arrival // its length is a power of two
	head, tail uint32    // sequence numbers: the first that is there, the next one
}

// arrival is a message in a window.
type arrival struct {
	id     uint16
	qos    byte
	open   uint16 // how many pipelines have not taken it yet, and one if it is not kept yet
	reason mqttwire.Reason
	number uint32 // of QoS 2: which of its identifier it is
}

func (w *window) len() int { return int(w.tail - w.head) }

// push notes a message and returns its sequence number.
func (w *window) push(a arrival) uint32 {
	if w.len() == len(w.ring) {
		grown := make([]arrival, max(8, 2*len(w.ring)))
		for s := w.head; s != w.tail; s++ {
			grown[int(s)&(len(grown)-1)] = *w.at(s)
		}
		w.ring = grown
	}
	*w.at(w.tail) = a
	w.tail++
	return w.tail - 1
}

func (w *window) at(seq uint32) *arrival { return &w.ring[int(seq)&(len(w.ring)-1)] }

// pop removes the first message if it is finished.
func (w *window) pop() (arrival, bool) {
	if w.head == w.tail || w.at(w.head).open > 0 {
		return arrival{}, false
	}
	a := *w.at(w.head)
	w.head++
	if w.head == w.tail && len(w.ring) > keepRing {
		w.ring = nil
	}
	return a, true
}

// keepRing is the largest ring that is kept while it is empty: most devices
// send one message at a time.
const keepRing = 64
