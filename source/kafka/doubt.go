package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/source"
)

const (
	// examineTimeout bounds one look at a partition.
	examineTimeout = 30 * time.Second
	// quietAfter is after what time a partition that has messages and brings none is
	// examined: the client says nothing of batches that it makes no headway in.
	quietAfter = 30 * time.Second
)

// doubtful reports whether an error of a partition may be about what is in it, and not
// about getting at it.
func doubtful(err error) bool {
	var of *kerr.Error
	return err != nil && lasting(err) && !errors.As(err, &of) && !errors.Is(err, kgo.ErrClientClosed) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// begins notes where the reading of partitions begins. It is called when the client has
// asked how far the group has read them, and returns where it is to begin. For the end of
// a partition that is an offset, so that it is known.
func (m *member) begins(ctx context.Context, all map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	const start, end = -2, -1
	var ends kadm.ListedOffsets
	for topic, partitions := range all {
		for n, o := range partitions {
			at := place{topic, n}
			offset := o.EpochOffset().Offset
			switch offset {
			case start:
				offset = 0
			case end:
				if ends == nil {
					// Without an answer the client finds out by itself.
					ends, _ = kadm.NewClient(m.client).ListCommittedOffsets(ctx, slices.Collect(maps.Keys(all))...)
				}
				if offset = listed(ends, at); offset >= 0 {
					partitions[n] = kgo.NewOffset().At(offset)
				}
			}
			m.queue.readFrom(at, offset)
		}
	}
	return all, nil
}

// doubt has a partition examined that the client cannot read. Nothing of it is read
// meanwhile; the client would ask for the same without a pause, and passes over some of
// it by itself.
func (m *member) doubt(at place, err error) {
	var large *kgo.ErrDecompressTooLarge
	errors.As(err, &large)
	m.queue.hold(at)
	m.client.PauseFetchPartitions(map[string][]int32{at.topic: {at.partition}})
	m.suspects.add(at, large, true)
}

// examineWhile looks at suspects until ctx ends.
func (m *member) examineWhile(ctx context.Context) {
	e := newExaminer(m.source)
	defer e.close()
	for ctx.Err() == nil {
		o, large, wait := m.suspects.next()
		if o == nil {
			select {
			case <-ctx.Done():
			case <-m.suspects.planned:
			case <-time.After(wait):
			}
			continue
		}
		from := m.queue.reading(o.place)
		var f finding
		err := errors.New("it is not known yet where reading begins")
		if from >= 0 {
			within, done := context.WithTimeout(ctx, examineTimeout)
			f, err = e.examine(within, o.place, from, large)
			done()
		}
		if ctx.Err() != nil {
			return
		}
		m.suspects.note(o, from, f, err)
		m.source.trouble.note(ofUnread, m.suspects.text())
		m.stir()
	}
}

// stir ends a poll under way, if something is to be settled.
func (m *member) stir() {
	if end := m.polling.Load(); end != nil && len(m.suspects.settled()) > 0 {
		(*end)()
	}
}

// settle does what follows from what was found. The poller calls it while the group's
// callbacks are held off.
func (m *member) settle() {
	for _, v := range m.suspects.settled() {
		switch f := &v.found; {
		case m.queue.reading(v.place) != v.from && v.held:
			m.suspects.redo(v)
		case m.queue.reading(v.place) != v.from:
			m.suspects.drop(v)
		case f.batch == nil:
			m.suspects.clear(v)
			m.queue.clear(v.place, f.end)
			m.goOn(v, v.from)
		case m.source.cfg.StopAtUnreadable:
			m.suspects.stop(v)
			if v.stopped {
				continue
			}
			m.source.log.Error("a batch of Kafka cannot be read, and its partition stands still",
				"topic", v.topic, "partition", v.partition, "batch", f.batch.String(), "reason", f.why)
		default:
			m.passOver(v)
		}
	}
	m.source.trouble.note(ofUnread, m.suspects.text())
}

// passOver hands a batch that cannot be read over as what it is, and goes on behind it.
func (m *member) passOver(v verdict) {
	m.suspects.drop(v)
	f := &v.found
	u := &unread{Unread: source.Unread{Reason: f.reason, Detail: f.batch.String() + ": " + f.why}, first: f.first}
	if f.batch.sound {
		u.latest = f.batch.latest
	}
	if !m.queue.passOver(v.place, f.next, f.batch.raw, u) {
		return // it is being given up
	}
	m.source.passed.note(v.place, u)
	m.source.log.Warn("a batch of Kafka cannot be read and is kept among the refused messages",
		"topic", v.topic, "partition", v.partition, "batch", f.batch.String(), "reason", f.why)
	v.held = true
	m.goOn(v, f.next)
}

// goOn has a partition that stood still read from an offset on. The client does nothing
// where it believes that it is there already, and need not be right: it passes over
// batches of a format that it does not know. So it is sent past the place first.
func (m *member) goOn(v verdict, offset int64) {
	if !v.held {
		return
	}
	for _, to := range []int64{offset + 1, offset} {
		m.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{v.topic: {v.partition: {Epoch: -1, Offset: to}}})
	}
	m.client.ResumeFetchPartitions(map[string][]int32{v.topic: {v.partition}})
}
