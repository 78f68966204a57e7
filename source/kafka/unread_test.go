package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/varvedb/varve/source"
)

// poisoned is a topic of one partition with three good messages, a batch of three with
// "poison" in them, and three good ones, behind a connection that can be tampered with.
type poisoned struct {
	*tamper
	cluster *kfake.Cluster
	client  *kgo.Client
	cfg     Config
	intake  *fakeIntake
}

func newPoisoned(t *testing.T) *poisoned {
	t.Helper()
	c := newCluster(t, kfake.SeedTopics(1, "a"))
	p := &poisoned{tamper: &tamper{mark: []byte("poison")}, cluster: c, cfg: testConfig(c, "a"), intake: newFakeIntake()}
	p.client = newClient(t, c.ListenAddrs(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for _, value := range []string{"good", "poison", "good"} {
		p.produce(t, value)
	}
	return p
}

// produce appends a batch of three messages.
func (p *poisoned) produce(t *testing.T, value string) {
	t.Helper()
	var all []*kgo.Record
	for i := range 3 {
		all = append(all, &kgo.Record{Topic: "a", Value: append([]byte(value), byte('0'+i)), Timestamp: time.UnixMilli(int64(1700000000000 + i))})
	}
	if err := p.client.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func (p *poisoned) start(t *testing.T) *running {
	t.Helper()
	s, err := New(p.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.connect = append(s.connect, p.dialer())
	s.examineAgain, s.quietAfter = 10*time.Millisecond, 50*time.Millisecond
	return begin(t, s, p.intake)
}

// messages returns what was taken, in its order: those that could be read and the others.
func (p *poisoned) messages() (read []int64, unread []source.Message) {
	p.intake.mu.Lock()
	defer p.intake.mu.Unlock()
	for _, m := range p.intake.copies {
		if m.Unread != nil {
			unread = append(unread, m)
		} else {
			read = append(read, m.Offset)
		}
	}
	return read, unread
}

// TestUnreadable: a batch that cannot be read is handed over as it came, once, with the
// reason, and reading goes on behind it.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit   func(batch []byte)
		reason string
		detail string
	}{
		"checksum": {func(b []byte) { b[len(b)-3] ^= 1 }, badChecksum,
			"offsets 3 to 5, 3 messages, not compressed, 103 bytes packed: the checksum is wrong"},
		"checksum and offsets": {func(b []byte) { binary.BigEndian.PutUint32(b[23:], 1000) }, badChecksum, "offsets 3 to 1003"},
		"packing":              {func(b []byte) { b[22] = 4; sign(b) }, badPacking, "zstd"},
		"codec":                {func(b []byte) { b[22] = 6; sign(b) }, badCodec, "codec 6"},
		"format":               {func(b []byte) { b[16] = 9 }, badFormat, "format 9"},
		"no number":            {func(b []byte) { binary.BigEndian.PutUint32(b[57:], 1<<31); sign(b) }, badMessages, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPoisoned(t)
			var sent []byte
			p.set(func(b []byte) { c.edit(b); sent = bytes.Clone(b) })
			r := p.start(t)
			eventually(t, "a commit of all", func() bool { return committedOffset(t, p.client, place{"a", 0}) == 9 })
			p.set(nil)
			read, unread := p.messages()
			if !slices.Equal(read, []int64{0, 1, 2, 6, 7, 8}) {
				t.Errorf("messages %v were read", read)
			}
			if len(unread) != 1 {
				t.Fatalf("%d batches were passed over", len(unread))
			}
			m := unread[0]
			if m.Topic != "a" || m.Partition != 0 || m.Offset != 3 || m.Unread.Reason != c.reason || !strings.Contains(m.Unread.Detail, c.detail) {
				t.Errorf("got %s/%d/%d: %+v", m.Topic, m.Partition, m.Offset, *m.Unread)
			}
			if !bytes.Equal(m.Payload, sent) {
				t.Errorf("payload %q, want the batch %q", m.Payload, sent)
			}
			order := p.intake.order[place{"a", 0}]
			if !slices.IsSorted(order) {
				t.Errorf("taken in the order %v", order)
			}
			eventually(t, "no trouble", func() bool { return r.Status().Trouble == "" })
			if s := r.Status(); !strings.Contains(s.Notice, c.detail) || r.Counts()[0].N != 1 {
				t.Errorf("status %+v, counted %v", s, r.Counts())
			}
		})
	}
}

// TestUnreadableForATime: what only a network did to a batch is fetched again, and
// nothing is passed over.
func TestUnreadableForATime(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	for name, c := range map[string]struct {
		edit  func(batch []byte)
		times int
	}{
		"checksum":       {func(b []byte) { b[len(b)-3] ^= 1 }, 3},
		"ever different": {func(b []byte) { b[len(b)-4] = 'A' + byte(n.Add(1)%20) }, 2 * sameTimes},
		// The client itself goes on behind the first message.
		"format": {func(b []byte) { b[16] = 9 }, 3},
		"length": {func(b []byte) { binary.BigEndian.PutUint32(b[8:], math.MaxInt32) }, 2 * sameTimes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPoisoned(t)
			p.set(c.edit)
			r := p.start(t)
			eventually(t, "fetches", func() bool { return p.count() >= c.times })
			eventually(t, "trouble", func() bool { return strings.Contains(r.Status().Trouble, "a/0") })
			p.set(nil)
			eventually(t, "a commit of all", func() bool { return committedOffset(t, p.client, place{"a", 0}) == 9 })
			read, unread := p.messages()
			if !slices.Equal(read, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8}) || len(unread) > 0 {
				t.Errorf("read %v and passed over %v", read, unread)
			}
			eventually(t, "no trouble", func() bool { return r.Status().Trouble == "" })
			if s := r.Status(); s.Notice != "" || r.Counts()[0].N != 0 {
				t.Errorf("status %+v, counted %v", s, r.Counts())
			}
		})
	}
}

