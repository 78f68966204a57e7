package detect

import (
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// SampleConfig is which readings of a series are kept. One of Every and Interval
// is zero.
type SampleConfig struct {
	Track
	Every    int           // the first of so many
	Interval time.Duration // the first of each such stretch of time
}

// DeclareSample reads
//
//	sample: {interval: 10s}
func DeclareSample(s *declare.Map) SampleConfig {
	c := SampleConfig{Track: declareTrack(s), Every: s.Int("every", 0, 2), Interval: s.Duration("interval", 0)}
	if s.Has("every") == s.Has("interval") {
		s.Fail("", "want one of every (a number of readings) and interval (a length of time)")
	}
	return c
}

// remembered is how many stretches of time of a series are remembered: more than
// one, so that readings which come a little out of order are not kept again.
const remembered = 4

// Sample keeps some readings of each series and drops the others. Stretches of
// time are those of the clock (with 10s those that begin at :00, :10, …) and of
// the readings' own time. A reading at the very time of one that was kept is
// kept too: it is the same one, come again because it could not be stored, or
// other fields of it. Of a stretch that was forgotten, because four others came
// since, a reading is kept again.
type Sample struct {
	c SampleConfig
	tracker[sampleState]
	judging
}

type sampleState struct {
	kept  [remembered]int64 // times of the readings that were kept, in a ring
	n     int32             // of them
	place int32             // of the oldest, if there are remembered of them
	count uint64            // readings, for Every
}

// NewSample returns a detector that has seen nothing.
func NewSample(c SampleConfig) *Sample {
	return &Sample{c: c, tracker: newTracker[sampleState](c.Track)}
}

// Observe says whether the reading at t (nanoseconds) is kept.
func (d *Sample) Observe(series uint64, t int64) (keep bool) {
	sh := d.table.lock(series)
	defer sh.mu.Unlock()
	s, fresh := sh.state(series)
	if fresh {
		*s = sampleState{}
	}
	if d.c.Every > 0 {
		s.count++
		return (s.count-1)%uint64(d.c.Every) == 0
	}
	stretch := floor(t, int64(d.c.Interval))
	for _, k := range s.kept[:s.n] {
		if floor(k, int64(d.c.Interval)) == stretch {
			return k == t
		}
	}
	if s.n < remembered {
		s.kept[s.n] = t
		s.n++
		return true
	}
	s.kept[s.place] = t
	s.place = (s.place + 1) % remembered
	return true
}

// floor returns which stretch of length d t lies in.
func floor(t, d int64) int64 {
	n := t / d
	if t%d < 0 {
		n--
	}
	return n
}

// Anew returns a detector like d that has seen nothing.
func (d *Sample) Anew() Detector { return NewSample(d.c) }

// Begin starts a pass.
func (d *Sample) Begin() Pass {
	p, ok := d.passes.Get().(*samplePass)
	if !ok {
		p = &samplePass{d: d}
	}
	return p.begin(&d.judging, p)
}

type samplePass struct {
	d *Sample
	attempt
}

// Apply drops r unless it is one to keep.
func (p *samplePass) Apply(r *record.Record, now int64) Outcome {
	series := p.d.id.of(r)
	f, known := p.recall(r, series, 0, now)
	if !known {
		f.Found = p.d.Observe(series, timeOf(r, now))
	}
	p.note(f)
	if !f.Found {
		return Outcome{Verdict: Dropped, Reason: "sampled"}
	}
	return Outcome{}
}
