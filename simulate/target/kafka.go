package target

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/kafka"
)

// KafkaConfig says which brokers messages are produced to.
type KafkaConfig struct {
	kafka.Connection
	// Buffered is how many messages may wait to be acknowledged.
	Buffered int
	// Linger is how long a message waits for others to go along with it.
	Linger time.Duration
}

// Kafka produces messages. The producer is idempotent: what it sends again
// the broker keeps once, unless it was the broker's log that was lost.
type Kafka struct {
	tally   *Tally
	client  *kgo.Client
	pending atomic.Int64    // messages that are neither acknowledged nor refused
	ctx     context.Context // of what waits
	cancel  context.CancelFunc
}

// NewKafka returns a target for brokers, which need not be there yet.
func NewKafka(cfg KafkaConfig, tally *Tally) (*Kafka, error) {
	opts, err := cfg.Connection.Options()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	opts = append(opts,
		kgo.AllowAutoTopicCreation(),
		kgo.MaxBufferedRecords(cfg.Buffered), kgo.ProducerLinger(cfg.Linger),
		// A topic that is only being made is unknown for a while.
		kgo.UnknownTopicRetries(-1),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	k := &Kafka{tally: tally, client: client}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k, nil
}

// Send hands a batch to the producer; it waits while too many messages are
// not acknowledged.
func (k *Kafka) Send(ctx context.Context, b *Batch) error {
	stop := context.AfterFunc(ctx, k.cancel)
	defer stop()
	text := append([]byte(nil), b.Text...)
	records := make([]kgo.Record, b.Len())
	k.tally.Sent(b.Len(), len(b.Text))
	k.pending.Add(int64(b.Len()))
	topic := ""
	for i := range b.messages {
		m, r := &b.messages[i], &records[i]
		if t := text[m.start:m.topic]; string(t) != topic {
			topic = string(t)
		}
		r.Topic = topic
		if m.key > m.topic {
			r.Key = text[m.topic:m.key:m.key]
		}
		r.Value = text[m.key:m.end:m.end]
		k.produce(r, m.due)
	}
	return ctx.Err()
}

func (k *Kafka) produce(r *kgo.Record, due int64) {
	k.client.Produce(k.ctx, r, func(r *kgo.Record, err error) {
		switch {
		case err == nil:
			k.tally.Acked(due, time.Now().UnixNano())
		case k.ctx.Err() != nil || errors.Is(err, kgo.ErrClientClosed):
			return // given up, which is what pending tells
		case hopeless(err):
			k.tally.Refused(1, "kafka: "+err.Error())
		default:
			// The producer gives up by itself where the broker has lost what it
			// knew of it. Callbacks must not wait for room, so that is left to a
			// goroutine, which ends with ctx.
			k.tally.Trouble("kafka: " + err.Error())
			k.tally.Retried(1)
			again := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
			go func() {
				if errors.Is(err, kerr.UnknownTopicID) {
					// The topic is another one of the same name by now, which the producer
					// does not find out by itself.
					k.client.PurgeTopicsFromProducing(r.Topic)
				}
				if pause(k.ctx, produceAgain) {
					k.produce(again, due)
				}
			}()
			return
		}
		k.pending.Add(-1)
	})
}

// produceAgain is how long a message waits that the producer gave up.
const produceAgain = 200 * time.Millisecond

// hopeless tells whether a message will be refused however often it is sent.
func hopeless(err error) bool {
	for _, e := range []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTopicException, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.InvalidRecord} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Drain waits until all is acknowledged or refused, or ctx ends.
func (k *Kafka) Drain(ctx context.Context) error {
	for k.pending.Load() > 0 {
		if err := k.client.Flush(ctx); err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		if k.pending.Load() > 0 && !pause(ctx, firstWait) {
			return ctx.Err()
		}
	}
	return nil
}

// Close gives up what is not acknowledged.
func (k *Kafka) Close() error {
	k.cancel()
	k.client.Close()
	return nil
}
