package kafka

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/source"
)

// countingIntake counts messages and bytes, and ends a benchmark.
type countingIntake struct {
	want      int64
	n, bytes  atomic.Int64
	calls     atomic.Int64
	satisfied context.CancelFunc
}

func (c *countingIntake) Take(_ context.Context, messages []source.Message) (source.Result, error) {
	size := 0
	for i := range messages {
		size += len(messages[i].Payload)
	}
	c.bytes.Add(int64(size))
	c.calls.Add(1)
	if c.n.Add(int64(len(messages))) >= c.want {
		c.satisfied()
	}
	return source.Result{Stored: len(messages)}, nil
}

func (*countingIntake) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	panic("BUG: Kafka hands over messages")
}

// BenchmarkBacklog is what reading costs by itself: 110 bytes a message, which
// the broker, in the process, takes from one batch again and again, and an intake
// that counts.
func BenchmarkBacklog(b *testing.B) {
	for _, c := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{{"none", kgo.NoCompression()}, {"lz4", kgo.Lz4Compression()}, {"snappy", kgo.SnappyCompression()}, {"zstd", kgo.ZstdCompression()}} {
		b.Run(c.name, func(b *testing.B) {
			cluster := newCluster(b, kfake.SeedTopics(8, "a"), kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: 110, RandomFrac: 0.3, Compression: c.codec}))
			s, err := New(testConfig(cluster, "a"), slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			ctx, done := context.WithCancel(b.Context())
			defer done()
			intake := &countingIntake{want: int64(b.N), satisfied: done}
			b.ReportAllocs()
			b.ResetTimer()
			if err := s.Run(ctx, intake); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(intake.n.Load())/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(intake.n.Load())/float64(intake.calls.Load()), "messages/batch")
		})
	}
}
