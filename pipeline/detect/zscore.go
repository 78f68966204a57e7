package detect

import (
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// ZScoreConfig is how a rolling z-score judges.
type ZScoreConfig struct {
	Deviation
	// LeaveOut keeps outliers out of the window, so that they do not hide the next
	// one. After Least of them in a row the window starts anew: that is a new level.
	LeaveOut bool
}

// DeclareZScore reads
//
//	zscore: {field: value, window: 200, threshold: 6, into: anomaly_zscore}
//
// The defaults, those of the example, are what found most for the fewest alarms
// on real series (docs/ANOMALIES.md).
func DeclareZScore(s *declare.Map) ZScoreConfig {
	return ZScoreConfig{declareDeviation(s, 6), s.Choice("outliers", "enter", "enter", "leave_out") == "leave_out"}
}

// ZScore says by how many standard deviations a reading is off the mean of the
// readings before it: z = (x - mean) / s, s that of a sample.
//
// Source: the three-sigma rule of W. A. Shewhart 1931, "Economic Control of
// Quality of Manufactured Product", over a window that moves.
type ZScore struct {
	c ZScoreConfig
	tracker[zstate]
	judging
}

type zstate struct {
	recent
	moments
	outliers int32 // left out in a row
}

// NewZScore returns a detector that has seen nothing.
func NewZScore(c ZScoreConfig) *ZScore {
	return &ZScore{c: c, tracker: newTracker[zstate](c.Track)}
}

// Observe judges the reading v at t (nanoseconds) against the window of its
// series and lets it enter. A reading that is not newer than the newest is
// judged and does not enter. v is finite. Score is z, with the sign of the
// deviation; where all readings of the window are equal and no least deviation is
// declared, it is the threshold for any other reading.
func (z *ZScore) Observe(series uint64, t int64, v float64) Finding {
	c := &z.c
	series = c.slot(series, t)
	sh := z.table.lock(series)
	defer sh.mu.Unlock()
	s, fresh := sh.state(series)
	if fresh {
		s.moments, s.outliers = moments{}, 0
	}
	enters := s.admits(fresh, t)
	for s.expired(t, c.Span) {
		s.remove(s.pop(), &s.ring)
	}
	f := z.compare(s, v)
	if enters {
		z.enter(s, t, v, f.Found)
	}
	return f
}

func (z *ZScore) compare(s *zstate, v float64) Finding {
	if int(s.n) < z.c.Least {
		return Finding{}
	}
	mean, deviation := s.of(s.n)
	return z.c.judge(v-mean, deviation)
}

func (z *ZScore) enter(s *zstate, t int64, v float64, outlier bool) {
	if outlier && z.c.LeaveOut {
		s.outliers++
		if int(s.outliers) < z.c.Least {
			return
		}
		s.ring.reset()
		s.moments = moments{}
	}
	s.outliers = 0
	s.grow(z.c.Readings, z.c.Span > 0)
	if int(s.n) == len(s.values) {
		s.remove(s.pop(), &s.ring)
	}
	s.push(t, v)
	s.add(v, s.n)
}

// Anew returns a detector like z that has seen nothing.
func (z *ZScore) Anew() Detector { return NewZScore(z.c) }

// Begin starts a pass.
func (z *ZScore) Begin() Pass {
	p, ok := z.passes.Get().(*zscorePass)
	if !ok {
		p = &zscorePass{z: z}
	}
	return p.begin(&z.judging, p)
}

type zscorePass struct {
	z *ZScore
	attempt
}

// Apply judges the field of r, if it has it as a number.
func (p *zscorePass) Apply(r *record.Record, now int64) Outcome {
	v, ok := reading(r, p.z.c.Field)
	if !ok {
		return Outcome{}
	}
	series := p.z.id.of(r)
	f, known := p.recall(r, series, v, now)
	if !known {
		f = p.z.Observe(series, timeOf(r, now), v)
	}
	p.note(f)
	return p.z.c.mark(r, f, "standard deviations off the mean")
}
