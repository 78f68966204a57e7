package detect

import (
	"math"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// Deviation says from when on a reading is far off those of its window.
type Deviation struct {
	Field string
	Track
	Window
	Threshold float64 // the score from which on a reading is an outlier
	// LeastDeviation stands for the deviation of the window where that is smaller:
	// what the sensor's noise is at least, in the field's unit.
	LeastDeviation float64
	Mark
}

func declareDeviation(s *declare.Map, threshold float64) Deviation {
	return Deviation{
		Field: s.Required("field"), Track: declareTrack(s),
		Window:         declareWindow(s, Window{Readings: 200, Least: 20}),
		Threshold:      declareAbove(s, "threshold", threshold),
		LeastDeviation: declareAbove(s, "least_deviation", 0),
		Mark:           declareMark(s),
	}
}

// declareAbove reads a finite number above zero.
func declareAbove(s *declare.Map, key string, otherwise float64) float64 {
	f, given := s.Float(key)
	if !given {
		return otherwise
	}
	if f <= 0 || math.IsInf(f, 0) {
		s.Fail(key, "%g: want a number above zero", f)
		return otherwise
	}
	return f
}

// judge judges a reading that is so far off the middle of its window, which has
// this deviation. Where that is zero and there is no least, the window was flat:
// what differs from it is an outlier, of which cannot be said how far it is off,
// so that its score is the threshold. Nothing is judged where one of the two is no
// number any more.
func (d *Deviation) judge(distance, deviation float64) Finding {
	deviation = max(deviation, d.LeastDeviation)
	score := distance / deviation
	switch {
	case deviation != 0:
	case distance == 0:
		score = 0
	case !math.IsNaN(distance):
		score = math.Copysign(d.Threshold, distance)
	}
	if math.IsNaN(score) || math.IsInf(score, 0) {
		return Finding{}
	}
	return Finding{Score: score, Judged: true, Found: math.Abs(score) >= d.Threshold}
}

// mark does to r what is declared for f. off says what the score counts.
func (d *Deviation) mark(r *record.Record, f Finding, off string) Outcome {
	return d.apply(r, f, "outlier", func() string {
		return describe(r, d.Field, "%.1f %s of the readings before it, %g are allowed", math.Abs(f.Score), off, d.Threshold)
	})
}
