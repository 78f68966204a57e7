package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/varvedb/varve/source"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "sensor-data"))
	client := newClient(t, c.ListenAddrs())
	when := time.UnixMilli(1700000000123)
	record := &kgo.Record{
		Topic: "sensor-data", Key: []byte("d1"), Value: []byte(`{"value":1}`), Timestamp: when,
		Headers: []kgo.RecordHeader{{Key: "site", Value: []byte("old")}, {Key: "site", Value: []byte("seoul")}, {Key: "other", Value: []byte("x")}},
	}
	plain := &kgo.Record{Topic: "sensor-data", Timestamp: when}
	if err := client.ProduceSync(t.Context(), record, plain).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(c, "sensor-data")
	cfg.HeaderTags = []HeaderTag{{Tag: "where", Header: "site"}, {Tag: "none", Header: "absent"}}
	f := newFakeIntake()
	start(t, cfg, f)
	eventually(t, "both messages", func() bool { return f.count() == 2 })
	m := f.copies[0]
	if m.Topic != "sensor-data" || m.Partition != 0 || m.Offset != 0 || m.Time != when.UnixNano() ||
		string(m.Key) != "d1" || string(m.Payload) != `{"value":1}` {
		t.Errorf("got %+v", m)
	}
	var tags []string
	for _, tag := range m.Tags {
		tags = append(tags, string(tag.Key)+"="+string(tag.Value))
	}
	if !slices.Equal(tags, []string{"where=seoul"}) {
		t.Errorf("tags %q", tags)
	}
	if m := f.copies[1]; m.Offset != 1 || len(m.Key) > 0 || len(m.Payload) > 0 || m.Tags != nil {
		t.Errorf("got %+v", m)
	}
}

// TestCommits checks that an offset is committed when the intake has accounted
// for what is below it, and not before.
func TestCommits(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "a"))
	client := newClient(t, c.ListenAddrs())
	produce(t, client, "a", 1, 10)
	f := newFakeIntake()
	release := make(chan struct{})
	f.answer = func(ctx context.Context, _ []source.Message) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	watchCommits(t, c, f)
	r := start(t, testConfig(c, "a"), f)
	eventually(t, "the lag is known", func() bool { return r.Status().Lag == 10 })
	time.Sleep(3 * commitEvery)
	if at := committedOffset(t, client, place{"a", 0}); at != -1 {
		t.Fatalf("committed up to %d while nothing was taken", at)
	}
	close(release)
	eventually(t, "a commit", func() bool { return committedOffset(t, client, place{"a", 0}) == 10 })
	if s := r.Status(); !s.Connected || s.Trouble != "" || s.Lag != 0 {
		t.Errorf("status %+v", s)
	}
	// What the group has read is not read again.
	r.stop()
	produce(t, client, "a", 1, 5)
	r = start(t, testConfig(c, "a"), f)
	eventually(t, "the rest", func() bool { return f.count() == 15 })
	r.stop()
	if n := len(f.order[place{"a", 0}]); n != 15 {
		t.Errorf("%d messages were taken, some twice", n)
	}
	if s := r.Status(); s.Connected || s.Lag != -1 {
		t.Errorf("status after the end %+v", s)
	}
}

// TestBusy checks that a batch is handed over until it is taken, in its order,
// and that the trouble is told.
func TestBusy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(3, "a"))
	client := newClient(t, c.ListenAddrs())
	produce(t, client, "a", 3, 200)
	f := newFakeIntake()
	var full atomic.Bool
	full.Store(true)
	f.answer = func(context.Context, []source.Message) error {
		switch {
		case full.Load():
			return &source.BusyError{Reason: "disk is full", RetryAfter: time.Millisecond}
		case rand.IntN(2) == 0:
			return errors.New("something else")
		}
		return nil
	}
	cfg := testConfig(c, "a")
	cfg.BatchMessages = 50
	watchCommits(t, c, f)
	r := start(t, cfg, f)
	eventually(t, "trouble is told", func() bool { return strings.Contains(r.Status().Trouble, "disk is full") })
	full.Store(false)
	eventually(t, "all messages", func() bool { return f.count() == 600 })
	eventually(t, "no trouble", func() bool { return r.Status().Trouble == "" })
	f.check(t)
	for at, order := range f.order {
		if !slices.IsSorted(order) || len(order) != 200 {
			t.Errorf("%v: %d messages, in order: %v", at, len(order), slices.IsSorted(order))
		}
	}
}

