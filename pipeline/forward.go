package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/source"
)

// Outgoing is a message that a pipeline passes on.
type Outgoing struct {
	Topic   string // "" for that of the producer
	Key     []byte
	Value   []byte
	Headers []Header
}

// Header is a header of a message.
type Header struct {
	Key   string
	Value []byte
}

// Producer sends messages: to Kafka, to MQTT.
type Producer interface {
	// Produce returns when all messages are acknowledged by whom they go to. If it
	// returns an error nothing is promised of any, and to send them again does no
	// harm but that readers see repeats; an *Unacceptable is the exception. It keeps
	// nothing of messages.
	Produce(ctx context.Context, messages []Outgoing) error
	Close() error
}

// Unacceptable is what Produce returns if some messages will not be accepted
// however often they are sent, being too large, say, and all others are
// acknowledged.
type Unacceptable struct {
	Messages []int // by their place, in order
	Err      error // why one of them is not
}

func (e *Unacceptable) Error() string {
	return fmt.Sprintf("%d messages are not accepted: %v", len(e.Messages), e.Err)
}

func (e *Unacceptable) Unwrap() error { return e.Err }

// NotAccepted is the reason of records that cannot be passed on for good.
const NotAccepted = "not_accepted"

// forwardSink passes records on as JSON.
type forwardSink struct {
	name     string
	encoding encoding
	producer Producer

	mu   sync.Mutex // guards what follows
	idle []*forwardWorker
}

// forwardWorker is what one call takes.
type forwardWorker struct {
	text, keys []byte
	ends       [][2]int // of the text and key of each message
	out        []Outgoing
}

func (s *forwardSink) take() *forwardWorker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		w := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return w
	}
	return &forwardWorker{}
}

func (s *forwardSink) give(w *forwardWorker) {
	if cap(w.out) > 2*largePart {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < maxIdleWorkers {
		s.idle = append(s.idle, w)
	}
}

// encoding says how a record becomes a message.
type encoding struct {
	time      string // what the time is called
	processed string // what the time of passing on is called; "" for none
}

// declareEncoding reads what is common to sinks that pass on:
//
//	time: timestamp          # what the time is called; as the decoder calls it
//	processed: processed_at  # adds the time of passing on; "" for none
func declareEncoding(m *declare.Map, time string) encoding {
	if time == "" {
		time = "time"
	}
	return encoding{time: m.Text("time", time), processed: m.Text("processed", "processed_at")}
}

// Name implements Sink.
func (s *forwardSink) Name() string { return s.name }

// Close implements Sink.
func (s *forwardSink) Close() error { return s.producer.Close() }

// maxText is how many bytes of messages are passed on at once.
const maxText = 16 << 20

// Pass implements Sink.
func (s *forwardSink) Pass(ctx context.Context, p *Passage) error {
	w := s.take()
	for live := p.Live; len(live) > 0; {
		n := w.encode(s.encoding, p, live)
		err := s.producer.Produce(ctx, w.out)
		var not *Unacceptable
		if err != nil && !errors.As(err, &not) {
			return err
		}
		if not != nil {
			for _, k := range not.Messages {
				p.Refuse(live[k], s.name, &record.Refusal{Reason: NotAccepted, Detail: not.Err.Error()})
			}
		}
		live = live[n:]
	}
	s.give(w)
	return nil
}

// encode makes messages of the first n of live, as many as are passed on at once.
func (w *forwardWorker) encode(e encoding, p *Passage, live []int) (n int) {
	w.text, w.keys, w.ends, w.out = w.text[:0], w.keys[:0], w.ends[:0], w.out[:0]
	for ; n < len(live) && len(w.text) < maxText; n++ {
		r := p.Records.At(live[n])
		w.text = e.append(w.text, r, p.Time(r), p.Arrived)
		m := p.Message(r)
		w.keys = appendIdentity(w.keys, m)
		if r.Of > 1 && m.Offset >= 0 {
			w.keys = append(w.keys, '/')
			w.keys = strconv.AppendInt(w.keys, int64(r.Number), 10)
		}
		w.ends = append(w.ends, [2]int{len(w.text), len(w.keys)})
	}
	from := [2]int{}
	for _, end := range w.ends {
		o := Outgoing{Value: w.text[from[0]:end[0]:end[0]]}
		if end[1] > from[1] {
			o.Key = w.keys[from[1]:end[1]:end[1]]
		}
		w.out = append(w.out, o)
		from = end
	}
	return n
}

// appendIdentity appends what tells a repeat of m: where it stands at its source,
// as topic/partition/offset. Messages of sources that number none have none.
func appendIdentity(dst []byte, m *source.Message) []byte {
	if m.Offset < 0 {
		return dst
	}
	dst = append(dst, m.Topic...)
	dst = append(dst, '/')
	dst = strconv.AppendInt(dst, int64(m.Partition), 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, m.Offset, 10)
}
