package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// examiner fetches from a partition beside the member, to see what it is that the member
// cannot read. It has connections of its own: on those of the member a broker answers
// when it has answered what was asked before, which can be when new messages come. One
// goroutine uses it.
type examiner struct {
	connect    []kgo.Opt
	client     *kgo.Client // nil: nothing has been examined yet
	fetchBytes int
	unpack     *unpacker
}

// Why a batch cannot be read, for counts.
const (
	tooLarge    = "batch_too_large"
	badChecksum = "batch_bad_checksum"
	badCodec    = "batch_unknown_codec"
	badPacking  = "batch_cannot_be_unpacked"
	badFormat   = "batch_unknown_format"
	badMessages = "batch_bad_messages"
)

// finding is what there is at a place of a partition. If batch is nil, nothing is wrong
// there.
type finding struct {
	batch  *packed
	reason string
	why    string
	first  int64 // the first message of the batch that was not read
	next   int64 // where reading goes on behind the batch, -1 if that is not sure
	end    int64 // where the partition ends, if nothing is left of it until there; else -1
}

func newExaminer(s *Source) *examiner {
	return &examiner{connect: s.connect, fetchBytes: s.cfg.FetchBytes, unpack: s.unpack}
}

func (e *examiner) close() {
	if e.client != nil {
		e.client.Close()
	}
}

// examine looks at what comes at an offset of a partition. large, if it is not nil, is
// what the client said of a batch that is not unpacked once more.
func (e *examiner) examine(ctx context.Context, at place, from int64, large *kgo.ErrDecompressTooLarge) (finding, error) {
	if large != nil {
		from = large.NextOffset - 1
	}
	for size := e.fetchBytes; ; {
		answer, err := e.fetch(ctx, at, from, size)
		switch {
		case err == kerr.OffsetOutOfRange && large == nil && answer.LogStartOffset > from:
			from = answer.LogStartOffset
			continue
		case err == kerr.OffsetOutOfRange:
			return finding{end: -1}, nil
		case err != nil:
			return finding{}, err
		case len(answer.RecordBatches) == 0 || from >= answer.HighWatermark:
			return finding{end: answer.HighWatermark}, nil
		}
		var f finding
		var rest []byte
		if large != nil {
			f, rest = e.known(answer, large)
		} else {
			var next int64
			if f, rest, next, err = e.look(answer, at, from); err == nil && f.batch == nil && next > from {
				if from = next; from < answer.HighWatermark {
					continue
				}
			}
		}
		if err != nil || f.batch == nil {
			if f.end = answer.HighWatermark; from < f.end {
				f.end = -1
			}
			return f, err
		}
		f.next = f.batch.behind(rest, f.first, answer.HighWatermark)
		if f.next < 0 && size == e.fetchBytes {
			size += len(f.batch.raw) // what follows may not have had room
			continue
		}
		return f, nil
	}
}

// look reads an answer as the client does. If there are messages for us in it, or nothing
// at all, nothing is wrong. Else it returns the batch that cannot be read and what
// follows it, or where to go on behind what is not for us: the marks and messages of
// transactions that were given up, what was compacted away.
func (e *examiner) look(answer *kmsg.FetchResponseTopicPartition, at place, from int64) (f finding, rest []byte, next int64, err error) {
	read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: at.topic, Partition: at.partition,
	}, answer, e.unpack, nil)
	if len(read.Records) > 0 {
		return f, nil, from, nil
	}
	if read.Err == nil && next > from {
		return f, nil, next, nil
	}
	for rest = answer.RecordBatches; ; {
		var b packed
		var ok bool
		if b, rest, ok = readPacked(rest); !ok {
			return f, nil, from, fmt.Errorf("what the broker sends from offset %d on has no whole batch in it", from)
		}
		if b.sound && b.last < next {
			continue
		}
		f = finding{batch: &b, first: max(from, b.first)}
		f.reason, f.why = e.judge(&b, read.Err)
		return f, rest, from, nil
	}
}

// judge says what is wrong with a batch. err is what the client said of it, nil if it
// said nothing and read nothing.
func (e *examiner) judge(b *packed, err error) (reason, why string) {
	switch {
	case b.format > 2:
		return badFormat, fmt.Sprintf("format %d is not known", b.format)
	case !b.sound:
		return badChecksum, "the checksum is wrong"
	case b.codec > lastCodec:
		return badCodec, "the codec is not known"
	case errors.Is(err, kgo.ErrMaxDecompress):
		return tooLarge, e.large()
	case err == nil:
		return badMessages, "messages in it are torn"
	case b.codec > 0:
		return badPacking, err.Error()
	}
	return badMessages, err.Error()
}

func (e *examiner) large() string {
	return fmt.Sprintf("unpacked it takes more than max_unpacked, %d bytes", e.unpack.max)
}

// known returns the batch that the client said to be too large, if it is there still. The
// client has seen the checksum.
func (e *examiner) known(answer *kmsg.FetchResponseTopicPartition, large *kgo.ErrDecompressTooLarge) (finding, []byte) {
	b, rest, ok := readPacked(answer.RecordBatches)
	if !ok || b.last != large.NextOffset-1 || !b.sound {
		return finding{}, nil
	}
	return finding{batch: &b, first: large.Offset, reason: tooLarge, why: e.large()}, rest
}

// fetch returns what the leader of a partition has from an offset on. The batch that has
// it is whole, whatever its size.
func (e *examiner) fetch(ctx context.Context, at place, from int64, size int) (*kmsg.FetchResponseTopicPartition, error) {
	if e.client == nil {
		client, err := kgo.NewClient(e.connect...)
		if err != nil {
			return nil, err
		}
		e.client = client
	}
	topics, err := kadm.NewClient(e.client).ListTopics(ctx, at.topic)
	if err != nil {
		return nil, err
	}
	topic := topics[at.topic]
	if topic.Err != nil {
		return nil, topic.Err
	}
	p, ok := topic.Partitions[at.partition]
	if !ok || p.Leader < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	asked := kmsg.NewFetchRequestTopicPartition()
	asked.Partition, asked.FetchOffset, asked.PartitionMaxBytes = at.partition, from, int32(min(size, 1<<30))
	of := kmsg.NewFetchRequestTopic()
	of.Topic, of.TopicID, of.Partitions = at.topic, topic.ID, []kmsg.FetchRequestTopicPartition{asked}
	r := kmsg.NewPtrFetchRequest()
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes = 500, 1, asked.PartitionMaxBytes
	r.IsolationLevel = 1 // what was committed
	r.Topics = []kmsg.FetchRequestTopic{of}
	answer, err := e.client.Broker(int(p.Leader)).Request(ctx, r)
	if err != nil {
		return nil, err
	}
	got := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return nil, err
	}
	if len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 {
		return nil, errors.New("the broker answers for other partitions than it was asked for")
	}
	found := &got.Topics[0].Partitions[0]
	return found, kerr.ErrorForCode(found.ErrorCode)
}
