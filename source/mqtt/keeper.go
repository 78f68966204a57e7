package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/varvedb/varve/wlog"
)

// keeper keeps what is retained over a restart, in a log of which the last that
// is said of a topic counts.
//
//  1. retained.set notes each change under its lock, so that the notes of a topic
//     have the order of its messages. A later one takes the place of an earlier
//     one that is not on its way yet.
//  2. A connection that wants an acknowledgement waits (wait) after the change
//     was noted.
//  3. One goroutine, as soon as somebody waits, or some time after a note for
//     which nobody does, takes all notes and all who wait, appends the notes to the
//     log, which syncs, and ticks the messages off in the windows of those who
//     waited; meanwhile the next ones gather. An append that fails is made again,
//     and they wait for it.
//  4. When the log is more than twice what is retained, the same goroutine
//     appends every topic once more, as it is by then, some with each append, and
//     trims what lies before. What it says of a topic is never older than what
//     stands before it, so that a crash at any time leaves a log that is right.
//  5. What waits while the disk takes nothing is bounded: by what may be retained, and
//     by what may have been removed since. Beyond that no further topic is retained.
//
// Rejected: a transaction of the catalog for each group (pages of 4 KiB for
// topics that lie anywhere, in the file that users and buckets need); writing
// the state to another file now and then (acknowledgements would not wait for
// it, or all for all of it).
type keeper struct {
	log      *slog.Logger
	to       wlog.Log
	retained *retained
	noted    chan struct{} // holds one if something may have been noted
	awaited  chan struct{} // holds one if somebody may wait for it
	ending   chan struct{} // closed when the broker ends
	done     chan struct{} // closed when run has ended

	// Of run alone.
	sweeping  []string      // topics that are still to be appended once more
	sweptUpTo wlog.Position // all up to it is not needed when they have been
	enough    int64         // size of the log up to which it is not swept again
	slack     int64         // sweepSlack, but in tests
	part      int           // sweepAppend, but in tests

	mu           sync.Mutex // guards what is below
	changed      map[string]*message
	removals     int // among them
	removedBytes int // of their topics
	mostRemovals int // maxRemovals, but in tests
	waiting      []waiter
}

// waiter is a message that is acknowledged when it is kept.
type waiter struct {
	conn *conn
	seq  uint32
}

const (
	// keptRecord is the size at which a record of the log is full: a share of
	// what it takes, so that one that is damaged takes few topics with it.
	keptRecord = 64 << 10
	// keptAppend is how much is appended at once.
	keptAppend = 4 << 20
	// sweepAppend is how much of a sweep goes with what has changed, so that
	// nobody waits for it noticeably.
	sweepAppend = 256 << 10
	// keptWithin is how long a change may stay in memory for which nobody waits:
	// a burst of QoS 0 is few syncs.
	keptWithin = 100 * time.Millisecond
	// maxRemovals and maxRemovedBytes bound what is noted of topics that have no
	// message any more: more than are removed in the time of a slow sync.
	maxRemovals     = 64 << 10
	maxRemovedBytes = 16 << 20
	// sweepSlack is how much longer than twice what is retained the log may be.
	sweepSlack = 32 << 20
)

func newKeeper(to wlog.Log, r *retained, log *slog.Logger) *keeper {
	return &keeper{log: log, to: to, retained: r, noted: make(chan struct{}, 1), awaited: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{}), changed: map[string]*message{}, slack: sweepSlack, part: sweepAppend, mostRemovals: maxRemovals}
}

// note says what is retained of a topic by now, and whether something was before. It
// returns false, and notes nothing, if nothing was and too much waits to be kept.
// retained.mu is held.
func (k *keeper) note(m *message, was bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, noted := k.changed[m.topic]
	removes := len(m.payload) == 0
	if !was && !noted {
		if removes {
			return true // the log has nothing of it, or will not when it has what is on its way
		}
		if k.removals >= k.mostRemovals || k.removedBytes >= maxRemovedBytes {
			return false
		}
	}
	if noted && len(before.payload) == 0 {
		k.removals--
		k.removedBytes -= len(m.topic)
	}
	if removes {
		k.removals++
		k.removedBytes += len(m.topic)
	}
	k.changed[m.topic] = m
	signal(k.noted)
	return true
}

