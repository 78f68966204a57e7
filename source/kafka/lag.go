package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// measureWhile asks where partitions end until ctx ends, for the lag of those
// that bring nothing. That it cannot is no trouble: reading tells of it.
func (m *member) measureWhile(ctx context.Context) {
	admin := kadm.NewClient(m.client)
	t := time.NewTicker(measureEvery)
	defer t.Stop()
	for {
		m.measure(ctx, admin)
		select {
		case <-ctx.Done():
			return
		case <-m.came:
		case <-t.C:
		}
	}
}

func (m *member) measure(ctx context.Context, admin *kadm.Client) {
	ctx, done := context.WithTimeout(ctx, measureEvery)
	defer done()
	if names := m.source.cfg.Topics; len(names) > 0 {
		if found, err := admin.ListTopics(ctx, names...); err == nil {
			m.missing(found)
		}
	}
	topics := m.queue.topics()
	if len(topics) == 0 {
		return
	}
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return
	}
	committed := m.client.CommittedOffsets()
	m.queue.measure(
		func(at place) int64 { return listed(ends, at) },
		func(at place) int64 {
			if o, ok := committed[at.topic][at.partition]; ok && o.Offset >= 0 {
				return o.Offset
			}
			if m.source.cfg.Latest {
				return listed(ends, at)
			}
			return listed(starts, at)
		})
	for _, at := range m.queue.quiet(m.source.quietAfter) {
		m.suspects.add(at, nil, false)
	}
}

// missing tells which topics cannot be read because they are not there, or not
// for this user.
func (m *member) missing(found kadm.TopicDetails) {
	what := ""
	for _, t := range found.Sorted() {
		if t.Err == nil {
			continue
		}
		if what != "" {
			what += "; "
		}
		what += "topic " + t.Topic + ": " + t.Err.Error()
	}
	if m.source.trouble.note(ofTopics, what) && what != "" {
		m.source.log.Warn("topics cannot be read yet", "reason", what)
	}
}

func listed(all kadm.ListedOffsets, at place) int64 {
	if o, ok := all.Lookup(at.topic, at.partition); ok && o.Err == nil {
		return o.Offset
	}
	return -1
}
