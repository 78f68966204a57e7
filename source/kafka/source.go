// Package kafka reads topics of Kafka as a member of a consumer group. The
// server makes a Source for each pipeline that declares one; Run is called
// once, Status at any time.
//
// The way of a message:
//
//  1. The poller fetches and puts records into the queue, partition by
//     partition. It stops while the queue is full.
//  2. A worker takes a batch out: records of partitions of which no other batch
//     is under way, so that a partition's are taken in their order. It hands the
//     batch over, again and again with growing waits if the intake fails.
//  3. When Take returned without an error the partition's place moves behind the
//     batch. The committer tells the broker, at most every 100 ms.
//  4. When the group takes a partition away, what waits of it is dropped and
//     what is under way is waited for, for a while; then the broker is told how
//     far it was taken, and only then the partition is let go.
//
// A batch that cannot be read, because it is damaged or unpacks to too much, is a message
// too: it is handed over as it came, for the intake to keep as refused.
//
//  1. The client says that it cannot read a partition. The poller lets the partition
//     stand still and leaves out what comes of it.
//  2. The examiner fetches the batch by itself. One whose checksum is right is as its
//     producer made it, and certain at once. One whose checksum is wrong is fetched
//     until it came five times just so: what a network does to it changes.
//  3. The poller puts the batch into the queue, and has the partition read on behind it.
//     Where that is says the batch if its checksum is right, else what follows it.
//
// The client says nothing where it makes no headway. Partitions that have messages and
// bring none are therefore examined as well, and found to be right if they are: what
// is left of them are the marks of transactions, or messages that are not committed. It
// says nothing either of a message that is torn inside a batch with the right checksum,
// which brokers refuse to take from producers, if there are others behind it.
//
// A place that the broker is told therefore never goes beyond what the intake
// has accounted for. A crash, or a batch that was cut short when a partition
// went, lets messages come again: the one who has the partition next begins at
// the place that was told last. Nothing is skipped for good that the intake
// has not taken.
//
// Polls hold off the group's callbacks until their records stand in the queue
// (BlockRebalanceOnPoll), or a partition could be given up between a poll and
// the queue, which would then commit what is no longer its own. To hold them
// off until records are taken would be simpler and was rejected: one slow
// intake would have the whole server put out of the group.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/varvedb/varve/source"
)

const (
	// commitEvery spares the broker: what a crash makes come again is bounded by
	// what is taken in this time.
	commitEvery = 100 * time.Millisecond
	// commitTimeout bounds a commit, and leaving the group: a broker that is away
	// must not hold up the end of the server.
	commitTimeout = 5 * time.Second
	// giveUpPatience is how long what is under way may take when the group takes
	// partitions away, and giveUpStop how long to stop. Both are far from
	// rebalanceTimeout, after which the group goes on without this member.
	giveUpPatience   = 10 * time.Second
	giveUpStop       = 2 * time.Second
	rebalanceTimeout = time.Minute
	// stopPatience is how long what is under way may take when Run is to end.
	stopPatience = 5 * time.Second
	// measureEvery is how often ends of partitions are asked for. Those that
	// have messages tell them with each fetch.
	measureEvery = 5 * time.Second
)

// Source reads topics. It implements source.Source.
type Source struct {
	cfg Config
	log *slog.Logger
	// connect is how brokers are reached, options what a member of the group needs
	// besides.
	connect, options []kgo.Opt
	unpack           *unpacker
	// startAgainAfter is how long a partition that the client has given up for
	// good stands still before all is begun anew.
	startAgainAfter time.Duration
	// examineAgain is after what time a partition that cannot be read is fetched from
	// for the second time, and quietAfter when one is that brings nothing.
	examineAgain, quietAfter time.Duration
	trouble                  trouble
	passed                   passed
	queue                    atomic.Pointer[queue] // of the session under way; nil if there is none
}

// New returns a source that is not running yet. It fails if a file that the
// configuration names cannot be used.
func New(cfg Config, log *slog.Logger) (*Source, error) {
	s := &Source{cfg: cfg, log: log.With("source", "kafka", "group", cfg.Group), startAgainAfter: 30 * time.Second,
		examineAgain: time.Second, quietAfter: quietAfter}
	s.trouble.log = s.log
	var err error
	if s.connect, err = cfg.Connection.Options(); err != nil {
		return nil, err
	}
	if s.unpack, err = newUnpacker(cfg.MaxUnpackedBytes); err != nil {
		return nil, err
	}
	s.options = append(s.options,
		kgo.ConsumerGroup(cfg.Group),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(cfg.SessionTimeout/5, 3*time.Second)),
		kgo.FetchMaxBytes(int32(cfg.FetchBytes)),
		kgo.FetchMaxPartitionBytes(int32(cfg.FetchBytes)),
		kgo.WithDecompressor(s.unpack),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.WithHooks(&s.trouble),
	)
	if include, exclude := cfg.expressions(); include != nil {
		s.options = append(s.options, kgo.ConsumeRegex(), kgo.ConsumeTopics(include...), kgo.ConsumeExcludeTopics(exclude...))
	} else {
		s.options = append(s.options, kgo.ConsumeTopics(cfg.Topics...))
	}
	if cfg.Instance != "" {
		s.options = append(s.options, kgo.InstanceID(cfg.Instance))
	}
	if cfg.Latest {
		s.options = append(s.options, kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()))
	}
	return s, nil
}

