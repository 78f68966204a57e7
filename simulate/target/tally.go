package target

import (
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Tally counts what became of messages.
type Tally struct {
	sent     atomic.Int64 // handed over
	acked    atomic.Int64
	refused  atomic.Int64
	retried  atomic.Int64
	bytes    atomic.Int64 // of payloads that were handed over
	troubles atomic.Int64
	latency  histogram

	mu      sync.Mutex       // guards reasons
	reasons map[string]int64 // of troubles and refusals
}

// Counts is a Tally at a moment.
type Counts struct {
	Sent, Bytes int64 // handed over to the target
	Acked       int64
	Refused     int64 // that the target will not take, however often they are sent
	Retried     int64 // sendings beyond the first
	Troubles    int64 // broken connections, answers to try again, and the like
}

// Counts returns what has been counted so far.
func (t *Tally) Counts() Counts {
	// What is done is read before what was begun, so that it is never more.
	c := Counts{Acked: t.acked.Load(), Refused: t.refused.Load(), Retried: t.retried.Load(), Troubles: t.troubles.Load()}
	c.Sent, c.Bytes = t.sent.Load(), t.bytes.Load()
	return c
}

// Latency returns the time within which a share q of all messages was
// acknowledged, counted from when each was due.
func (t *Tally) Latency(q float64) time.Duration { return t.latency.quantile(q) }

// Longest is the longest such time.
func (t *Tally) Longest() time.Duration { return time.Duration(t.latency.longest.Load()) }

// Reason is why something went wrong, and how often.
type Reason struct {
	Text  string `json:"text"`
	Times int64  `json:"times"`
}

// Reasons returns reasons, the most frequent first.
func (t *Tally) Reasons() []Reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Reason
	for _, text := range slices.Sorted(maps.Keys(t.reasons)) {
		list = append(list, Reason{text, t.reasons[text]})
	}
	slices.SortStableFunc(list, func(a, b Reason) int { return int(b.Times - a.Times) })
	return list
}

// Sent counts messages that are handed over.
func (t *Tally) Sent(n, bytes int) {
	t.sent.Add(int64(n))
	t.bytes.Add(int64(bytes))
}

// Acked counts a message as acknowledged now.
func (t *Tally) Acked(due, now int64) {
	t.acked.Add(1)
	t.latency.add(now - due)
}

// Refused counts messages that the target does not take: it has said what is wrong
// with them, and sending them again is of no use. An answer tells one reason for all
// of its messages.
func (t *Tally) Refused(n int, reason string) {
	t.refused.Add(int64(n))
	t.note(reason)
}

// Retried counts messages that are sent again.
func (t *Tally) Retried(n int) { t.retried.Add(int64(n)) }

// Trouble counts something after which messages are sent again.
func (t *Tally) Trouble(reason string) {
	t.troubles.Add(1)
	t.note(reason)
}

const (
	maxReasons = 50
	// maxReason bounds what is kept of a reason.
	maxReason = 160
)

func (t *Tally) note(reason string) {
	reason = reason[:min(len(reason), maxReason)]
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reasons == nil {
		t.reasons = map[string]int64{}
	}
	if _, ok := t.reasons[reason]; !ok && len(t.reasons) >= maxReasons {
		reason = "others"
	}
	t.reasons[reason]++
}

// histogram counts durations in nanoseconds. Every octave is cut into 64
// buckets, so that a quantile is off by less than 1.6 %. Unlike that of package
// bench it is counted into by many goroutines at once.
type histogram struct {
	counts  [buckets]atomic.Uint64
	longest atomic.Int64
}

const (
	subBits = 6
	// Durations of 2^octaves ns (18 minutes) and more share the last bucket.
	octaves = 40
	buckets = (octaves - subBits + 1) << subBits
)

func (h *histogram) add(d int64) {
	u := uint64(max(d, 0))
	bucket := u
	if u >= 1<<subBits {
		shift := bits.Len64(u) - subBits - 1
		bucket = min(uint64(shift+1)<<subBits+u>>shift-1<<subBits, buckets-1)
	}
	h.counts[bucket].Add(1)
	for {
		was := h.longest.Load()
		if d <= was || h.longest.CompareAndSwap(was, d) {
			return
		}
	}
}

func (h *histogram) quantile(q float64) time.Duration {
	var counts [buckets]uint64
	var n uint64
	for i := range counts {
		counts[i] = h.counts[i].Load()
		n += counts[i]
	}
	if n == 0 {
		return 0
	}
	rank := min(max(uint64(q*float64(n)+0.999999), 1), n)
	for i, c := range counts {
		if c < rank {
			rank -= c
			continue
		}
		if i < 1<<subBits {
			return time.Duration(i)
		}
		shift := i>>subBits - 1
		upper := time.Duration(uint64(i&(1<<subBits-1)+1<<subBits+1)<<shift - 1)
		return min(upper, time.Duration(h.longest.Load()))
	}
	panic("BUG: a rank beyond the counts")
}