// take takes what was noted, nil if nothing was, and who waits for it. Others note
// and wait from then on in what is given back here.
func (k *keeper) take(spare []waiter) (changed map[string]*message, waiting []waiter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.changed) > 0 {
		changed, k.changed = k.changed, map[string]*message{}
		k.removals, k.removedBytes = 0, 0
	}
	waiting, k.waiting = k.waiting, spare[:0]
	return changed, waiting
}

// wait ticks a message off in its connection's window once all is kept that was
// noted before.
func (k *keeper) wait(c *conn, seq uint32) {
	k.mu.Lock()
	k.waiting = append(k.waiting, waiter{c, seq})
	k.mu.Unlock()
	signal(k.awaited)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// close ends the keeper when what was noted is kept, or cannot be.
func (k *keeper) close() {
	close(k.ending)
	<-k.done
}

// run keeps until close.
func (k *keeper) run() {
	defer close(k.done)
	var spare []waiter
	for ended := false; !ended; {
		k.sweepIfDue()
		ended = k.idle()
		changed, waiting := k.take(spare)
		if !k.keepAll(changed) {
			return
		}
		k.acknowledge(waiting)
		clear(waiting)
		spare = waiting
	}
}

// idle returns when there is something to do; true if the broker has ended.
func (k *keeper) idle() (ended bool) {
	if len(k.sweeping) > 0 {
		select {
		case <-k.ending:
			return true
		default:
			return false
		}
	}
	select {
	case <-k.awaited:
		return false
	case <-k.ending:
		return true
	case <-k.noted:
	}
	late := time.NewTimer(keptWithin)
	defer late.Stop()
	select {
	case <-k.awaited:
	case <-late.C:
	case <-k.ending:
		return true
	}
	return false
}

// keepAll keeps changes until that succeeds; false if the broker ends before.
func (k *keeper) keepAll(changed map[string]*message) bool {
	pause, failing := firstRetry, false
	for {
		err := k.keep(changed)
		if err == nil {
			if failing {
				k.log.Info("retained messages of MQTT are kept again")
			}
			return true
		}
		if !failing {
			k.log.Error("retained messages of MQTT cannot be kept; this is tried again, and their acknowledgements wait", "messages", len(changed), "error", err)
		}
		failing = true
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastRetry)
		case <-k.ending:
			// Once more: the one before may have failed long ago.
			if err = k.keep(changed); err != nil {
				k.log.Error("retained messages of MQTT are not kept", "messages", len(changed), "error", err)
			}
			return false
		}
	}
}

