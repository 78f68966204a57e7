package postgres

import (
	"github.com/jackc/pglogrepl"

	"github.com/varvedb/varve/source"
)

// batch is what is handed over at once. Its memory is used again.
type batch struct {
	text     []byte // the events, one behind the other
	ends     []int
	messages []source.Message
	// commit is the end of the last transaction that is wholly in this batch and
	// those before it; 0 if none ended in it.
	commit pglogrepl.LSN
}

func (b *batch) reset() {
	*b = batch{text: b.text[:0], ends: b.ends[:0], messages: b.messages[:0]}
}

// add ends an event, which was appended to text.
func (b *batch) add(r *relation, o *origin) {
	b.ends = append(b.ends, len(b.text))
	b.messages = append(b.messages, source.Message{Topic: r.name, Time: o.commit.UnixNano(), Offset: -1})
}

// seal returns the messages. Nothing may be added then.
func (b *batch) seal() []source.Message {
	from := 0
	for i, end := range b.ends {
		b.messages[i].Payload, from = b.text[from:end:end], end
	}
	return b.messages
}

// full reports whether b is as large as it may be.
func (b *batch) full(cfg *Config) bool {
	return len(b.ends) >= cfg.BatchRows || len(b.text) >= cfg.BatchBytes
}
