package kafka

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/source"
)

const (
	// firstWait and longestWait are between attempts to hand a batch over to an
	// intake that does not say how long it will be busy.
	firstWait   = 50 * time.Millisecond
	longestWait = 5 * time.Second
)

// worker hands batches over. Its slices are used again for each.
type worker struct {
	queue  *queue
	intake source.Intake
	told   func(trouble string)
	// headerTags belong to headers one by one.
	headers    []string
	headerTags [][]byte

	messages []source.Message
	tags     []column.Tag
}

func newWorker(cfg *Config, q *queue, intake source.Intake, told func(string)) *worker {
	w := &worker{queue: q, intake: intake, told: told}
	for _, t := range cfg.HeaderTags {
		w.headers, w.headerTags = append(w.headers, t.Header), append(w.headerTags, []byte(t.Tag))
	}
	return w
}

// run hands batches over until the queue is closed. It does not try again once
// ctx has ended; an attempt that is under way ends with taking.
func (w *worker) run(ctx, taking context.Context) {
	for {
		b := w.queue.take()
		if b == nil {
			return
		}
		w.queue.land(b, w.deliver(ctx, taking, b))
	}
}

// deliver hands b over until that works, and reports whether it did.
func (w *worker) deliver(ctx, taking context.Context, b *batch) bool {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		attempt := w.queue.begin(taking, b)
		if attempt == nil {
			return false
		}
		_, err := w.intake.Take(attempt, w.fill(b))
		stopped := attempt.Err() != nil
		w.queue.end(b)
		if err == nil {
			w.told("")
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if !stopped {
			w.told(err.Error())
		}
		select {
		case <-ctx.Done():
			return false
		case <-b.shed:
		case <-time.After(pause(err, wait)):
		}
	}
}

// pause returns how long to wait after an error: what it says, else a time
// around wait, so that workers do not all come at once.
func pause(err error, wait time.Duration) time.Duration {
	var busy *source.BusyError
	if errors.As(err, &busy) && busy.RetryAfter > 0 {
		return busy.RetryAfter
	}
	return wait/2 + rand.N(wait)
}

// nanoseconds returns the time of a record since 1970, 0 if it has none. One that 64
// bits do not hold, such as that of a producer which took microseconds for
// milliseconds, is the last there is: points that need it are refused.
func nanoseconds(t time.Time) int64 {
	const last = math.MaxInt64 / int64(time.Millisecond)
	switch ms := t.UnixMilli(); {
	case ms <= 0:
		return 0
	case ms > last:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// fill returns the records of b as messages, which are valid until the next
// fill.
func (w *worker) fill(b *batch) []source.Message {
	w.messages, w.tags = w.messages[:0], w.tags[:0]
	for _, o := range b.portions {
		if o.unread != nil {
			w.messages = append(w.messages, o.unread.message(o.records[0]))
			continue
		}
		for _, r := range o.records {
			m := source.Message{Topic: r.Topic, Key: r.Key, Payload: r.Value, Partition: r.Partition, Offset: r.Offset}
			m.Time = nanoseconds(r.Timestamp)
			if w.headers != nil {
				m.Tags = w.tagsOf(r)
			}
			w.messages = append(w.messages, m)
		}
	}
	return w.messages
}

// tagsOf returns the headers of a record that are declared as tags and not
// empty. Of one that is given twice the last counts.
func (w *worker) tagsOf(r *kgo.Record) []column.Tag {
	from := len(w.tags)
	for n, name := range w.headers {
		for i := len(r.Headers) - 1; i >= 0; i-- {
			if h := &r.Headers[i]; h.Key == name {
				if len(h.Value) > 0 {
					w.tags = append(w.tags, column.Tag{Key: w.headerTags[n], Value: h.Value})
				}
				break
			}
		}
	}
	if len(w.tags) == from {
		return nil
	}
	return w.tags[from:len(w.tags):len(w.tags)]
}