// Status tells how s fares. Lag is that of the partitions of this server.
func (s *Source) Status() source.Status {
	status := source.Status{Lag: -1}
	status.Connected, status.Trouble = s.trouble.tell()
	_, status.Notice = s.passed.tell()
	if q := s.queue.Load(); q != nil {
		status.Lag = q.lag()
	}
	return status
}

// Counts implements source.Counter. unreadable_batches are batches of a broker that were
// passed over and kept as refused.
func (s *Source) Counts() []source.Count {
	n, _ := s.passed.tell()
	return []source.Count{{Event: "unreadable_batches", N: n}}
}

// Run reads until ctx ends.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	for {
		if err := s.session(ctx, intake); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// session is a membership in the group, from joining to leaving. It ends with
// ctx, or when a partition cannot be read for good.
func (s *Source) session(ctx context.Context, intake source.Intake) error {
	q := newQueue(&s.cfg)
	m := &member{source: s, queue: q, suspects: newSuspects(s.examineAgain), came: make(chan struct{}, 1)}
	client, err := kgo.NewClient(append(slices.Concat(s.connect, s.options),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
		kgo.AdjustFetchOffsetsFn(m.begins),
	)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	m.client = client
	s.queue.Store(q)
	defer s.queue.Store(nil)
	s.trouble.rest()
	defer s.trouble.rest()

	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(ctx, q.close)()
	// What is under way when ctx ends has stopPatience to finish.
	taking, stopTaking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTaking()

	var workers, others sync.WaitGroup
	for range s.cfg.InFlight {
		workers.Go(func() { newWorker(&s.cfg, q, intake, m.told).run(ctx, taking) })
	}
	others.Go(func() { m.commitWhile(ctx) })
	others.Go(func() { m.measureWhile(ctx) })
	others.Go(func() { m.examineWhile(ctx) })
	m.poll(ctx)

	end()
	hurry := time.AfterFunc(stopPatience, stopTaking)
	workers.Wait()
	hurry.Stop()
	others.Wait()

	last, done := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer done()
	m.commit(last)
	if err := client.LeaveGroupContext(last); err != nil {
		s.log.Warn("left the group without telling it", "error", err)
	}
	client.CloseAllowingRebalance()
	return nil
}

// member is what a session does as a member of the group.
type member struct {
	source *Source
	queue  *queue
	client *kgo.Client
	came   chan struct{} // has a place in it when partitions came
	// suspects are partitions that may not be readable; polling ends the poll under way.
	suspects *suspects
	polling  atomic.Pointer[context.CancelFunc]
	// committing is held from looking what is due to the broker's answer, so
	// that partitions are not given up in between: a commit after that would
	// set back the one who has them next.
	committing sync.Mutex
}

func (m *member) assigned(_ context.Context, client *kgo.Client, places map[string][]int32) {
	m.source.trouble.note(ofGroup, "")
	m.queue.assign(places)
	client.ResumeFetchPartitions(places) // they may have stood still when they were here before
	if len(places) == 0 {
		return
	}
	m.source.log.Info("partitions came", "partitions", places)
	select {
	case m.came <- struct{}{}:
	default:
	}
}

// revoked is called before partitions go to another member.
func (m *member) revoked(ctx context.Context, _ *kgo.Client, places map[string][]int32) {
	if len(places) == 0 {
		return
	}
	m.suspects.forget(places)
	due := m.queue.giveUp(places, giveUpPatience, giveUpStop)
	ctx, done := context.WithTimeout(ctx, commitTimeout)
	defer done()
	m.committing.Lock()
	defer m.committing.Unlock()
	err := m.tell(ctx, due)
	m.source.log.Info("partitions went", "partitions", places, "error", err)
}

// lost is called when the group has gone on without this member: others have
// its partitions by now.
func (m *member) lost(_ context.Context, _ *kgo.Client, places map[string][]int32) {
	if len(places) == 0 {
		return
	}
	m.suspects.forget(places)
	m.queue.giveUp(places, 0, giveUpStop)
	m.source.log.Warn("partitions were lost, because the group did not hear from this server in time", "partitions", places)
}

// commitWhile tells the broker how far was taken until ctx ends.
func (m *member) commitWhile(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.queue.taken:
		}
		within, done := context.WithTimeout(ctx, commitTimeout)
		m.commit(within)
		done()
		select {
		case <-ctx.Done():
			return
		case <-time.After(commitEvery):
		}
	}
}

func (m *member) commit(ctx context.Context) {
	m.committing.Lock()
	defer m.committing.Unlock()
	due := m.queue.due()
	if err := m.tell(ctx, due); err == nil {
		m.queue.committed(due)
	} else if len(due) > 0 {
		select { // once more, after the next wait
		case m.queue.taken <- struct{}{}:
		default:
		}
	}
}

// tell commits offsets.
func (m *member) tell(ctx context.Context, due offsets) error {
	if len(due) == 0 {
		return nil
	}
	var err error
	m.client.CommitOffsetsSync(ctx, due, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, failed error) {
		err = failed
		if failed != nil {
			return
		}
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	})
	switch {
	case err == nil:
		m.source.trouble.note(ofCommit, "")
	case ctx.Err() == nil || errors.Is(err, context.DeadlineExceeded):
		if m.source.trouble.note(ofCommit, "commit: "+err.Error()) {
			m.source.log.Warn("cannot tell Kafka how far was read; messages may come again", "error", err)
		}
	}
	return err
}

// told notes trouble of the intake, "" if there is none any more.
func (m *member) told(what string) {
	if m.source.trouble.note(ofIntake, what) && what != "" {
		m.source.log.Warn("messages wait, because they cannot be taken now", "reason", what)
	}
}
