package plan

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Grid is a Window ready to be asked where windows lie. Times saturate at the
// ends of what 64 bits hold. It belongs to one goroutine.
type Grid struct {
	w      Window
	zone   *time.Location // nil: UTC
	period Duration
	zero   int64 // clock reading at which window 0 starts
}

// Grid checks w and returns its grid over a range that ends at stop.
func (w *Window) Grid(stop int64) (*Grid, error) {
	if err := w.validate(); err != nil {
		return nil, err
	}
	g := &Grid{w: *w, period: w.Period, zero: addTo(0, w.Offset)}
	if g.period.IsZero() {
		g.period = w.Every
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	if zone != time.UTC {
		g.zone = zone
	}
	if w.Every.Nanos > 0 && w.Every.Nanos <= int64(time.Hour) && w.Period.Months == 0 && !w.ByClock {
		g.zero -= g.clockOffset(saturate(stop, -1))
		g.zone = nil
	}
	if w.Every.Months == 0 {
		// The same windows with other numbers, none of which overflows.
		g.zero -= floorDiv(g.zero, w.Every.Nanos) * w.Every.Nanos
	}
	return g, nil
}

// Bounds returns where window i starts and ends.
func (g *Grid) Bounds(i int64) (start, stop int64) {
	from := Duration{mulSaturated(g.w.Every.Months, i), mulSaturated(g.w.Every.Nanos, i)}
	// Months are added at once: the last of January plus a month plus a month
	// is the last of March, where the next window starts.
	// Nanoseconds are counted from the next window, because the start of the
	// earliest window of all is too far back for 64 bits.
	to := Duration{
		saturate(from.Months, g.period.Months),
		saturate(mulSaturated(g.w.Every.Nanos, i+1), g.period.Nanos-g.w.Every.Nanos),
	}
	return g.moment(addTo(g.zero, from)), g.moment(addTo(g.zero, to))
}

// Span returns the first and last nanosecond that belong to the window with
// these bounds; first is greater than last if none does.
func (g *Grid) Span(start, stop int64) (first, last int64) {
	first, last = start, stop
	if g.w.StartOpen {
		first = saturate(first, 1)
	}
	if !g.w.StopClosed {
		if stop == math.MinInt64 {
			return math.MaxInt64, math.MinInt64
		}
		last = saturate(last, -1)
	}
	return first, last
}

// Earliest returns the earliest window that a time belongs to or, if it
// belongs to none, the next one.
func (g *Grid) Earliest(t int64) int64 {
	// Windows before low end too early, high does not. The guess is mostly
	// right; an hour that the clocks show twice may be many windows off.
	// The last number is left out: no window follows it.
	const last = math.MaxInt64 - 1
	high := min(g.guess(t), last)
	low := saturate(high, -1)
	for step := int64(1); high < last && g.ends(high) < t; step *= 2 {
		low, high = high, min(saturate(high, step), last)
	}
	for step := int64(1); low > math.MinInt64 && g.ends(low) >= t; step *= 2 {
		low, high = saturate(low, -step), low
	}
	if low == math.MinInt64 && g.ends(low) >= t {
		return low
	}
	for high-low > 1 {
		if mid := low + (high-low)/2; g.ends(mid) < t {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// ends returns the last nanosecond of window i.
func (g *Grid) ends(i int64) int64 {
	_, last := g.Span(g.Bounds(i))
	return last
}

// guess returns a window near the earliest one with t.
func (g *Grid) guess(t int64) int64 {
	if g.w.Every.Months == 0 {
		// Bounds in UTC differ from those in a zone by less than a day or so,
		// which Earliest makes good a window at a time; so begin with the
		// reading of the clock.
		at := saturate(t, g.clockOffset(t))
		back := g.period.Nanos
		if g.period.Months > 0 {
			back = saturate(back, mulSaturated(31*24*int64(time.Hour), g.period.Months))
		}
		every := g.w.Every.Nanos
		// Room for Earliest to step back from windows of a nanosecond.
		return max(saturate(floorDiv(at, every), -floorDiv(back, every)-2), math.MinInt64+4)
	}
	back := g.period.Months + g.period.Nanos/(28*24*int64(time.Hour)) + 1
	return floorDiv(monthOf(t)-monthOf(g.zero)-back, g.w.Every.Months)
}

// clockOffset returns how far the clocks of the zone are ahead of UTC.
func (g *Grid) clockOffset(t int64) int64 {
	if g.zone == nil {
		return 0
	}
	_, off := time.Unix(0, t).In(g.zone).Zone()
	return int64(off) * int64(time.Second)
}

// moment returns when the clocks of the zone show a reading: the first time
// if they do so twice, the moment of the change if they leave it out.
func (g *Grid) moment(reading int64) int64 {
	if g.zone == nil || reading == math.MinInt64 || reading == math.MaxInt64 {
		return reading
	}
	// Offsets are below a day, so these lie on either side of any change
	// that matters; two changes within two days are unknown.
	const day = int64(24 * time.Hour)
	before := g.clockOffset(saturate(reading, -day))
	after := g.clockOffset(saturate(reading, day))
	t := saturate(reading, -before)
	if before == after || g.clockOffset(t) == before {
		return t
	}
	if u := saturate(reading, -after); g.clockOffset(u) == after {
		return u
	}
	change, _ := time.Unix(0, t).In(g.zone).ZoneBounds()
	return change.UnixNano()
}

// addTo adds d to a clock reading.
func addTo(at int64, d Duration) int64 {
	if d.Months != 0 {
		at = addMonths(at, d.Months)
	}
	return saturate(at, d.Nanos)
}

func addMonths(at, n int64) int64 {
	t := time.Unix(0, at).UTC()
	month := saturate(monthOf(at), n)
	year := floorDiv(month, 12)
	switch {
	case year < 1677:
		return math.MinInt64
	case year > 2262:
		return math.MaxInt64
	}
	first := time.Date(int(year), time.Month(month-year*12+1), 1, 0, 0, 0, 0, time.UTC)
	day := min(t.Day(), first.AddDate(0, 1, -1).Day())
	clock := at - time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix()*int64(time.Second)
	seconds := first.Unix() + int64(day-1)*24*3600
	return saturate(mulSaturated(seconds, int64(time.Second)), clock)
}

// monthOf returns the calendar month of a reading, counted from the year 0.
func monthOf(at int64) int64 {
	t := time.Unix(0, at).UTC()
	return int64(t.Year())*12 + int64(t.Month()) - 1
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// saturate adds; what is at an end of the range stays there.
func saturate(a, b int64) int64 {
	s := a + b
	switch {
	case a == math.MinInt64 || a == math.MaxInt64:
		return a
	case b == math.MinInt64 || b == math.MaxInt64:
		return b
	case a > 0 && b > 0 && s < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && s >= 0:
		return math.MinInt64
	}
	return s
}

func mulSaturated(a, b int64) int64 {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	switch {
	case hi != 0 || lo > math.MaxInt64:
		if neg {
			return math.MinInt64
		}
		return math.MaxInt64
	case neg:
		return -int64(lo)
	}
	return int64(lo)
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}