// TestMembers lets servers come and go while messages arrive and intakes are
// slow and fail: nothing is lost, nothing committed early.
func TestMembers(t *testing.T) {
	t.Parallel()
	const partitions, rounds, each = 8, 12, 300
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	c := newCluster(t, kfake.SeedTopics(partitions, "a"))
	client := newClient(t, c.ListenAddrs())
	f := newFakeIntake()
	f.answer = func(ctx context.Context, _ []source.Message) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(20 * time.Millisecond)):
		}
		if rand.IntN(5) == 0 {
			return source.ErrBusy
		}
		return nil
	}
	watchCommits(t, c, f)
	cfg := testConfig(c, "a")
	cfg.BatchMessages = 40
	var members []*running
	for range rounds {
		switch {
		case len(members) < 2 || len(members) < 4 && random.IntN(2) == 0:
			members = append(members, start(t, cfg, f))
		default:
			i := random.IntN(len(members))
			members[i].stop()
			members = slices.Delete(members, i, i+1)
		}
		produce(t, client, "a", partitions, each)
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
	}
	eventually(t, "all messages", func() bool { return f.count() == partitions*rounds*each })
	for p := range int32(partitions) {
		eventually(t, fmt.Sprintf("a commit of partition %d", p), func() bool {
			return committedOffset(t, client, place{"a", p}) == rounds*each
		})
	}
	again := 0
	for _, order := range f.order {
		again += len(order) - rounds*each
	}
	t.Logf("%d messages of %d came again", again, partitions*rounds*each)
}

// TestGivenUpWhileBusy checks that a member whose intake takes nothing does not
// keep its partitions from another one.
func TestGivenUpWhileBusy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(4, "a"))
	client := newClient(t, c.ListenAddrs())
	produce(t, client, "a", 4, 100)
	stuck, fine := newFakeIntake(), newFakeIntake()
	stuck.answer = func(context.Context, []source.Message) error { return source.ErrBusy }
	watchCommits(t, c, fine)
	first := start(t, testConfig(c, "a"), stuck)
	eventually(t, "trouble", func() bool { return first.Status().Trouble != "" })
	start(t, testConfig(c, "a"), fine)
	eventually(t, "half of the messages at the other", func() bool { return fine.count() == 200 })
	first.stop()
	eventually(t, "all messages", func() bool { return fine.count() == 400 })
}

// TestStopWhileStuck checks that the end does not wait for ever for an intake,
// and that what it did not take is not committed.
func TestStopWhileStuck(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "a"))
	client := newClient(t, c.ListenAddrs())
	produce(t, client, "a", 1, 100)
	f := newFakeIntake()
	under := make(chan struct{}, 100)
	f.answer = func(ctx context.Context, _ []source.Message) error {
		under <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	cfg := testConfig(c, "a")
	cfg.BufferBytes = 1 // full at once: the poller waits for room
	r := start(t, cfg, f)
	<-under
	if took := r.stop(); took > stopPatience+5*time.Second {
		t.Errorf("the end took %v", took)
	}
	if at := committedOffset(t, client, place{"a", 0}); at != -1 {
		t.Errorf("committed up to %d", at)
	}
}

// TestBrokerRestarts kills the broker, which loses what is in its memory, and
// starts it again at its port, several times.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	dir := t.TempDir()
	begin := func() *kfake.Cluster {
		var c *kfake.Cluster
		eventually(t, "the broker listens", func() (ok bool) {
			var err error
			c, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(), kfake.SeedTopics(2, "a"))
			return err == nil
		})
		return c
	}
	c := begin()
	client := newClient(t, c.ListenAddrs(), kgo.MetadataMinAge(100*time.Millisecond))
	f := newFakeIntake()
	cfg := testConfig(c, "a")
	cfg.BatchMessages = 20
	r := start(t, cfg, f)
	const rounds = 4
	for i := range rounds {
		produce(t, client, "a", 2, 100)
		eventually(t, "half of the messages", func() bool { return f.count() > i*200+100 })
		c.Close()
		if i == 0 {
			eventually(t, "trouble is told", func() bool { s := r.Status(); return !s.Connected && s.Trouble != "" })
		}
		c = begin()
	}
	defer c.Close()
	eventually(t, "all messages", func() bool { return f.count() == rounds*200 })
	eventually(t, "commits", func() bool {
		return committedOffset(t, client, place{"a", 0}) == rounds*100 && committedOffset(t, client, place{"a", 1}) == rounds*100
	})
	eventually(t, "no trouble", func() bool { s := r.Status(); return s.Connected && s.Trouble == "" })
	f.check(t)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "plant-1", "plant-1-raw", "my-plant-1", "other.x", "otherxx"))
	client := newClient(t, c.ListenAddrs())
	cfg := testConfig(c, "other.x")
	cfg.Patterns, cfg.Exclude = []string{`plant-.*`}, []string{`.*-raw`}
	f := newFakeIntake()
	r := start(t, cfg, f)
	for _, topic := range []string{"plant-1", "plant-1-raw", "my-plant-1", "other.x", "otherxx"} {
		produce(t, client, topic, 1, 1)
	}
	eventually(t, "two messages", func() bool { return f.count() == 2 })
	if err := c.CreateTopic("plant-2", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, client, "plant-2", 1, 1)
	eventually(t, "a message of a topic that came later", func() bool { return f.count() == 3 })
	r.stop()
	for _, topic := range []string{"plant-1", "plant-2", "other.x"} {
		if len(f.taken[place{topic, 0}]) != 1 {
			t.Errorf("no message of %s", topic)
		}
	}
}

