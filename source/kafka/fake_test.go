package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/source"
)

// fakeIntake accounts for what it is handed, and answers as it is told.
type fakeIntake struct {
	// answer, if it is not nil, is asked before anything is accounted for.
	answer func(ctx context.Context, messages []source.Message) error

	mu     sync.Mutex // guards what follows
	taken  map[place]map[int64]int
	unread map[place]map[int64]int
	order  map[place][]int64
	copies []source.Message
	under  map[place]bool
	wrong  []string
}

func newFakeIntake() *fakeIntake {
	return &fakeIntake{taken: map[place]map[int64]int{}, unread: map[place]map[int64]int{}, order: map[place][]int64{}, under: map[place]bool{}}
}

func (f *fakeIntake) Take(ctx context.Context, messages []source.Message) (source.Result, error) {
	places := f.enter(messages)
	defer f.leave(places)
	if f.answer != nil {
		if err := f.answer(ctx, messages); err != nil {
			return source.Result{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range messages {
		at := place{m.Topic, m.Partition}
		if f.taken[at] == nil {
			f.taken[at] = map[int64]int{}
		}
		last := m.Offset
		if m.Unread != nil {
			if b, _, ok := readPacked(m.Payload); ok {
				last = b.last
			}
			if f.unread[at] == nil {
				f.unread[at] = map[int64]int{}
			}
			f.unread[at][m.Offset]++
		}
		for o := m.Offset; o <= last; o++ {
			f.taken[at][o]++
		}
		f.order[at] = append(f.order[at], m.Offset)
		if len(f.copies) < 100 {
			m.Payload, m.Key, m.Tags = slices.Clone(m.Payload), slices.Clone(m.Key), slices.Clone(m.Tags)
			f.copies = append(f.copies, m)
		}
	}
	return source.Result{Stored: len(messages)}, nil
}

// enter notes that a partition is under way, which must not be so twice.
func (f *fakeIntake) enter(messages []source.Message) []place {
	f.mu.Lock()
	defer f.mu.Unlock()
	var places []place
	for _, m := range messages {
		at := place{m.Topic, m.Partition}
		if slices.Contains(places, at) {
			continue
		}
		places = append(places, at)
		if f.under[at] {
			f.wrong = append(f.wrong, fmt.Sprintf("two batches of %v at once", at))
		}
		f.under[at] = true
	}
	return places
}

func (f *fakeIntake) leave(places []place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range places {
		f.under[at] = false
	}
}

func (*fakeIntake) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	panic("BUG: Kafka hands over messages")
}

// count returns how many different messages were taken.
func (f *fakeIntake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, all := range f.taken {
		n += len(all)
	}
	return n
}

// accounted reports whether all messages of a partition below offset were taken.
func (f *fakeIntake) accounted(at place, offset int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range offset {
		if f.taken[at][i] == 0 {
			return false
		}
	}
	return true
}

func (f *fakeIntake) check(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.wrong {
		t.Error(w)
	}
}

func newCluster(t testing.TB, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.AllowAutoTopicCreation()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newClient(t testing.TB, addrs []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// produce appends n numbered messages to each of the partitions of a topic.
func produce(t testing.TB, c *kgo.Client, topic string, partitions, n int) {
	t.Helper()
	var records []*kgo.Record
	for i := range n {
		for p := range partitions {
			records = append(records, &kgo.Record{Topic: topic, Partition: int32(p), Value: fmt.Appendf(nil, "%d/%d", p, i)})
		}
	}
	if err := c.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func testConfig(c *kfake.Cluster, topics ...string) Config {
	cfg := Default()
	cfg.Brokers, cfg.Topics = c.ListenAddrs(), topics
	return cfg
}

// running is a source that runs.
type running struct {
	*Source
	stop func() time.Duration // ends it and tells how long that took
}

func start(t testing.TB, cfg Config, intake source.Intake) *running {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	return begin(t, s, intake)
}

func begin(t testing.TB, s *Source, intake source.Intake) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, intake) }()
	r := &running{Source: s}
	r.stop = sync.OnceValue(func() time.Duration {
		from := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		return time.Since(from)
	})
	t.Cleanup(func() { r.stop() })
	return r
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// committedOffset returns what the group has committed of a partition, -1 if
// nothing, -2 if the broker does not say.
func committedOffset(t testing.TB, client *kgo.Client, at place) int64 {
	t.Helper()
	all, err := kadm.NewClient(client).FetchOffsets(t.Context(), "varve")
	if err != nil {
		return -2
	}
	if o, ok := all.Lookup(at.topic, at.partition); ok {
		return o.At
	}
	return -1
}

// watchCommits fails the test if an offset is committed before all messages
// below it were accounted for, or if one of a partition goes back.
func watchCommits(t *testing.T, c *kfake.Cluster, f *fakeIntake) {
	last := map[place]int64{}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
		for _, topic := range r.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				name := topic.Topic
				if name == "" {
					t.Errorf("a commit names its topic by id %x", topic.TopicID)
				}
				at := place{name, p.Partition}
				if !f.accounted(at, p.Offset) {
					t.Errorf("%v is committed up to %d, and not all of that was taken", at, p.Offset)
				}
				if p.Offset < last[at] {
					t.Errorf("%v is committed up to %d after %d", at, p.Offset, last[at])
				}
				last[at] = max(last[at], p.Offset)
			}
		}
		return true
	}})
}
