package detect

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
)

// Window says which of the earlier readings of a series a reading is compared
// with.
type Window struct {
	Readings int           // at most; each takes 8 bytes a series, 16 with Span or for mad
	Span     time.Duration // not older than the reading by more; 0: however old
	Least    int           // so many have to be there, else it is not judged
	// Season cuts a period (a day, a week) into slots and compares a reading with
	// those of its own slot: at this hour of other days. 0 slots: it does not.
	// Readings and Least are then of each slot, and slots count as series.
	Season time.Duration
	Slots  int
}

// mostReadings bounds a window: beyond it, 100,000 series would take 8 GB.
const mostReadings = 10_000

func declareWindow(s *declare.Map, standard Window) Window {
	w := standard
	if n := s.Node("window"); n != nil {
		// A whole number is readings, anything else a length of time.
		if _, err := strconv.Atoi(n.Value); err == nil {
			w.Readings = s.Int("window", standard.Readings, 2)
		} else {
			w.Span = s.Duration("window", 0)
			w.Readings = s.Int("readings", 1000, 2)
		}
	}
	if w.Readings > mostReadings {
		s.Fail("window", "at most %d readings", mostReadings)
	}
	w.Least = s.Int("least", min(standard.Least, w.Readings), 2)
	if w.Least > w.Readings {
		s.Fail("least", "%d: the window holds no more than %d readings", w.Least, w.Readings)
	}
	if s.Has("season") {
		w.Season = s.Duration("season", 0)
		w.Slots = s.Int("slots", 24, 1)
		if w.Slots > 10_000 || w.Season/time.Duration(max(w.Slots, 1)) < time.Second {
			s.Fail("slots", "want at most 10000, of a second or more each")
		}
	} else if s.Has("slots") {
		s.Fail("slots", "means something with season only, such as season: 24h")
	}
	return w
}

// slot returns the state that a reading at t is compared with.
func (w *Window) slot(series uint64, t int64) uint64 {
	if w.Slots == 0 {
		return series
	}
	in := t % int64(w.Season)
	if in < 0 {
		in += int64(w.Season)
	}
	// In floating point, because the product may not fit.
	n := uint64(float64(in) / float64(w.Season) * float64(w.Slots))
	return mix(series, n+1)
}

// ring holds the newest values of a series, oldest first from head. It grows to
// its maximum by doubling, so that series of few readings stay small.
type ring struct {
	values []float64
	times  []int64 // nil unless values leave by time
	head   int32
	n      int32
}

func (r *ring) reset() { r.head, r.n = 0, 0 }

func (r *ring) at(i int) int {
	i += int(r.head)
	if i >= len(r.values) {
		i -= len(r.values)
	}
	return i
}

// grow makes room for one more, if the maximum allows; timed keeps times too.
func (r *ring) grow(most int, timed bool) {
	if int(r.n) < len(r.values) || len(r.values) >= most {
		return
	}
	size := min(max(8, 2*len(r.values)), most)
	values := make([]float64, size)
	k := copy(values, r.values[r.head:])
	copy(values[k:], r.values[:r.head])
	r.values = values
	if timed {
		times := make([]int64, size)
		k := copy(times, r.times[r.head:])
		copy(times[k:], r.times[:r.head])
		r.times = times
	}
	r.head = 0
}

// pop takes the oldest value out.
func (r *ring) pop() float64 {
	v := r.values[r.head]
	r.head++
	if int(r.head) == len(r.values) {
		r.head = 0
	}
	r.n--
	return v
}

// push appends a value; there has to be room.
func (r *ring) push(t int64, v float64) {
	i := r.at(int(r.n))
	r.values[i] = v
	if r.times != nil {
		r.times[i] = t
	}
	r.n++
}

// expired says whether the oldest value is older than t by more than span; 0 is
// however long.
func (r *ring) expired(t int64, span time.Duration) bool {
	return span > 0 && r.n > 0 && r.times != nil && t-r.times[r.head] > int64(span)
}

// recent is the window of a series and how new its newest reading is.
type recent struct {
	ring
	newest
}

// admits says whether a reading at t enters the window, which begins anew if the
// series is fresh.
func (w *recent) admits(fresh bool, t int64) bool {
	if fresh {
		w.ring.reset()
		w.newest = newest{time: t}
		return true
	}
	return w.newest.admits(t)
}

