package pipeline

import (
	"context"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/source"
)

// Passage is records on their way to the sinks, with the messages that they are
// from. It belongs to one goroutine, and is valid until Pass returns.
type Passage struct {
	Messages []source.Message
	Records  *record.List
	// Live are the records that go on, by their number, in order.
	Live []int
	// Arrived is when the messages came, in nanoseconds since 1970.
	Arrived int64
	// Bucket is where the sender wants them, 0 if it does not say.
	Bucket uint64

	refuse func(record int, place string, why *record.Refusal)
}

// Time returns the time of a record: its own, else that of its arrival.
func (p *Passage) Time(r *record.Record) int64 {
	if r.Timed {
		return r.Time
	}
	return p.Arrived
}

// Message returns the message of a record.
func (p *Passage) Message(r *record.Record) *source.Message { return &p.Messages[r.Message] }

// Refuse takes a record out and keeps its message with the reason. Live is
// without the record when Pass has returned.
func (p *Passage) Refuse(record int, place string, why *record.Refusal) { p.refuse(record, place, why) }

// Sink is where records go: the store, a topic.
type Sink interface {
	// Name says where records go, for people.
	Name() string
	// Pass returns when all live records are where the sink puts them, durably, or
	// refused. If it returns an error nothing is promised of any, and to pass them
	// again does no harm. It may be called by several goroutines at once.
	Pass(ctx context.Context, p *Passage) error
	// Close lets go of what the sink holds. Nothing passes any more.
	Close() error
}
