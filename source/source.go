// Package source says how what devices send comes in: a source is a listener
// or a consumer, which hands the messages that it receives to an intake and
// acknowledges them to their sender when the intake says that they are safe.
// The sources themselves are the packages below this one; the intake is
// package pipeline.
//
// The rule that nothing is lost by: a source acknowledges a message (PUBACK,
// committed offset, removed file, status 204) only after Take or TakeBatch of
// it has returned without an error. After an error nothing is promised of any
// of the messages: the source keeps them and hands them over again, or leaves
// them unacknowledged so that their sender does. Handing over again does no
// harm, because a point overwrites its like.
package source

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/varvedb/varve/column"
)

// Message is what a source received at once: a publish, a Kafka record, a
// datagram, a file's line, a changed row.
type Message struct {
	Topic   string // of MQTT or Kafka, name of a file or table; "" if there is none
	Key     []byte // of Kafka; nil if there is none
	Payload []byte
	// Time is when the source says that the message was made, in nanoseconds
	// since 1970; 0 if it does not say. It is the time of points that carry none.
	Time int64
	// Partition and Offset are where a message of Kafka stands; Offset is -1 for
	// others.
	Partition int32
	Offset    int64
	// Client is who sent it, as far as the source knows: the client id of MQTT,
	// an address. "" if it does not.
	Client string
	// Tags are facts that the source adds to each point, such as a header.
	Tags []column.Tag
	// Left yields what is missing in a batch of the message, so that it is kept with
	// its reason like what is refused later; nil if nothing is. It may be asked more
	// than once, while Take runs.
	Left iter.Seq[*Left]
	// Unread is why the source itself cannot read what it received, which is kept with
	// that as it came, as far as it came; nil if it can.
	Unread *Unread
	// Reply sends something back over the source; nil if it cannot.
	Reply func(ctx context.Context, topic string, payload []byte) error
}

// Left is points that the source's own decoder left out, because they contradict
// others of the message.
type Left struct {
	Reason, Detail string
	Points         int
	// Row is the points as line protocol, or for people to read if they can be no
	// points; "" if nobody knows them any more.
	Row string
}

// Unread is why something cannot be read.
type Unread struct {
	Reason string // a word of few, for counts
	Detail string // for people
}

// Intake takes what sources receive. It is safe for concurrent use.
type Intake interface {
	// Take returns when each of the messages is accounted for: its points are
	// durable and visible and passed on, or it is kept, with the reason why it
	// was refused, where refused messages are kept. If it returns an error,
	// nothing is promised of any. It keeps nothing of messages. Messages of one
	// call are handled in their order; calls that overlap are not ordered.
	Take(ctx context.Context, messages []Message) (Result, error)
	// TakeBatch is Take for sources whose protocol says what a point is: m
	// tells where b came from, with the whole message or none of it as payload.
	// bucket is where the sender wants it, 0 if it does not say. It keeps
	// nothing of b.
	TakeBatch(ctx context.Context, bucket uint64, b *column.Batch, m *Message) (Result, error)
}

// Result is what became of messages that were taken.
type Result struct {
	Stored  int // points
	Dropped int // points that the rules leave out on purpose, such as repeats
	Refused int // messages, or points of a batch, that were refused and kept
	// Reason is why the first of the refused was; "" if none was.
	Reason string
}

// Source is a listener or consumer.
type Source interface {
	// Run receives until ctx ends. It then takes in no more, finishes what is
	// under way as far as that is quick, acknowledges what was taken, and
	// returns nil. Trouble that may pass (a broker that is away, an intake that
	// cannot store now) it sits out; it returns an error only for what a person
	// has to put right.
	Run(ctx context.Context, intake Intake) error
	// Status tells how it fares, for people. It may be called at any time.
	Status() Status
}

// Holder is a source whose senders come by themselves, to a port that is open
// whether it runs or not.
type Holder interface {
	// Hold makes what comes for the source from now on wait, or be told to come
	// again, whenever it does not run: before Run is called, between two calls,
	// and after the last one, until release is called. More than one source may
	// hold the same place, such as one that runs and the one that will follow it.
	Hold() (release func())
}

// Counter is a source that counts more than pipelines do of each.
type Counter interface {
	// Counts returns what happened since the source began.
	Counts() []Count
}

// Count is how often something happened.
type Count struct {
	Event string // for metrics: lower case, words joined by underscores, one of few
	N     uint64
}

// Status is how a source fares.
type Status struct {
	Connected bool
	// Trouble is what is in the way now, "" if nothing is.
	Trouble string
	// Notice is what a person should know although all goes on, "" if there is
	// nothing.
	Notice string
	// Lag is how many messages wait at the broker, -1 if that is not known.
	Lag int64
}

// ErrBusy is what an intake returns, perhaps wrapped, that cannot take anything
// now but may later: there is no room, or what is passed on is not accepted.
var ErrBusy = errors.New("busy")

// BusyError is an ErrBusy with its reason.
type BusyError struct {
	Reason     string
	RetryAfter time.Duration // 0: the source chooses
	Err        error         // the cause, if it is an error
}

func (e *BusyError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Is makes errors.Is(err, ErrBusy) hold.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

func (e *BusyError) Unwrap() error { return e.Err }
