package detect

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/pipeline/record"
)

// judging is what detectors have in common that say something of each reading and
// learn from it at once. What was found in a pass that failed is kept for when its
// readings come again: they are not judged a second time, since the detector knows
// them already, but have what was found of them at first.
//
// Rejected: to learn only when a pass has ended well, which would take a copy of
// the window of each series in each pass; and to take back what a failed pass
// taught, which another may have built on.
type judging struct {
	passes sync.Pool    // of the passes of a detector
	kept   atomic.Int64 // findings; 0 most of the time

	mu         sync.Mutex // guards what follows
	young, old generation
}

// generation is what was found from some time on.
type generation struct {
	since int64 // in nanoseconds since 1970
	// findings are those of each reading, in order: several of its series may have
	// the same time and value.
	findings map[uint64][]Finding
	n        int // of all readings
}

const (
	// mostFound is how many findings a pass notes, and how many are kept in each of
	// two generations: several times the records that are under way in the calls of
	// a source. A finding takes some 100 bytes while it is kept.
	mostFound = 1 << 17
	// keptFor is how long they are kept at least: longer than sources and senders
	// wait between two attempts.
	keptFor = int64(15 * time.Minute)
)

// found is a finding and of which reading.
type found struct {
	reading uint64
	Finding
}

// attempt is what passes of such detectors have in common.
type attempt struct {
	g       *judging
	pass    Pass   // that it is of
	again   bool   // there are findings of passes that failed
	reading uint64 // of which note is called next
	now     int64
	found   []found        // in order
	times   map[uint64]int // how often a reading came, if it may have come before
}

// begin makes a ready for a pass.
func (a *attempt) begin(g *judging, pass Pass) Pass {
	a.g, a.pass, a.again = g, pass, g.kept.Load() > 0
	return pass
}

// recall returns what was found of a reading that came before, in a pass that
// failed. It is known again by its series, time and value, and by how many of the
// same came before it in the pass; where the time is that of its arrival, without
// it.
func (a *attempt) recall(r *record.Record, series uint64, v float64, now int64) (f Finding, known bool) {
	a.reading, a.now = mix(series, math.Float64bits(v)), now
	if r.Timed {
		a.reading = mix(a.reading, uint64(r.Time))
	}
	if !a.again {
		return Finding{}, false
	}
	if a.times == nil {
		a.times = map[uint64]int{}
	}
	n := a.times[a.reading]
	a.times[a.reading]++
	return a.g.of(a.reading, n, now)
}

// note notes what was found of the reading that recall was called for.
func (a *attempt) note(f Finding) {
	if len(a.found) < mostFound {
		a.found = append(a.found, found{a.reading, f})
	}
}

// Forget does nothing: a reading that another step refuses is one nevertheless.
func (a *attempt) Forget(uint64) {}

// End keeps what was found if the readings will come again.
func (a *attempt) End(safe bool) {
	switch {
	case !safe:
		a.g.keep(a.found, a.now)
	case a.again:
		a.g.release(a.found)
	}
	a.found, a.times = a.found[:0], nil
	a.g.passes.Put(a.pass)
}

// of returns the n-th of what was found of a reading in passes that failed.
func (g *judging) of(reading uint64, n int, now int64) (Finding, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.age(now)
	list, ok := g.young.findings[reading]
	if !ok {
		list = g.old.findings[reading]
	}
	if n >= len(list) {
		return Finding{}, false
	}
	return list[n], true
}

// keep keeps what was found in a pass that failed.
func (g *judging) keep(all []found, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.age(now)
	times := map[uint64]int{}
	for _, f := range all {
		if g.young.n >= mostFound {
			g.turn(now)
		}
		if g.young.findings == nil {
			g.young = generation{since: now, findings: map[uint64][]Finding{}}
		}
		list, ok := g.young.findings[f.reading]
		if !ok {
			list = g.old.take(f.reading)
			g.young.n += len(list)
		}
		n := times[f.reading]
		times[f.reading]++
		if n < len(list) {
			list[n] = f.Finding
		} else {
			list = append(list, f.Finding)
			g.young.n++
		}
		g.young.findings[f.reading] = list
	}
	g.kept.Store(int64(g.young.n + g.old.n))
}

// release lets go of what was found of readings that are safe now.
func (g *judging) release(all []found) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range all {
		if !g.young.pop(f.reading) {
			g.old.pop(f.reading)
		}
	}
	g.kept.Store(int64(g.young.n + g.old.n))
}

// age lets go of what nobody came back for.
func (g *judging) age(now int64) {
	if g.kept.Load() > 0 && now-max(g.young.since, g.old.since) > keptFor {
		g.turn(now)
		g.kept.Store(int64(g.old.n))
	}
}

// turn makes the young old, and lets go of the old.
func (g *judging) turn(now int64) {
	g.old, g.young = g.young, generation{}
	g.old.since = now
}

// take takes out all findings of a reading.
func (g *generation) take(reading uint64) []Finding {
	list := g.findings[reading]
	delete(g.findings, reading)
	g.n -= len(list)
	return list
}

// pop takes out the first finding of a reading, and says whether there was one.
func (g *generation) pop(reading uint64) bool {
	list := g.findings[reading]
	if len(list) == 0 {
		return false
	}
	if g.n--; len(list) == 1 {
		delete(g.findings, reading)
	} else {
		g.findings[reading] = list[1:]
	}
	return true
}
