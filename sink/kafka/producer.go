// Package kafka passes messages on to a topic of Kafka. The server makes a
// Producer for each sink or dead-letter topic that is declared, and package
// pipeline drives it.
//
// The producer is idempotent and asks for the acknowledgement of all replicas
// that are in sync: what it sends again by itself a broker keeps once. What is
// produced again by the caller, after an error, may stand in the topic twice.
// To give that up in favour of never twice was rejected: a message whose answer
// was lost could then neither be given up nor be confirmed until its broker is
// back, and whoever waits for it would wait as long.
//
// A Producer is safe for concurrent use.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/source"
)

const (
	// maxBuffered is how many messages may wait, whatever their size: the client
	// keeps some hundred bytes for each.
	maxBuffered = 1 << 18
	// closeTimeout is how long Close waits for what is under way.
	closeTimeout = 5 * time.Second
)

// Producer sends messages to a topic. It implements pipeline.Producer.
type Producer struct {
	topic   string
	timeout time.Duration
	client  *kgo.Client

	mu   sync.Mutex // guards what follows
	idle [][]kgo.Record
}

// maxIdle bounds the memory of records that are kept for the next calls, and
// maxIdleRecords that of one call.
const (
	maxIdle        = 8
	maxIdleRecords = 1 << 14
)

// take returns n records.
func (p *Producer) take(n int) []kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := len(p.idle) - 1; i >= 0 && cap(p.idle[i]) >= n {
		records := p.idle[i][:n]
		p.idle = p.idle[:i]
		return records
	}
	return make([]kgo.Record, n)
}

// give takes back records that are acknowledged: of them the client keeps
// nothing.
func (p *Producer) give(records []kgo.Record) {
	clear(records)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) < maxIdle && cap(records) <= maxIdleRecords {
		p.idle = append(p.idle, records)
	}
}

// New returns a producer. The brokers need not be there yet; it fails if a file
// that the configuration names cannot be used.
func New(cfg Config) (*Producer, error) {
	options, err := cfg.Connection.Options()
	if err != nil {
		return nil, err
	}
	codec, err := codecOf(cfg.Compression)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options,
		kgo.DefaultProduceTopic(cfg.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(codec, kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(int32(cfg.BatchBytes)),
		kgo.ProducerLinger(cfg.Linger),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MaxBufferedBytes(cfg.BufferBytes),
		kgo.AllowAutoTopicCreation(),
		kgo.AllowIdempotentProduceCancellation(),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Producer{topic: cfg.Topic, timeout: cfg.Timeout, client: client}, nil
}

func codecOf(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("compression %q: want none, gzip, snappy, lz4 or zstd", name)
}

// Produce returns when the brokers have acknowledged all messages. Without an
// answer in time, or with one that may be another later, the error is a
// source.ErrBusy and messages may be in the topic or not. Messages that will not
// be accepted are told of by a *pipeline.Unacceptable.
func (p *Producer) Produce(ctx context.Context, messages []pipeline.Outgoing) error {
	within, done := context.WithTimeout(ctx, p.timeout)
	defer done()
	records := p.take(len(messages))
	for i := range messages {
		m, r := &messages[i], &records[i]
		r.Topic, r.Key, r.Value = m.Topic, m.Key, m.Value
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	all := make([]int, len(records))
	for i := range all {
		all[i] = i
	}
	c := p.send(within, records, all)
	never := p.apart(within, records, c)
	switch {
	case c.err != nil && ctx.Err() != nil:
		return ctx.Err()
	case c.err != nil:
		return &source.BusyError{Reason: "Kafka does not take what is passed on to topic " + p.topic, Err: c.err}
	case never != nil:
		slices.Sort(never.Messages)
		return never
	}
	p.give(records)
	return nil
}

// apart sends again what was too large, in ever smaller parts: a batch fails as
// a whole, and in a smaller one most of its messages are small enough. It returns
// those that are not even alone, nil if there are none. Other errors it notes in
// c.
func (p *Producer) apart(ctx context.Context, records []kgo.Record, c *call) *pipeline.Unacceptable {
	var never *pipeline.Unacceptable
	parts := [][]int{c.never}
	for len(parts) > 0 && c.err == nil {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		slices.Sort(part)
		for _, half := range [][]int{part[:len(part)/2], part[len(part)/2:]} {
			if len(half) == 0 {
				continue
			}
			again := p.send(ctx, records, half)
			c.err = errors.Join(c.err, again.err)
			switch {
			case len(again.never) == 1 && len(half) == 1:
				if never == nil {
					never = &pipeline.Unacceptable{Err: fmt.Errorf("topic %s: %w", p.topic, again.why)}
				}
				never.Messages = append(never.Messages, half[0])
			case len(again.never) > 0:
				parts = append(parts, again.never)
			}
		}
	}
	return never
}

// send produces some of records and returns when the fate of each is known.
func (p *Producer) send(ctx context.Context, records []kgo.Record, which []int) *call {
	c := &call{}
	c.waiting.Add(len(which))
	for _, i := range which {
		p.client.Produce(ctx, &records[i], func(_ *kgo.Record, err error) {
			if err != nil {
				c.failed(i, err)
			}
			c.waiting.Done()
		})
	}
	c.waiting.Wait()
	return c
}

// call is records that are under way.
type call struct {
	waiting sync.WaitGroup

	mu    sync.Mutex // guards what follows
	err   error      // of a record that may be accepted later
	never []int      // those that will not
	why   error      // one of them is not
}

func (c *call) failed(i int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case hopeless(err):
		c.never, c.why = append(c.never, i), err
	case c.err == nil: // what one fails with fails those behind it too
		c.err = err
	}
}

// hopeless reports whether the record is what is wrong.
func hopeless(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) ||
		errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.InvalidTimestamp)
}

// Close lets go of the brokers. Nothing is produced any more.
func (p *Producer) Close() error {
	ctx, done := context.WithTimeout(context.Background(), closeTimeout)
	defer done()
	err := p.client.Flush(ctx)
	p.client.Close()
	if err != nil {
		return fmt.Errorf("kafka: flush topic %s: %w", p.topic, err)
	}
	return nil
}
