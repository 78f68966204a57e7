package transform

import (
	"fmt"
	"math"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/plan"
)

// Grid tells in which windows times lie. Windows are cut down to the time that
// the stream covers; those that are then the same are one, told by the first
// number. It belongs to one goroutine.
type Grid struct {
	grid   *plan.Grid // nil: one window is everything
	back   value.Span // negative: windows begin so long before the grid
	zone   *time.Location
	bounds flow.Bounds
}

// Endless is the length of a window that holds everything: inf.
const Endless = math.MaxInt64

// Endless reports whether w is one window of everything.
func (w *Window) Endless() bool { return w.Every == value.Span{Nanos: Endless} }

// Plan returns w as plans have windows, if they have such ones.
func (w *Window) Plan() (plan.Window, bool) {
	p := plan.Window{
		Every:   plan.Duration(w.Every),
		Period:  plan.Duration(w.Period),
		Offset:  plan.Duration(w.Offset),
		Zone:    w.Zone,
		ByClock: w.Zone != "",

		CreateEmpty: w.CreateEmpty,
	}
	if p.Period == p.Every {
		p.Period = plan.Duration{}
	}
	return p, !w.Endless() && !w.Period.Negative()
}

// Grid returns the grid of w, or says why there is none.
func (w *Window) Grid() (*Grid, error) {
	g := &Grid{bounds: w.Bounds}
	if !w.Bounded {
		if w.CreateEmpty {
			return nil, fmt.Errorf("nil bounds passed to window; use range to set the window range")
		}
		g.bounds = flow.Bounds{Start: math.MinInt64, Stop: math.MaxInt64}
	}
	if w.Endless() {
		return g, nil
	}
	switch {
	case w.Every.Months != 0 && w.Every.Nanos != 0:
		return nil, fmt.Errorf("duration used as an interval cannot mix month and nanosecond units: every is %s", w.Every)
	case w.Every.Negative() || w.Every.IsZero():
		return nil, fmt.Errorf("duration used as an interval must be positive: every is %s", w.Every)
	}
	p, _ := w.Plan()
	if w.Period.Negative() {
		g.back, p.Period = w.Period, plan.Duration{}
	}
	var err error
	if g.zone, err = time.LoadLocation(w.Zone); err != nil {
		return nil, fmt.Errorf("unknown time zone %q", w.Zone)
	}
	g.grid, err = p.Grid(g.bounds.Stop)
	return g, err
}

// raw returns the bounds of a window before it is cut.
func (g *Grid) raw(i int64) (start, stop int64) {
	start, stop = g.grid.Bounds(i)
	if g.back.Negative() {
		return g.back.AddTo(start, g.zone), start
	}
	return start, stop
}

// Bounds returns where a window starts and stops. One that starts where it stops
// or later has nothing of the time of the stream.
func (g *Grid) Bounds(i int64) (start, stop int64) {
	if g.grid == nil {
		return g.bounds.Start, g.bounds.Stop
	}
	start, stop = g.raw(i)
	return max(start, g.bounds.Start), min(stop, g.bounds.Stop)
}

// Place is a stretch of time, of which every moment lies in the same windows.
type Place struct {
	From, To    int64 // [From, To)
	First, Last int64 // numbers of the windows; none if First > Last
}

// everywhere is the place of all times on a grid of one window.
var everywhere = Place{From: math.MinInt64, To: math.MaxInt64}

// Holds reports whether t is in the stretch.
func (p *Place) Holds(t int64) bool { return p.From <= t && t < p.To }

// At returns the place of a time.
func (g *Grid) At(t int64) Place {
	switch {
	case g.grid == nil:
		return everywhere
	case t < g.bounds.Start:
		return Place{math.MinInt64, g.bounds.Start, 0, -1}
	case t >= g.bounds.Stop:
		return Place{g.bounds.Stop, math.MaxInt64, 0, -1}
	}
	first := g.grid.Earliest(t)
	if g.back.Negative() {
		first++ // the grid is where these windows stop
	}
	start, stop := g.raw(first)
	_, before := g.raw(first - 1)
	if start > t {
		return Place{before, start, 0, -1}
	}
	p := Place{From: max(before, start), To: stop, First: first, Last: g.lastFrom(first, t)}
	if p.Last > first {
		start, _ = g.raw(p.Last)
		p.From = max(p.From, start)
	}
	next, _ := g.raw(p.Last + 1)
	p.To = min(p.To, next)
	p.From, p.To = max(p.From, g.bounds.Start), min(p.To, g.bounds.Stop)
	return p
}

// lastFrom returns the last window that starts at t or before; window i does. A
// period of a year has more windows of a second than one can walk along.
func (g *Grid) lastFrom(i, t int64) int64 {
	low, high := i, i+1
	for step := int64(1); ; step *= 2 {
		if start, _ := g.raw(high); start > t {
			break
		}
		low = high
		if high > math.MaxInt64-1-step {
			high = math.MaxInt64 - 1
			break
		}
		high += step
	}
	for high-low > 1 {
		mid := low + (high-low)/2
		if start, _ := g.raw(mid); start > t {
			high = mid
		} else {
			low = mid
		}
	}
	return low
}

// EachOf calls use with the windows of a place.
func (g *Grid) EachOf(run *flow.Run, p *Place, use func(i int64) error) error {
	if p.First == p.Last {
		return use(p.First)
	}
	return g.each(run, p.First, func(i int64) bool { return i <= p.Last }, use)
}

// Each calls use with every window that has some of the time of the stream.
func (g *Grid) Each(run *flow.Run, use func(i int64) error) error {
	if g.grid == nil {
		return use(0)
	}
	return g.each(run, g.grid.Earliest(g.bounds.Start), func(i int64) bool {
		start, _ := g.raw(i)
		return start < g.bounds.Stop
	}, use)
}

// each calls use with windows from i on for as long as more says so, but for
// those that have nothing of the time of the stream. Of those that have all of
// it, only the first is used.
func (g *Grid) each(run *flow.Run, i int64, more func(i int64) bool, use func(i int64) error) error {
	all := false // a window that has everything was used
	for n := 1; more(i); n++ {
		if n%checkEvery == 0 {
			if err := run.Ended(); err != nil {
				return err
			}
		}
		var b flow.Bounds
		b.Start, b.Stop = g.Bounds(i)
		switch {
		case b == g.bounds && all:
			// Those that follow, and start no later, are like it.
			i = g.lastFrom(i, g.bounds.Start)
		case b.Start < b.Stop:
			all = all || b == g.bounds
			if err := use(i); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}