// moments are mean and squared deviations of a window, kept up to date as
// values come and go.
//
// Source: B. P. Welford 1962, "Note on a Method for Calculating Corrected Sums of
// Squares and Products", and its inverse for the value that leaves. What rounding
// adds up is wiped out by computing them anew when the window has been exchanged
// once, which is one addition a reading, and when a value leaves that nearly all
// of the squares were of.
type moments struct {
	mean, squares float64
	left          int32 // values that went since they were computed anew
	equal         int32 // newest values that are all the same
	last          float64
}

// drowned is the part of the squares below which what is left of them is the
// rounding of what went.
const drowned = 1e-8

func (m *moments) add(v float64, n int32) {
	if v == m.last {
		m.equal++
	} else {
		m.last, m.equal = v, 1
	}
	d := v - m.mean
	m.mean += d / float64(n)
	m.squares += d * (v - m.mean)
}

// remove takes out v, the oldest value, which r has no more.
func (m *moments) remove(v float64, r *ring) {
	if r.n == 0 {
		*m = moments{}
		return
	}
	before := m.squares
	d := v - m.mean
	m.mean -= d / float64(r.n)
	m.squares -= d * (v - m.mean)
	m.left++
	if m.left >= r.n || !(m.squares >= before*drowned) {
		m.anew(r)
	}
}

func (m *moments) anew(r *ring) {
	m.mean, m.squares, m.left = 0, 0, 0
	for i := range int(r.n) {
		m.mean += r.values[r.at(i)] / float64(r.n)
	}
	for i := range int(r.n) {
		d := r.values[r.at(i)] - m.mean
		m.squares += d * d
	}
}

// of returns mean and standard deviation of a sample of n, both exactly if all its
// values are equal.
func (m *moments) of(n int32) (mean, deviation float64) {
	switch {
	case m.equal >= n:
		return m.last, 0
	case n < 2 || m.squares <= 0:
		return m.mean, 0
	}
	return m.mean, math.Sqrt(m.squares / float64(n-1))
}

// ordered are the values of a window in order.
type ordered []float64

// search returns how many values are below v. There is no branch in its loop that
// depends on a value, which is what the search of package slices spends its time
// on.
func (o ordered) search(v float64) int {
	at, n := 0, len(o)
	for n > 1 {
		half := n / 2
		if o[at+half-1] < v {
			at += half
		}
		n -= half
	}
	if n == 1 && o[at] < v {
		at++
	}
	return at
}

func (o ordered) insert(v float64) ordered { return slices.Insert(o, o.search(v), v) }

func (o ordered) remove(v float64) ordered {
	i := o.search(v)
	return slices.Delete(o, i, i+1)
}

// replace exchanges a value for another, moving only what lies between.
func (o ordered) replace(old, v float64) {
	i, j := o.search(old), o.search(v)
	if j > i {
		j--
		copy(o[i:j], o[i+1:j+1])
	} else {
		copy(o[j+1:i+1], o[j:i])
	}
	o[j] = v
}

func (o ordered) median() float64 {
	n := len(o)
	if n%2 == 1 {
		return o[n/2]
	}
	return o[n/2-1]/2 + o[n/2]/2
}

// spread returns the median of the distances from the median m. The distances of
// the lower half grow to the left, those of the upper half to the right, so that
// it is the median of two ordered lists, found by halving: what it takes grows
// with the logarithm of the window.
func (o ordered) spread(m float64) float64 {
	n := len(o)
	half := n / 2                                           // is also how many distances are taken
	below := func(i int) float64 { return m - o[half-1-i] } // 0 ≤ i < half
	above := func(i int) float64 { return o[half+i] - m }   // 0 ≤ i < n-half
	// Of the half smallest distances, i are below and the rest above.
	i := 0
	for left := half; left > 0; {
		step := (left + 1) / 2
		if below(i+step-1) < above(half-i-step) {
			i += step
			left -= step
		} else {
			left = step - 1
		}
	}
	next := math.Inf(1)
	if i < half {
		next = below(i)
	}
	if j := half - i; j < n-half {
		next = min(next, above(j))
	}
	if n%2 == 1 {
		return next
	}
	last := math.Inf(-1)
	if i > 0 {
		last = below(i - 1)
	}
	if i < half {
		last = max(last, above(half-i-1))
	}
	return last/2 + next/2
}

// meanDistance returns the mean of the distances from m.
func (o ordered) meanDistance(m float64) float64 {
	var sum float64
	for _, v := range o {
		sum += math.Abs(v-m) / float64(len(o))
	}
	return sum
}