// keep appends changes, and the next part of a sweep.
func (k *keeper) keep(changed map[string]*message) error {
	w := keptWriter{to: k.to}
	for _, m := range changed {
		if err := k.add(&w, m); err != nil {
			return err
		}
	}
	swept, bytes := 0, 0
	for ; swept < len(k.sweeping) && bytes < k.part; swept++ {
		topic := k.sweeping[swept]
		if _, ok := changed[topic]; ok {
			continue
		}
		m := k.retained.at(topic)
		if m == nil {
			continue // since removed, which was noted
		}
		bytes += m.size()
		if err := k.add(&w, m); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if len(k.sweeping) > 0 {
		if k.sweeping = k.sweeping[swept:]; len(k.sweeping) == 0 {
			k.swept()
		}
	}
	return nil
}

func (k *keeper) add(w *keptWriter, m *message) error {
	if keptSize(m) >= wlog.MaxPayload {
		k.log.Warn("a retained message of MQTT is too large to be kept over a restart", "topic", m.topic, "bytes", m.size(), "limit", wlog.MaxPayload)
		m = &message{topic: m.topic} // nor is the one before
	}
	return w.add(m)
}

// acknowledge ticks the messages off and lets connections write.
func (k *keeper) acknowledge(waiting []waiter) {
	n := 0
	for _, w := range waiting {
		if w.conn.done(w.seq) {
			waiting[n].conn = w.conn
			n++
		}
	}
	for _, w := range waiting[:n] {
		w.conn.kick()
	}
}

// sweepIfDue begins to append every topic once more if the log has become long.
func (k *keeper) sweepIfDue() {
	size := k.to.Size()
	if len(k.sweeping) > 0 || size <= k.enough {
		return
	}
	if _, bytes := k.retained.size(); size <= 2*int64(bytes)+k.slack {
		return
	}
	k.sweptUpTo = k.to.Last()
	if k.sweeping = k.retained.topics(); len(k.sweeping) == 0 {
		k.swept()
	}
}

// swept trims what nobody needs any more.
func (k *keeper) swept() {
	if err := k.to.Trim(k.sweptUpTo); err != nil {
		k.log.Warn("the log of retained messages of MQTT is not trimmed", "error", err)
	}
	k.enough = k.to.Size() + k.slack/2
}

// keptWriter gathers messages into records, and records into appends.
type keptWriter struct {
	to      wlog.Log
	records []wlog.Record
	bytes   int
}

func (w *keptWriter) add(m *message) error {
	n := len(w.records)
	if n == 0 || len(w.records[n-1].Payload) >= keptRecord || len(w.records[n-1].Payload)+keptSize(m) > wlog.MaxPayload {
		if w.bytes >= keptAppend {
			if err := w.flush(); err != nil {
				return err
			}
		}
		w.records = append(w.records, wlog.Record{Kind: wlog.KindRetained})
		n = len(w.records)
	}
	r := &w.records[n-1]
	w.bytes -= len(r.Payload)
	r.Payload = appendKept(r.Payload, m)
	w.bytes += len(r.Payload)
	return nil
}

func (w *keptWriter) flush() error {
	if len(w.records) == 0 {
		return nil
	}
	// It ends: the log waits for the disk alone.
	if err := w.to.Append(context.Background(), w.records, nil); err != nil {
		return err
	}
	w.records, w.bytes = w.records[:0], 0
	return nil
}

// restore puts what a log has into r, which keeps nothing yet: as much as there
// is room for, without what has expired. What is damaged is left out and told.
func (r *retained) restore(ctx context.Context, from wlog.Log, now time.Time, log *slog.Logger) error {
	type found struct {
		*message
		order int
	}
	all := map[string]found{}
	damaged, order := 0, 0
	var first error
	spoilt := func(err error) {
		if damaged++; first == nil {
			first = err
		}
	}
	reader, err := from.Read(ctx, wlog.Position{}, wlog.ReadOptions{OnCorrupt: func(e *wlog.CorruptError) { spoilt(e) }})
	if err != nil {
		return fmt.Errorf("read the log of retained messages: %w", err)
	}
	defer reader.Close()
	for {
		record, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the log of retained messages: %w", err)
		}
		err = readKept(record.Payload, func(m *message) {
			if order++; len(m.payload) == 0 {
				delete(all, m.topic)
			} else {
				all[m.topic] = found{m, order}
			}
		})
		if errors.Is(err, errKeptVersion) {
			return fmt.Errorf("record %s of the log of retained messages: %w", record.Pos, err)
		}
		if err != nil {
			spoilt(fmt.Errorf("record %s: %w", record.Pos, err))
		}
	}
	left := map[string]struct{}{}
	for _, m := range slices.SortedFunc(maps.Values(all), func(a, b found) int { return a.order - b.order }) {
		if (m.expires == 0 || m.expires > now.Unix()) && !r.set(m.message) {
			left[m.topic] = struct{}{}
		}
	}
	if damaged > 0 {
		log.Error("some retained messages of MQTT cannot be read: their topics have none, or the one before", "places", damaged, "first", first)
	}
	if over := len(left); over > 0 {
		r.leftOut = left
		log.Warn("some retained messages of MQTT are left out: there are more than may be", "messages", over)
	}
	if n, bytes := r.size(); n > 0 {
		log.Info("retained messages of MQTT are there again", "messages", n, "bytes", bytes)
	}
	return nil
}
