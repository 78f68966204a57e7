package detect

import (
	"math"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// StuckConfig is from when on a value counts as stuck.
type StuckConfig struct {
	Field string
	Track
	Epsilon  float64       // how far from the first of the run still counts as the same
	Readings int           // so many have to be the same; 0: any number of at least 2
	For      time.Duration // and for so long; 0: however short
	Gap      time.Duration // a longer pause ends the run; 0: none does
	Mark
}

// DeclareStuck reads
//
//	stuck: {field: value, readings: 10, for: 10m, epsilon: 0.01, flag: stuck}
func DeclareStuck(s *declare.Map) StuckConfig {
	c := StuckConfig{
		Field: s.Required("field"), Track: declareTrack(s),
		Epsilon:  declareAbove(s, "epsilon", 0),
		Readings: s.Int("readings", 0, 2), For: s.Duration("for", 0), Gap: s.Duration("gap", 0),
		Mark: declareMark(s),
	}
	if c.Readings == 0 && c.For == 0 {
		s.Fail("", "say from when on a value is stuck: readings: 10, for: 10m, or both")
	}
	return c
}

// Stuck finds values that do not move: so many readings, or for so long, within
// epsilon of the first of them. A drift is not stuck, because the first does not
// move along.
type Stuck struct {
	c StuckConfig
	tracker[stuckState]
	judging
}

type stuckState struct {
	value    float64 // first of the run
	since    int64
	readings int64
	newest
}

// NewStuck returns a detector that has seen nothing.
func NewStuck(c StuckConfig) *Stuck {
	return &Stuck{c: c, tracker: newTracker[stuckState](c.Track)}
}

// Observe says whether v at t (nanoseconds) is stuck. Score is how many readings
// the run has. A reading that is not newer than the newest is not judged.
func (d *Stuck) Observe(series uint64, t int64, v float64) Finding {
	c := &d.c
	sh := d.table.lock(series)
	defer sh.mu.Unlock()
	s, fresh := sh.state(series)
	before := s.newest.time
	if fresh {
		*s = stuckState{value: v, since: t, readings: 1, newest: newest{time: t}}
		return Finding{Score: 1, Judged: true}
	}
	if !s.admits(t) {
		return Finding{}
	}
	if math.Abs(v-s.value) > c.Epsilon || t < before || c.Gap > 0 && t-before > int64(c.Gap) {
		s.value, s.since, s.readings = v, t, 1
	} else {
		s.readings++
	}
	found := s.readings >= max(2, int64(c.Readings)) && t-s.since >= int64(c.For)
	return Finding{Score: float64(s.readings), Judged: true, Found: found}
}

// Anew returns a detector like d that has seen nothing.
func (d *Stuck) Anew() Detector { return NewStuck(d.c) }

// Begin starts a pass.
func (d *Stuck) Begin() Pass {
	p, ok := d.passes.Get().(*stuckPass)
	if !ok {
		p = &stuckPass{d: d}
	}
	return p.begin(&d.judging, p)
}

type stuckPass struct {
	d *Stuck
	attempt
}

// Apply judges the field of r, if it has it as a number.
func (p *stuckPass) Apply(r *record.Record, now int64) Outcome {
	v, ok := reading(r, p.d.c.Field)
	if !ok {
		return Outcome{}
	}
	series := p.d.id.of(r)
	f, known := p.recall(r, series, v, now)
	if !known {
		f = p.d.Observe(series, timeOf(r, now), v)
	}
	p.note(f)
	return p.d.c.apply(r, f, "stuck", func() string {
		return describe(r, p.d.c.Field, "it has not moved for %g readings", f.Score)
	})
}
