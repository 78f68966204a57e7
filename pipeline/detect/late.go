package detect

import (
	"math"
	"sync"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// LateConfig is when a reading counts as late.
type LateConfig struct {
	Track
	After time.Duration // behind the watermark by more than this is late
	// Against is what the watermark is of.
	Against Watermark
	// Ahead is how far before the clock a reading may be to move the watermark, so
	// that one from the far future does not make all others late.
	Ahead time.Duration
	Mark
}

// Watermark is what readings are late against.
type Watermark uint8

const (
	OfSeries   Watermark = iota // the newest reading of the same series
	OfPipeline                  // the newest reading of all
	OfClock                     // the time of arrival
)

// watermarks are the words of the key against.
var watermarks = map[string]Watermark{"series": OfSeries, "pipeline": OfPipeline, "clock": OfClock}

// DeclareLate reads
//
//	late: {after: 10m, against: series, then: refuse}
func DeclareLate(s *declare.Map) LateConfig {
	c := LateConfig{
		Track: declareTrack(s), After: s.Duration("after", 0),
		Against: watermarks[s.Choice("against", "series", "series", "pipeline", "clock")],
		Ahead:   s.Duration("ahead", time.Hour),
		Mark:    declareMark(s),
	}
	if !s.Has("after") {
		s.Fail("after", "is missing: how far behind counts as late, such as 10m")
	}
	return c
}

// Late finds readings that are far behind the newest one that came before them.
// The watermark moves by readings of passes that ended well, and within a pass by
// those before.
//
// Source: T. Akidau et al. 2015, "The Dataflow Model", for watermarks and allowed
// lateness; this is their heuristic watermark, the greatest time seen.
type Late struct {
	c              LateConfig
	tracker[int64] // newest of each series

	mu     sync.Mutex // guards newest
	newest int64      // of all

	passes sync.Pool // of *latePass, for the memory of their maps
}

// NewLate returns a detector that has seen nothing.
func NewLate(c LateConfig) *Late {
	return &Late{c: c, tracker: newTracker[int64](c.Track), newest: math.MinInt64}
}

// Anew returns a detector like d that has seen nothing.
func (d *Late) Anew() Detector { return NewLate(d.c) }

// Begin starts a pass.
func (d *Late) Begin() Pass {
	p, ok := d.passes.Get().(*latePass)
	if !ok {
		p = &latePass{d: d, series: map[uint64]int64{}}
	}
	d.mu.Lock()
	p.newest = d.newest
	d.mu.Unlock()
	return p
}

type latePass struct {
	d      *Late
	newest int64
	series map[uint64]int64 // newest in this pass
}

// Observe says whether a reading at t that arrived at now (both in nanoseconds)
// is late, and lets the watermark of the pass move. Score is by how many seconds
// it is behind.
func (p *latePass) Observe(series uint64, t, now int64) Finding {
	var mark int64
	switch p.d.c.Against {
	case OfClock:
		mark = now
	case OfPipeline:
		mark = p.newest
		if t > mark && p.moves(t, now) {
			p.newest = t
		}
	case OfSeries:
		mark = p.newestOf(series)
		if t > mark && p.moves(t, now) {
			p.series[series] = t
		}
	}
	if t >= mark {
		return Finding{Judged: true}
	}
	// The difference may not fit where a time is of another age.
	behind := float64(mark) - float64(t)
	return Finding{Score: behind / 1e9, Judged: true, Found: behind > float64(p.d.c.After)}
}

// moves says whether a reading at t may move the watermark.
func (p *latePass) moves(t, now int64) bool {
	return t < now || t-now <= int64(p.d.c.Ahead)
}

func (p *latePass) newestOf(series uint64) int64 {
	if t, ok := p.series[series]; ok {
		return t
	}
	sh := p.d.table.lock(series)
	defer sh.mu.Unlock()
	if t := sh.peek(series); t != nil {
		return *t
	}
	return math.MinInt64
}

// Forget does nothing: a time that another step refuses a reading for is still
// one that was seen.
func (p *latePass) Forget(uint64) {}

// End moves the watermark if the records of the pass are safe.
func (p *latePass) End(safe bool) {
	if safe {
		p.commit()
	}
	if len(p.series) <= mostPooled {
		clear(p.series)
		p.d.passes.Put(p)
	}
}

// mostPooled is how many series or records a pass may have had whose memory is
// kept for the next: some more than batches have.
const mostPooled = 1 << 14

func (p *latePass) commit() {
	p.d.mu.Lock()
	p.d.newest = max(p.d.newest, p.newest)
	p.d.mu.Unlock()
	for series, t := range p.series {
		sh := p.d.table.lock(series)
		if s, fresh := sh.state(series); fresh || t > *s {
			*s = t
		}
		sh.mu.Unlock()
	}
}

// Apply judges the time of r.
func (p *latePass) Apply(r *record.Record, now int64) Outcome {
	t := timeOf(r, now)
	f := p.Observe(p.d.id.of(r), t, now)
	return p.d.c.apply(r, f, "late", func() string {
		return describeLate(r, t, f.Score, p.d.c.After)
	})
}

func describeLate(r *record.Record, t int64, behind float64, after time.Duration) string {
	return "the time " + time.Unix(0, t).UTC().Format(time.RFC3339Nano) + " of a reading of " + r.Measurement +
		" is " + time.Duration(behind*1e9).Round(time.Millisecond).String() + " behind, " + after.String() + " is allowed"
}
