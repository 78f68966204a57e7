package kafka

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/source"
)

// unread is a broker's batch that cannot be read and is handed over as it came. It
// travels with a record that stands for it: at its last offset, with the batch as value.
type unread struct {
	source.Unread
	first  int64 // offset of the first message of it that was not read
	latest int64 // the latest time in it, in milliseconds since 1970; 0 if that is not known
}

func (u *unread) message(r *kgo.Record) source.Message {
	return source.Message{
		Topic: r.Topic, Partition: r.Partition, Offset: u.first, Time: nanoseconds(time.UnixMilli(u.latest)),
		Payload: r.Value, Unread: &u.Unread,
	}
}

// passed counts the batches that were passed over. It is safe for concurrent use.
type passed struct {
	mu   sync.Mutex // guards what follows
	n    uint64
	last string
}

func (p *passed) note(at place, u *unread) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	p.last = at.String() + ", " + u.Detail
}

// tell returns how many there were, and what a person should know.
func (p *passed) tell() (n uint64, notice string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return 0, ""
	}
	return p.n, fmt.Sprintf("%d batches of Kafka could not be read and are kept among the refused messages, the last: %s", p.n, p.last)
}

// fetched is what was read of a partition at once.
type fetched struct {
	records []*kgo.Record // at least one
	unread  *unread       // nil: the records are messages
}

// standIn returns what travels in place of a batch that ends before next.
func standIn(at place, next int64, raw []byte, u *unread) fetched {
	r := &kgo.Record{Topic: at.topic, Partition: at.partition, Offset: next - 1, LeaderEpoch: -1, Value: slices.Clone(raw)}
	return fetched{[]*kgo.Record{r}, u}
}
