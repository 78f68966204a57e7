package kafka

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// queue holds what was fetched until it is taken, and knows how far each
// partition has been taken. The poller puts records in, workers take batches
// out, the committer asks how far, and the group's callbacks bring and take
// partitions. It is safe for concurrent use.
type queue struct {
	batchMessages, batchBytes, bufferBytes int

	// mu guards everything below, and partitions and batches.
	mu         sync.Mutex
	partitions map[place]*partition
	ready      []*partition // listed, the one that has waited longest first
	flying     []*batch
	bytes      int // of records that wait or fly
	closed     bool
	// work is told of records to take, space of room for more, idle of batches
	// that have landed; taken has a place in it when there is something to commit.
	work, space, idle *sync.Cond
	taken             chan struct{}
}

// batchBytesShare is the part of the buffer that one batch may be, so that
// batches are in flight while others are filled.
const batchBytesShare = 4

func newQueue(cfg *Config) *queue {
	q := &queue{
		batchMessages: cfg.BatchMessages,
		batchBytes:    max(cfg.BufferBytes/batchBytesShare, 1),
		bufferBytes:   cfg.BufferBytes,
		partitions:    map[place]*partition{},
		taken:         make(chan struct{}, 1),
	}
	q.work, q.space, q.idle = sync.NewCond(&q.mu), sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	return q
}

// assign notes partitions that the group has given.
func (q *queue) assign(places map[string][]int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for topic, all := range places {
		for _, n := range all {
			q.own(place{topic, n})
		}
	}
}

func (q *queue) own(at place) *partition {
	p := q.partitions[at]
	if p == nil {
		p = newPartition(at)
		q.partitions[at] = p
	}
	return p
}

// add puts in what a poll brought of a partition. end is where the partition
// ends at the broker.
func (q *queue) add(at place, records []*kgo.Record, end int64) {
	n := sizes(records)
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.own(at)
	p.end = end
	if len(records) == 0 || q.closed || p.leaving || p.held {
		return
	}
	q.put(p, fetched{records, nil}, n)
}

func (q *queue) put(p *partition, f fetched, size int) {
	p.waiting = append(p.waiting, f)
	p.reads, p.moved, p.cleared = f.records[len(f.records)-1].Offset+1, time.Now(), -1
	q.bytes += size
	q.list(p)
}

// hold leaves out what comes of a partition, until it is cleared or something of it is
// passed over.
func (q *queue) hold(at place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.own(at).held = true
}

// clear notes that nothing is wrong with a partition where reading of it stands, and that
// there is nothing more to read as long as it ends at end.
func (q *queue) clear(at place, end int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.own(at)
	p.held, p.moved, p.cleared = false, time.Now(), end
}

// passOver puts in what stands for a batch that cannot be read and ends before next. It
// reports false if the partition is being given up.
func (q *queue) passOver(at place, next int64, raw []byte, u *unread) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.partitions[at]
	if p == nil || q.closed || p.leaving {
		return false
	}
	p.held = false
	f := standIn(at, next, raw, u)
	q.put(p, f, sizes(f.records))
	return true
}

// readFrom notes from which offset on a partition is read.
func (q *queue) readFrom(at place, offset int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.own(at).reads = offset
}

// reading returns the offset that is read next of a partition; -1 if it is not known yet,
// or the partition is not here any more.
func (q *queue) reading(at place) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p := q.partitions[at]; p != nil && !p.leaving {
		return p.reads
	}
	return -1
}

// quiet returns the partitions that have messages at the broker and brought none for a
// time, although there was room for them.
func (q *queue) quiet(after time.Duration) []place {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes >= q.bufferBytes || q.closed {
		return nil
	}
	var all []place
	for at, p := range q.partitions {
		if !p.held && !p.leaving && p.reads >= 0 && p.reads < p.end && p.end != p.cleared && time.Since(p.moved) >= after {
			all = append(all, at)
		}
	}
	return all
}

// list lets workers know of a partition with records that may be taken.
func (q *queue) list(p *partition) {
	if !p.listed && !p.flying && !p.leaving && len(p.waiting) > 0 {
		p.listed = true
		q.ready = append(q.ready, p)
		q.work.Signal()
	}
}

// waitForSpace returns when there is room for another poll, or the queue is
// closed.
func (q *queue) waitForSpace() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= q.bufferBytes && !q.closed {
		q.space.Wait()
	}
}

// take waits for records and returns a batch of them, nil once the queue is
// closed. Partitions take turns.
func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && !q.closed {
		q.work.Wait()
	}
	if q.closed {
		return nil
	}
	b := &batch{shed: make(chan struct{})}
	room := q.batchMessages
	for len(q.ready) > 0 && room > 0 && b.bytes < q.batchBytes {
		p := q.ready[0]
		q.ready = slices.Delete(q.ready, 0, 1)
		p.listed, p.flying = false, true
		for len(p.waiting) > 0 && room > 0 && b.bytes < q.batchBytes {
			o := portion{p, q.cut(p, room, q.batchBytes-b.bytes)}
			b.portions = append(b.portions, o)
			b.bytes += sizes(o.records)
			room -= len(o.records)
		}
	}
	q.flying = append(q.flying, b)
	if len(q.ready) > 0 {
		q.work.Signal()
	}
	return b
}

// cut takes records of a partition: at least one, else no more than n and,
// except for the last of them, than bytes.
func (q *queue) cut(p *partition, n, bytes int) fetched {
	poll := p.waiting[0].records[p.from:]
	for i, r := range poll[:min(n, len(poll))] {
		if bytes -= size(r); bytes <= 0 {
			n = i + 1
			break
		}
	}
	return p.cut(n)
}