// TestMissingTopic checks that a topic that is not there is told of, and read
// once it is.
func TestMissingTopic(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := newFakeIntake()
	r := start(t, testConfig(c, "later"), f)
	eventually(t, "trouble", func() bool { return strings.Contains(r.Status().Trouble, "later") })
	if err := c.CreateTopic("later", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, newClient(t, c.ListenAddrs()), "later", 1, 1)
	eventually(t, "the message", func() bool { return f.count() == 1 })
	eventually(t, "no trouble", func() bool { return r.Status().Trouble == "" })
}

func TestLatest(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "a"))
	client := newClient(t, c.ListenAddrs())
	produce(t, client, "a", 1, 10)
	cfg := testConfig(c, "a")
	cfg.Latest = true
	f := newFakeIntake()
	r := start(t, cfg, f)
	eventually(t, "the lag is known", func() bool { return r.Status().Lag == 0 })
	// The client itself may not have asked for the end yet.
	eventually(t, "a new message", func() bool {
		produce(t, client, "a", 1, 1)
		return f.count() > 0
	})
	r.stop()
	if f.order[place{"a", 0}][0] < 10 {
		t.Errorf("took %v", f.order)
	}
}

// TestRefusedPartition checks that a partition that cannot be read does not
// keep others waiting, is told of, and is read when that has been put right.
func TestRefusedPartition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "a", "b"))
	client := newClient(t, c.ListenAddrs())
	produce(t, client, "a", 1, 1)
	produce(t, client, "b", 1, 1)
	refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "b", Err: kerr.TopicAuthorizationFailed, Count: -1})
	f := newFakeIntake()
	r := start(t, testConfig(c, "a", "b"), f)
	eventually(t, "trouble", func() bool { return strings.Contains(r.Status().Trouble, "b/0") })
	eventually(t, "the other topic", func() bool { return f.count() == 1 })
	refused.Remove()
	eventually(t, "the topic that was refused", func() bool { return f.count() == 2 })
	eventually(t, "no trouble", func() bool { return r.Status().Trouble == "" })
}

// TestBuffer checks that no more than the buffer and a poll is held.
func TestBuffer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "a"))
	client := newClient(t, c.ListenAddrs())
	f := newFakeIntake()
	release := make(chan struct{})
	var once sync.Once
	f.answer = func(context.Context, []source.Message) error { <-release; return nil }
	cfg := testConfig(c, "a")
	cfg.BufferBytes, cfg.FetchBytes = 64<<10, 16<<10
	r := start(t, cfg, f)
	defer once.Do(func() { close(release) })
	for range 50 {
		produce(t, client, "a", 2, 100)
	}
	time.Sleep(300 * time.Millisecond)
	q := r.queue.Load()
	q.mu.Lock()
	held := q.bytes
	q.mu.Unlock()
	// A record of some 4 bytes has 11 in a fetch of 16 KiB, and counts for more than
	// 256.
	if most := cfg.BufferBytes + 300*cfg.FetchBytes/11; held > most || held < cfg.BufferBytes {
		t.Errorf("%d bytes are held, want at least %d and at most %d", held, cfg.BufferBytes, most)
	}
	once.Do(func() { close(release) })
	eventually(t, "all messages", func() bool { return f.count() == 50*200 })
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes != 0 {
		t.Errorf("%d bytes are held when all is taken", q.bytes)
	}
}
