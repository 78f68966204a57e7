package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/varvedb/varve/source"
)

const (
	// maxChunk is how many messages are handed over at once: a commit costs the
	// same for thousands as for one, and more would only wait longer for it.
	maxChunk = 4096
	// maxChunkBytes bounds the same for large messages.
	maxChunkBytes = 2 << 20
	// entryCost is what a message that waits takes besides its bytes.
	entryCost = 128
)

// lane hands the messages of some clients to a pipeline, in their order.
type lane struct {
	broker *Broker
	slot   *slot
	work   chan struct{} // holds one while there may be something to do

	mu     sync.Mutex // guards what is below
	queue  []*chunk   // the last one is being filled
	taking int        // messages that are handed over at the moment
	free   *chunk
	closed bool
}

// chunk is what is handed over at once.
type chunk struct {
	entries []entry
	arena   []byte // payloads, one behind the other
}

// entry is a message that waits.
type entry struct {
	conn     *conn // nil: nobody waits for an acknowledgement
	seq      uint32
	topic    string
	client   string
	from, to int // in the arena
	arrived  int64
	unread   *source.Unread
}

// size is what it counts for in the bound of what waits. The topic counts with
// each message: that of one may be 64 KiB long, and no other have it.
func (e *entry) size() int { return e.to - e.from + len(e.topic) + entryCost }

func newLane(b *Broker, s *slot) *lane {
	return &lane{broker: b, slot: s, work: make(chan struct{}, 1)}
}

// put adds a message; false if the pipeline is gone.
func (l *lane) put(e entry, payload []byte) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	var c *chunk
	if n := len(l.queue); n > 0 {
		c = l.queue[n-1]
	}
	if c == nil || len(c.entries) >= maxChunk || len(c.arena)+len(payload) > maxChunkBytes && len(c.arena) > 0 {
		c, l.free = l.free, nil
		if c == nil {
			c = &chunk{}
		}
		l.queue = append(l.queue, c)
	}
	e.from = len(c.arena)
	c.arena = append(c.arena, payload...)
	e.to = len(c.arena)
	c.entries = append(c.entries, e)
	l.mu.Unlock()
	l.broker.room.take(l.slot, e.size())
	select {
	case l.work <- struct{}{}:
	default:
	}
	return true
}

// waiting is how many messages are not taken yet.
func (l *lane) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.taking
	for _, c := range l.queue {
		n += len(c.entries)
	}
	return n
}

func (l *lane) next() *chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	l.taking = len(c.entries)
	return c
}

// recycle keeps the memory of a chunk for the next one.
func (l *lane) recycle(c *chunk) {
	clear(c.entries)
	c.entries, c.arena = c.entries[:0], c.arena[:0]
	l.mu.Lock()
	l.taking = 0
	if l.free == nil && cap(c.arena) <= 2*maxChunkBytes {
		l.free = c
	}
	l.mu.Unlock()
}

// run takes chunk after chunk until the broker ends or the slot is retired.
func (l *lane) run() {
	var messages []source.Message
	var touched []*conn
	for {
		c := l.next()
		if c == nil {
			select {
			case <-l.work:
			case <-l.gone():
				if l.drained() {
					return
				}
			case <-l.broker.ctx.Done():
				return
			}
			continue
		}
		messages = messages[:0]
		for i := range c.entries {
			e := &c.entries[i]
			messages = append(messages, source.Message{
				Topic: e.topic, Payload: c.arena[e.from:e.to:e.to], Offset: -1, Client: e.client, Reply: l.broker.reply, Unread: e.unread,
			})
		}
		switch l.take(messages) {
		case stopped:
			return
		case taken:
			touched = l.acknowledge(c, touched[:0])
		case forsaken:
			l.forsake(c)
		}
		clear(messages)
		clear(touched)
		l.recycle(c)
	}
}

// gone returns what is closed when the slot changes.
func (l *lane) gone() <-chan struct{} {
	l.slot.mu.Lock()
	defer l.slot.mu.Unlock()
	return l.slot.changed
}

// drained closes the lane if its slot is retired and nothing waits in it.
func (l *lane) drained() bool {
	l.slot.mu.Lock()
	retired := l.slot.retired
	l.slot.mu.Unlock()
	if !retired {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = len(l.queue) == 0
	return l.closed
}

const (
	firstRetry = 20 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// fate is what became of messages that waited.
type fate uint8

const (
	taken    fate = iota
	forsaken      // the slot is retired, and no pipeline has taken them
	stopped       // the broker ends
)

// take hands messages to the intake until it has taken them, to whichever is in
// place by then.
func (l *lane) take(messages []source.Message) fate {
	pause := firstRetry
	for {
		o, wait, retired := l.slot.begin()
		if retired {
			return forsaken
		}
		if o == nil {
			select {
			case <-wait:
			case <-l.broker.ctx.Done():
				return stopped
			}
			continue
		}
		_, err := o.intake.Take(o.ctx, messages)
		if err == nil {
			l.slot.end(o, "")
			if l.slot.tell(true, time.Time{}) {
				l.broker.log.Info("messages of MQTT are taken again", "pipeline", l.slot.name)
			}
			return taken
		}
		l.slot.end(o, trouble(err))
		l.broker.stats.retries.Add(1)
		if !errors.Is(err, context.Canceled) && l.slot.tell(false, time.Now()) {
			level := slog.LevelError
			if errors.Is(err, source.ErrBusy) {
				level = slog.LevelWarn
			}
			l.broker.log.Log(l.broker.ctx, level, "messages of MQTT wait, because they cannot be taken now", "pipeline", l.slot.name, "messages", len(messages), "reason", trouble(err))
		}
		after := pause
		var busy *source.BusyError
		if errors.As(err, &busy) && busy.RetryAfter > 0 {
			after = min(busy.RetryAfter, lastRetry)
		}
		pause = min(2*pause, lastRetry)
		select {
		case <-time.After(after):
		case <-l.broker.ctx.Done():
			return stopped
		}
	}
}

// forsake gives up messages that no pipeline took. They stay unacknowledged, and
// the connections that sent them are closed: their clients send again over the
// next one, to whoever reads the topic by then.
func (l *lane) forsake(c *chunk) {
	bytes := 0
	for i := range c.entries {
		e := &c.entries[i]
		bytes += e.size()
		if e.conn != nil {
			e.conn.forsake()
		} else {
			l.broker.stats.dropped.Add(1)
		}
	}
	l.broker.room.give(l.slot, bytes)
}

// acknowledge ticks the messages off and lets connections write.
func (l *lane) acknowledge(c *chunk, touched []*conn) []*conn {
	now := time.Now().UnixNano()
	bytes := 0
	for i := range c.entries {
		e := &c.entries[i]
		bytes += e.size()
		if e.conn == nil {
			continue
		}
		l.broker.stats.latency.observe(now - e.arrived)
		if e.conn.done(e.seq) {
			touched = append(touched, e.conn)
		}
	}
	for _, t := range touched {
		t.kick()
	}
	l.broker.room.give(l.slot, bytes)
	l.broker.stats.taken.Add(uint64(len(c.entries)))
	l.broker.stats.commits.Add(1)
	return touched
}

// reply implements source.Message.Reply, with QoS 0, as Sparkplug wants it.
func (b *Broker) reply(_ context.Context, name string, payload []byte) error {
	return b.Publish(name, payload, 0, false)
}
