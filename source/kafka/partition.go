package kafka

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// place names a partition.
type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// partition is a partition that the group has given to this server. The queue's
// mutex guards it.
type partition struct {
	place
	// waiting are records that were fetched and are in no batch, poll by poll,
	// in their order; from is the first of waiting[0] that is.
	waiting []fetched
	from    int
	// reads is the offset that is read next, which is behind what was put in; -1 if
	// it is not known yet. There may be none before what the broker has. moved is
	// when that was, or when it was last seen that nothing more is to be had
	// before the end, which is kept as cleared.
	reads   int64
	moved   time.Time
	cleared int64
	// held: what comes is left out, because it is not clear what stands before it.
	held bool
	// flying: some of its records are in a batch. No others are put into one
	// meanwhile, or the later could overtake the earlier.
	flying bool
	// listed: it stands in the queue's list of those with records to take.
	listed bool
	// leaving: it is being given up, or is left where it is because all ends.
	// What waits is gone and nothing comes after it, and a batch that has to be
	// handed over again goes without its records.
	leaving bool
	// gone: it belongs to another server. What becomes of a batch that is still
	// under way is of no account.
	gone bool
	// taken is the place behind the last record that was taken; committed what
	// the broker was told of it. Offset -1: none yet.
	taken, committed kgo.EpochOffset
	// start is where reading began and end where the partition ends at the
	// broker; -1 if that is not known.
	start, end int64
}

func newPartition(at place) *partition {
	return &partition{place: at, taken: none, committed: none, reads: -1, moved: time.Now(), cleared: -1, start: -1, end: -1}
}

// none is the place of a partition in which nothing has been taken.
var none = kgo.EpochOffset{Epoch: -1, Offset: -1}

// cut takes at most n records of the first poll that waits, and at least one.
func (p *partition) cut(n int) fetched {
	poll := fetched{p.waiting[0].records[p.from:], p.waiting[0].unread}
	if n < len(poll.records) {
		p.from += n
		poll.records = poll.records[:n]
		return poll
	}
	p.waiting[0] = fetched{}
	p.waiting, p.from = p.waiting[1:], 0
	return poll
}

// size is how much memory a record counts for: what it carries, and a round
// sum for the record itself and its slices.
func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value) + 256
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + 48
	}
	return n
}

func sizes(records []*kgo.Record) int {
	n := 0
	for _, r := range records {
		n += size(r)
	}
	return n
}