// begin leaves the records of partitions that are being given up out of b and
// returns a context for handing over the rest; nil if there is none. What it
// returns ends when a partition cannot wait longer to be given up.
func (q *queue) begin(ctx context.Context, b *batch) context.Context {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.portions = slices.DeleteFunc(b.portions, func(o portion) bool {
		if !o.partition.leaving {
			return false
		}
		n := sizes(o.records)
		b.bytes -= n
		q.bytes -= n
		o.partition.flying = false
		return true
	})
	if b.closed {
		b.shed, b.closed = make(chan struct{}), false
		q.idle.Broadcast()
		q.space.Broadcast()
	}
	if len(b.portions) == 0 {
		return nil
	}
	ctx, b.cancel = context.WithCancel(ctx)
	return ctx
}

// end notes that a handing over that began has ended.
func (q *queue) end(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.cancel()
	b.cancel = nil
}

// land ends a batch, whose messages were taken or, if not, are left to be
// fetched again by whoever has the partitions next. In that case nothing more
// of the partitions may be taken here: what follows would be committed, and the
// messages that were left with it.
func (q *queue) land(b *batch, taken bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range b.portions {
		p := o.partition
		p.flying = false
		if taken && !p.gone {
			last := o.records[len(o.records)-1]
			p.taken = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		}
		if !taken {
			p.leaving = true
			q.dropWaiting(p)
		}
		q.list(p)
	}
	q.bytes -= b.bytes
	q.flying = slices.DeleteFunc(q.flying, func(o *batch) bool { return o == b })
	q.idle.Broadcast()
	q.space.Broadcast()
	if taken {
		select {
		case q.taken <- struct{}{}:
		default:
		}
	}
}

// giveUp takes partitions out of the queue: what waits of them is dropped, and
// batches in which some are have patience to land, after which they are told
// to stop and have stopAfter for it. It returns how far the partitions were
// taken, as far as the broker has not been told. No batch that lands later
// changes that.
func (q *queue) giveUp(places map[string][]int32, patience, stopAfter time.Duration) offsets {
	q.mu.Lock()
	defer q.mu.Unlock()
	var leaving []*partition
	for topic, all := range places {
		for _, n := range all {
			if p := q.partitions[place{topic, n}]; p != nil {
				leaving = append(leaving, p)
			}
		}
	}
	for _, p := range leaving {
		p.leaving = true
		q.dropWaiting(p)
	}
	q.hurry(leaving, false)
	q.waitIdle(leaving, patience)
	q.hurry(leaving, true)
	q.waitIdle(leaving, stopAfter)
	due := offsets{}
	for _, p := range leaving {
		p.gone = true
		due.add(p)
		delete(q.partitions, p.place)
	}
	return due
}

func (q *queue) dropWaiting(p *partition) {
	for len(p.waiting) > 0 {
		q.bytes -= sizes(p.cut(len(p.waiting[0].records)).records)
	}
	if p.listed {
		p.listed = false
		q.ready = slices.DeleteFunc(q.ready, func(o *partition) bool { return o == p })
	}
	q.space.Broadcast()
}

// hurry tells the batches that have records of partitions.
func (q *queue) hurry(leaving []*partition, stop bool) {
	for _, b := range q.flying {
		if !slices.ContainsFunc(leaving, b.has) {
			continue
		}
		if !b.closed {
			b.closed = true
			close(b.shed)
		}
		if stop && b.cancel != nil {
			b.cancel()
		}
	}
}

// waitIdle waits until no batch has records of partitions, but not for ever.
func (q *queue) waitIdle(leaving []*partition, patience time.Duration) {
	late := false
	t := time.AfterFunc(patience, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		late = true
		q.idle.Broadcast()
	})
	defer t.Stop()
	for !late && slices.ContainsFunc(leaving, func(p *partition) bool { return p.flying }) {
		q.idle.Wait()
	}
}

// close lets workers and poller end. Batches that were taken out go on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, p := range q.partitions {
		q.dropWaiting(p)
	}
	q.work.Broadcast()
	q.space.Broadcast()
}

// offsets are places as the client wants them.
type offsets map[string]map[int32]kgo.EpochOffset

// add adds how far p was taken if the broker does not know it.
func (o offsets) add(p *partition) {
	if p.taken == none || p.taken == p.committed {
		return
	}
	if o[p.topic] == nil {
		o[p.topic] = map[int32]kgo.EpochOffset{}
	}
	o[p.topic][p.partition] = p.taken
}

// due returns how far partitions were taken of which the broker does not know
// it.
func (q *queue) due() offsets {
	q.mu.Lock()
	defer q.mu.Unlock()
	due := offsets{}
	for _, p := range q.partitions {
		due.add(p)
	}
	return due
}

// committed notes what the broker was told.
func (q *queue) committed(o offsets) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for topic, all := range o {
		for n, at := range all {
			if p := q.partitions[place{topic, n}]; p != nil {
				p.committed = at
			}
		}
	}
}

// topics returns the topics of which there are partitions here.
func (q *queue) topics() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []string
	for at := range q.partitions {
		if !slices.Contains(all, at.topic) {
			all = append(all, at.topic)
		}
	}
	return all
}

// measure notes where partitions end at the broker, and where their reading
// began.
func (q *queue) measure(end, start func(place) int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for at, p := range q.partitions {
		p.end = max(p.end, end(at))
		if p.start < 0 {
			p.start = start(at)
		}
	}
}

// lag returns how many messages wait to be taken, at the broker and here; -1
// if that is not known of a partition.
func (q *queue) lag() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.partitions) == 0 {
		return -1
	}
	var n int64
	for _, p := range q.partitions {
		at := p.taken.Offset
		if at < 0 {
			at = p.start
		}
		if p.end < 0 || at < 0 {
			return -1
		}
		n += max(p.end-at, 0)
	}
	return n
}