// TestUnreadableAtTheEnd: nothing is passed over that only the header of a damaged batch
// speaks of; what is behind it tells where it ends.
func TestUnreadableAtTheEnd(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t)
	p.produce(t, "poison")
	p.set(func(b []byte) {
		if binary.BigEndian.Uint64(b) == 9 {
			binary.BigEndian.PutUint32(b[23:], 1)
		}
	})
	r := p.start(t)
	eventually(t, "trouble", func() bool { return strings.Contains(r.Status().Trouble, "where it ends") })
	if _, unread := p.messages(); len(unread) > 0 {
		t.Errorf("passed over %v", unread)
	}
	p.produce(t, "good")
	eventually(t, "a commit of all", func() bool { return committedOffset(t, p.client, place{"a", 0}) == 15 })
	read, unread := p.messages()
	if !slices.Equal(read, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14}) || len(unread) != 1 || unread[0].Offset != 9 {
		t.Errorf("read %v and passed over %v", read, unread)
	}
}

// TestTornMessage: the client reads what is before a message that is torn, and says
// nothing of it. It is found because nothing more comes.
func TestTornMessage(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t)
	p.produce(t, "poison")
	p.set(func(b []byte) {
		if binary.BigEndian.Uint64(b) == 9 {
			b[len(b)-9] = 100 // the length of its value
			sign(b)
		}
	})
	p.start(t)
	eventually(t, "a commit of all", func() bool { return committedOffset(t, p.client, place{"a", 0}) == 12 })
	read, unread := p.messages()
	if !slices.Equal(read, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) || len(unread) != 1 || unread[0].Offset != 11 ||
		unread[0].Unread.Reason != badMessages || !strings.Contains(unread[0].Unread.Detail, "torn") {
		t.Errorf("read %v and passed over %v", read, unread)
	}
}

// TestUnreadableFirst: a batch can be passed over that is the first of a partition, and
// one that is the first a group has not read.
func TestUnreadableFirst(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t)
	p.mark = []byte("good0")
	p.set(func(b []byte) { b[22] = 6; sign(b) })
	r := p.start(t)
	eventually(t, "a commit of all", func() bool { return committedOffset(t, p.client, place{"a", 0}) == 9 })
	r.stop()
	p.produce(t, "good")
	p.produce(t, "fine")
	p.start(t)
	eventually(t, "a commit of the rest", func() bool { return committedOffset(t, p.client, place{"a", 0}) == 15 })
	read, unread := p.messages()
	var passed []int64
	for _, m := range unread {
		passed = append(passed, m.Offset)
	}
	if !slices.Equal(read, []int64{3, 4, 5, 12, 13, 14}) || !slices.Equal(passed, []int64{0, 6, 9}) {
		t.Errorf("read %v and passed over %v", read, passed)
	}
}

// TestUnreadableIsKeptFirst: no offset is committed past a batch that could not be read
// before it is kept.
func TestUnreadableIsKeptFirst(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t)
	p.set(func(b []byte) { b[22] = 6; sign(b) })
	var tried, room atomic.Bool
	p.intake.answer = func(_ context.Context, all []source.Message) error {
		if !slices.ContainsFunc(all, func(m source.Message) bool { return m.Unread != nil }) || room.Load() {
			return nil
		}
		tried.Store(true)
		return source.ErrBusy
	}
	r := p.start(t)
	eventually(t, "an attempt", tried.Load)
	time.Sleep(3 * commitEvery)
	if at := committedOffset(t, p.client, place{"a", 0}); at > 3 {
		t.Errorf("committed up to %d", at)
	}
	r.stop()
	room.Store(true)
	p.start(t)
	eventually(t, "a commit of all", func() bool { return committedOffset(t, p.client, place{"a", 0}) == 9 })
	if _, unread := p.messages(); len(unread) != 1 {
		t.Errorf("passed over %v", unread)
	}
}

