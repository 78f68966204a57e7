package detect

import (
	"math"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// RateConfig is how fast a value may change.
type RateConfig struct {
	Field string
	Track
	Most float64       // change a Per, up or down
	Per  time.Duration // a second by default
	Gap  time.Duration // after a longer pause nothing is judged; 0: however long
	Mark
}

// DeclareRate reads
//
//	rate: {field: value, most: 5, per: 1m, gap: 1h, flag: jump}
func DeclareRate(s *declare.Map) RateConfig {
	c := RateConfig{
		Field: s.Required("field"), Track: declareTrack(s),
		Most: declareAbove(s, "most", 0), Per: s.Duration("per", time.Second), Gap: s.Duration("gap", 0),
		Mark: declareMark(s),
	}
	if !s.Has("most") {
		s.Fail("most", "is missing: by how much may the value change in %s", c.Per)
	}
	return c
}

// Rate finds values that change faster than they can, compared with the reading
// before. A spike is found twice: on its way up and on its way down.
type Rate struct {
	c RateConfig
	tracker[rateState]
	judging
}

type rateState struct {
	value float64
	newest
}

// NewRate returns a detector that has seen nothing.
func NewRate(c RateConfig) *Rate {
	return &Rate{c: c, tracker: newTracker[rateState](c.Track)}
}

// Observe says whether the value has changed too fast to be v at t
// (nanoseconds). Score is the change in Per, with its sign. A reading that is not
// newer than the newest is not judged; one of the same time takes its place,
// since it overwrites it in the store.
func (d *Rate) Observe(series uint64, t int64, v float64) Finding {
	c := &d.c
	sh := d.table.lock(series)
	defer sh.mu.Unlock()
	s, fresh := sh.state(series)
	if fresh {
		*s = rateState{value: v, newest: newest{time: t}}
		return Finding{}
	}
	before, was := s.newest.time, s.value
	if t == before {
		s.value = v
		return Finding{}
	}
	if !s.admits(t) {
		return Finding{}
	}
	s.value = v
	if t < before || c.Gap > 0 && t-before > int64(c.Gap) {
		return Finding{}
	}
	score := (v - was) / (float64(t-before) / float64(c.Per))
	if math.IsNaN(score) || math.IsInf(score, 0) {
		return Finding{}
	}
	return Finding{Score: score, Judged: true, Found: math.Abs(score) > c.Most}
}

// Anew returns a detector like d that has seen nothing.
func (d *Rate) Anew() Detector { return NewRate(d.c) }

// Begin starts a pass.
func (d *Rate) Begin() Pass {
	p, ok := d.passes.Get().(*ratePass)
	if !ok {
		p = &ratePass{d: d}
	}
	return p.begin(&d.judging, p)
}

type ratePass struct {
	d *Rate
	attempt
}

// Apply judges the field of r, if it has it as a number.
func (p *ratePass) Apply(r *record.Record, now int64) Outcome {
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
	return p.d.c.apply(r, f, "rate", func() string {
		return describe(r, p.d.c.Field, "a change of %.4g in %s, %g is allowed", f.Score, p.d.c.Per, p.d.c.Most)
	})
}
