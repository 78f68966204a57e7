package detect

import (
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// DeclareMAD reads how a rolling median judges:
//
//	mad: {field: value, window: 200, threshold: 8, flag: anomaly}
//
// The defaults, those of the example, were chosen by real series
// (docs/ANOMALIES.md); the threshold of the source gives an alarm every few hours
// there.
func DeclareMAD(s *declare.Map) Deviation { return declareDeviation(s, 8) }

const (
	// toDeviation makes the median of distances the standard deviation that it
	// would be of normal readings: 1 / Φ⁻¹(3/4).
	toDeviation = 1.4826022185056018
	// meanToDeviation does so for their mean: √(π/2).
	meanToDeviation = 1.2533141373155003
)

// MAD says how far a reading is off the median of the readings before it,
// measured by the median of their distances from that median (MAD): the modified
// z-score, 0.6745 (x - median) / MAD. Up to half of the window may be outliers
// before they begin to hide the next one. Where more than half of the readings
// are equal, so that MAD is zero, the mean distance takes its place.
//
// Source: B. Iglewicz and D. C. Hoaglin 1993, "How to Detect and Handle
// Outliers", which also has the threshold of 3.5. The window is exact: its values
// are kept in order beside their order of arrival.
type MAD struct {
	c Deviation
	tracker[madState]
	judging
}

type madState struct {
	recent
	sorted ordered
}

// NewMAD returns a detector that has seen nothing.
func NewMAD(c Deviation) *MAD {
	return &MAD{c: c, tracker: newTracker[madState](c.Track)}
}

// Observe judges the reading v at t (nanoseconds) against the window of its
// series and lets it enter. A reading that is not newer than the newest is
// judged and does not enter. v is finite. Score is the modified z-score; where all
// readings of the window are equal and no least deviation is declared, it is the
// threshold for any other reading.
func (m *MAD) Observe(series uint64, t int64, v float64) Finding {
	c := &m.c
	series = c.slot(series, t)
	sh := m.table.lock(series)
	defer sh.mu.Unlock()
	s, fresh := sh.state(series)
	if fresh {
		s.sorted = s.sorted[:0]
	}
	enters := s.admits(fresh, t)
	for s.expired(t, c.Span) {
		s.sorted = s.sorted.remove(s.pop())
	}
	f := m.compare(s, v)
	if enters {
		s.grow(c.Readings, c.Span > 0)
		if int(s.n) == len(s.values) {
			s.sorted.replace(s.pop(), v)
		} else {
			s.sorted = s.sorted.insert(v)
		}
		s.push(t, v)
	}
	return f
}

func (m *MAD) compare(s *madState, v float64) Finding {
	if int(s.n) < m.c.Least {
		return Finding{}
	}
	middle := s.sorted.median()
	deviation := toDeviation * s.sorted.spread(middle)
	if deviation == 0 {
		deviation = meanToDeviation * s.sorted.meanDistance(middle)
	}
	return m.c.judge(v-middle, deviation)
}

// Anew returns a detector like m that has seen nothing.
func (m *MAD) Anew() Detector { return NewMAD(m.c) }

// Begin starts a pass.
func (m *MAD) Begin() Pass {
	p, ok := m.passes.Get().(*madPass)
	if !ok {
		p = &madPass{m: m}
	}
	return p.begin(&m.judging, p)
}

type madPass struct {
	m *MAD
	attempt
}

// Apply judges the field of r, if it has it as a number.
func (p *madPass) Apply(r *record.Record, now int64) Outcome {
	v, ok := reading(r, p.m.c.Field)
	if !ok {
		return Outcome{}
	}
	series := p.m.id.of(r)
	f, known := p.recall(r, series, v, now)
	if !known {
		f = p.m.Observe(series, timeOf(r, now), v)
	}
	p.note(f)
	return p.m.c.mark(r, f, "scaled median deviations off the median")
}
