package scan

import (
	"math"
	"sort"

	"github.com/varvedb/varve/plan"
)

// windows finds the windows of rows and numbers those of the present series
// that have any: its slots, ascending.
type windows struct {
	grid  *plan.Grid // nil: one window with everything in it
	slots []int64    // numbers in the grid
	// The window that was looked at last.
	at          int64
	first, last int64 // the nanoseconds that belong to it
	known       bool
}

func newWindows(p *plan.Plan) (*windows, error) {
	w := &windows{}
	if p.Aggregate.Window != nil {
		grid, err := p.Aggregate.Window.Grid(p.Stop)
		if err != nil {
			return nil, err
		}
		w.grid = grid
	}
	return w, nil
}

func (w *windows) begin() { w.slots = w.slots[:0] }

// look makes window i the present one.
func (w *windows) look(i int64) {
	if w.known && w.at == i {
		return
	}
	w.at, w.known = i, true
	if w.grid == nil {
		w.first, w.last = math.MinInt64, math.MaxInt64
		return
	}
	w.first, w.last = w.grid.Span(w.grid.Bounds(i))
}

// earliest makes the earliest window with t, or behind it, the present one.
func (w *windows) earliest(t int64) {
	switch {
	case w.grid == nil:
		w.look(0)
	case w.known && w.first <= t && t <= w.last && !w.overlap():
	default:
		w.look(w.grid.Earliest(t))
	}
}

// overlap reports whether the window before the present one reaches into it.
func (w *windows) overlap() bool {
	_, last := w.grid.Span(w.grid.Bounds(w.at - 1))
	return last >= w.first
}

// slot returns the slot of the present window, and whether it is new.
func (w *windows) slot() (n int, fresh bool) {
	for n = len(w.slots); n > 0; n-- {
		if w.slots[n-1] == w.at {
			return n - 1, false
		}
		if w.slots[n-1] < w.at {
			break
		}
	}
	if n < len(w.slots) {
		panic("BUG: rows of a series came out of the order of windows")
	}
	w.slots = append(w.slots, w.at)
	return n, true
}

// cut calls fn with each window that has rows at some of these times, and
// which rows they are.
func (w *windows) cut(times []int64, fn func(from, to int)) {
	n := len(times)
	w.earliest(times[0])
	for from := 0; ; {
		from += gallop(times[from:], w.first)
		if from == n {
			return
		}
		if times[from] > w.last { // nothing in this one
			w.look(w.grid.Earliest(times[from]))
			continue
		}
		to := n
		if w.last < times[n-1] {
			to = from + gallop(times[from:], w.last+1)
		}
		fn(from, to)
		if w.grid == nil || w.last == math.MaxInt64 {
			return
		}
		w.look(w.at + 1)
	}
}

// covers reports whether each window that has one of the nanoseconds from min
// to max has them all.
func (w *windows) covers(min, max int64) bool {
	w.earliest(min)
	for w.first <= max {
		if w.first > min || w.last < max {
			return false
		}
		if w.grid == nil || w.last == math.MaxInt64 {
			break
		}
		w.look(w.at + 1)
	}
	return true
}

// each calls fn with each window that has the nanosecond t.
func (w *windows) each(t int64, fn func()) {
	w.earliest(t)
	for w.first <= t {
		fn()
		if w.grid == nil || w.last == math.MaxInt64 {
			return
		}
		w.look(w.at + 1)
	}
}

// gallop returns the first place whose time is not below t, which is near the
// start or else anywhere.
func gallop(times []int64, t int64) int {
	if len(times) == 0 || times[0] >= t {
		return 0
	}
	step := 1
	for step < len(times) && times[step] < t {
		step *= 2
	}
	lo := step / 2
	part := times[lo+1 : min(step+1, len(times))]
	return lo + 1 + sort.Search(len(part), func(i int) bool { return part[i] >= t })
}
