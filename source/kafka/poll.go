package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// poll fetches until ctx ends, or a partition has brought nothing but an error
// for so long that all is begun anew.
func (m *member) poll(ctx context.Context) {
	var bad refusals
	for ctx.Err() == nil {
		m.queue.waitForSpace()
		wait, done := bad.within(ctx, m.source.startAgainAfter)
		m.polling.Store(&done)
		m.stir()
		fetches := m.client.PollFetches(wait)
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if p.Topic == "" {
				return
			}
			at := place{p.Topic, p.Partition}
			m.queue.add(at, p.Records, p.HighWatermark)
			if p.Err != nil {
				m.failed(at, p.Err)
				return
			}
			bad.read(at)
			if len(p.Records) > 0 {
				m.suspects.read(at)
			}
		})
		m.settle()
		m.client.AllowRebalance()
		over := errors.Is(wait.Err(), context.DeadlineExceeded)
		done()
		if over {
			return
		}
		for _, e := range fetches.Errors() {
			if e.Topic != "" && doubtful(e.Err) || e.Topic == "" && errors.Is(e.Err, context.Canceled) {
				continue
			}
			if bad.note(place{e.Topic, e.Partition}, e.Err) {
				m.source.log.Warn("cannot read from Kafka", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
			}
		}
		m.source.trouble.note(ofFetch, bad.text())
	}
}

// failed does what an error of a partition asks for, if that is more than to tell of it.
func (m *member) failed(at place, err error) {
	var lost *kgo.ErrDataLoss
	switch {
	case errors.As(err, &lost):
		m.queue.readFrom(at, lost.ResetTo)
	case doubtful(err):
		m.doubt(at, err)
	}
}

// refusals are the partitions that could not be read at their last fetch.
type refusals struct {
	errors map[place]error
	since  time.Time // of the oldest that lasts; zero if none does
}

// within returns a context that ends at its deadline when it is time to begin anew.
func (r *refusals) within(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	if r.since.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.since.Add(after))
}

// read notes that a partition can be read. What was said of none in particular
// is over too then.
func (r *refusals) read(at place) {
	if len(r.errors) == 0 {
		return
	}
	delete(r.errors, at)
	for other := range r.errors {
		if other.topic == "" {
			delete(r.errors, other)
		}
	}
	for _, err := range r.errors {
		if lasting(err) {
			return
		}
	}
	r.since = time.Time{}
}

// note notes an error and reports whether it is news.
func (r *refusals) note(at place, err error) bool {
	if r.errors == nil {
		r.errors = map[place]error{}
	}
	old := r.errors[at]
	r.errors[at] = err
	if lasting(err) && r.since.IsZero() {
		r.since = time.Now()
	}
	return old == nil || old.Error() != err.Error()
}

// text tells of one of the partitions, and how many there are.
func (r *refusals) text() string {
	for at, err := range r.errors {
		what := "read " + at.String() + ": " + err.Error()
		if n := len(r.errors) - 1; n > 0 {
			what += fmt.Sprintf(" (and %d others)", n)
		}
		return what
	}
	return ""
}

// lasting reports whether the client has given up a partition for good. It
// goes on by itself after lost data, when the group refuses it, and when no
// broker answers.
func lasting(err error) bool {
	var (
		lost  *kgo.ErrDataLoss
		group *kgo.ErrGroupSession
		away  net.Error
	)
	return !errors.As(err, &lost) && !errors.As(err, &group) && !errors.As(err, &away) && !kerr.IsRetriable(err)
}