// TestUnreadableMembers lets servers come and go while one batch in three cannot be read
// and intakes fail: all that can be read is, all else is handed over, nothing is
// committed early.
func TestUnreadableMembers(t *testing.T) {
	t.Parallel()
	const partitions, rounds, each = 4, 10, 30
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	c := newCluster(t, kfake.SeedTopics(partitions, "a"))
	p := &poisoned{tamper: &tamper{mark: []byte("poison")}, cluster: c, cfg: testConfig(c, "a"), intake: newFakeIntake()}
	p.client = newClient(t, c.ListenAddrs(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	p.set(func(b []byte) {
		if b[len(b)-2]&1 == 0 {
			b[22] = 6
			sign(b)
		} else {
			b[len(b)-2]++ // a value; the checksum is wrong
		}
	})
	p.intake.answer = func(ctx context.Context, _ []source.Message) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(10 * time.Millisecond)):
		}
		if rand.IntN(5) == 0 {
			return source.ErrBusy
		}
		return nil
	}
	watchCommits(t, c, p.intake)
	poison := map[place][]int64{}
	var members []*running
	for range rounds {
		if len(members) < 2 || len(members) < 3 && random.IntN(2) == 0 {
			members = append(members, p.start(t))
		} else {
			i := random.IntN(len(members))
			members[i].stop()
			members = slices.Delete(members, i, i+1)
		}
		for i := range each {
			for n := range int32(partitions) {
				r := &kgo.Record{Topic: "a", Partition: n, Value: fmt.Appendf(nil, "good%d", i)}
				if random.IntN(3) == 0 {
					r.Value = fmt.Appendf(nil, "poison%d", i)
				}
				if err := p.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
				if r.Value[0] == 'p' {
					poison[place{"a", n}] = append(poison[place{"a", n}], r.Offset)
				}
			}
		}
	}
	for n := range int32(partitions) {
		eventually(t, fmt.Sprintf("a commit of partition %d", n), func() bool {
			return committedOffset(t, p.client, place{"a", n}) == rounds*each
		})
	}
	for _, m := range members {
		m.stop()
	}
	p.intake.check(t)
	for at, offsets := range poison {
		if got := p.intake.unread[at]; len(got) != len(offsets) {
			t.Errorf("%v: %d batches were handed over that could not be read, want %d", at, len(got), len(offsets))
		}
		for _, o := range offsets {
			if p.intake.unread[at][o] == 0 {
				t.Errorf("%v: the batch at offset %d was not handed over", at, o)
			}
		}
	}
}

// TestUnreadableStops: where the declaration says so, a partition stands still, others do
// not, and it goes on when the batch can be read again.
func TestUnreadableStops(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "a"))
	client := newClient(t, c.ListenAddrs(), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Value: make([]byte, 1<<19)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	f := newFakeIntake()
	cfg := testConfig(c, "a")
	cfg.MaxUnpackedBytes, cfg.StopAtUnreadable = 64<<10, true
	r := start(t, cfg, f)
	eventually(t, "trouble", func() bool {
		s := r.Status()
		return strings.Contains(s.Trouble, "a/0") && strings.Contains(s.Trouble, "max_unpacked")
	})
	for i := range 3 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Partition: 1, Value: []byte("fine")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other partition", func() bool { return f.count() == i+1 })
	}
	r.stop()
	if n := len(f.taken[place{"a", 0}]); n != 0 {
		t.Errorf("%d messages were made of the batch", n)
	}
	cfg.MaxUnpackedBytes = 1 << 20
	start(t, cfg, f)
	eventually(t, "the batch, with more room", func() bool { return f.count() == 4 })
}

// TestUnpackedTooLarge: a batch that unpacks to more than is allowed is handed over as it
// came, whatever packed it.
func TestUnpackedTooLarge(t *testing.T) {
	t.Parallel()
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "a"))
			client := newClient(t, c.ListenAddrs(), kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(8<<20))
			small := &kgo.Record{Topic: "a", Value: []byte("fine")}
			for _, r := range []*kgo.Record{small, {Topic: "a", Value: make([]byte, 1<<19)}, small} {
				if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			cfg := testConfig(c, "a")
			cfg.MaxUnpackedBytes = 64 << 10
			f := newFakeIntake()
			r := start(t, cfg, f)
			eventually(t, "a commit of all", func() bool { return committedOffset(t, client, place{"a", 0}) == 3 })
			r.stop()
			if len(f.copies) != 3 || f.copies[1].Unread == nil {
				t.Fatalf("took %+v", f.copies)
			}
			m := f.copies[1]
			b, _, ok := readPacked(m.Payload)
			if m.Offset != 1 || m.Unread.Reason != tooLarge || !strings.Contains(m.Unread.Detail, name) || !ok || !b.sound || b.first != 1 {
				t.Errorf("got offset %d, %+v, %+v", m.Offset, *m.Unread, b)
			}
			if n := r.Status().Notice; !strings.Contains(n, "max_unpacked") {
				t.Errorf("notice %q", n)
			}
		})
	}
}
