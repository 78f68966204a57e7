// Package detect has the steps of a pipeline that remember: repeats, samples,
// values that are stuck or jump, outliers of a rolling window, readings that
// come late. Each keeps a small state for each series, in a table with a
// declared maximum of series; when it is full, a series that was not seen
// lately makes room, and that is counted.
//
// A pipeline asks Declare for a Detector, begins a Pass for each call of its
// intake, applies it to each record in turn, says which of them were refused
// behind it, and ends it with whether the others are safe:
//
//	pass := detector.Begin()
//	outcome := pass.Apply(record, now)
//	pass.Forget(record.ID) // a later step or a sink refused it
//	pass.End(err == nil)
//
// Deduplicate and late learn only from passes that ended well. Otherwise a batch
// that could not be stored and comes again would be dropped as a repeat of
// itself, and be lost. Deduplicate learns nothing of what was refused either: it
// may come again, repaired. The others learn at once, and what they found in a
// pass that did not end well is kept: when its readings come again it is found
// of them again, and they do not enter twice (see judging).
//
// State is best-effort: it lives in memory, and is gone after a crash, a
// restart, or a change of the step's declaration. A detector then judges
// nothing until its window has the least number of readings again, and repeats
// across the crash pass.
//
// Series are told apart by a hash of 64 bits with a seed of the process; two
// that share it share a state, which is to be expected once among 100,000
// series in 3 billion restarts. Repeats are told by 128 bits, texts in them by 64.
//
// Detectors are safe for concurrent use; a Pass belongs to one goroutine.
package detect

import (
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// Verdict is what becomes of a record.
type Verdict uint8

const (
	Passed  Verdict = iota // as it was
	Changed                // and passed
	Dropped                // left out on purpose
	Refused
)

// Outcome is a verdict and why.
type Outcome struct {
	Verdict Verdict
	// Reason is a word for metrics, such as duplicate; "" if the record passed
	// and nothing was found.
	Reason string
	// Detail is for people, and is there if the record is refused.
	Detail string
}

// Detector is a declared step with its state.
type Detector interface {
	// Begin starts a pass over the records of one call of an intake.
	Begin() Pass
	// Anew returns a detector with the same settings that has seen nothing.
	Anew() Detector
	// Stats tells how full the state is.
	Stats() Stats
}

// Pass is one call's way through a detector.
type Pass interface {
	// Apply looks at r, which arrived at now (nanoseconds since 1970), and may
	// change it. A record without a time has that of its arrival. Apply keeps
	// nothing of r.
	Apply(r *record.Record, now int64) Outcome
	// Forget says that the record with this ID was refused by what comes behind the
	// detector.
	Forget(id uint64)
	// End says whether the records of the pass are safe, but for those that were
	// refused. The pass is not used after it.
	End(safe bool)
}

// Stats tells how full the state of a detector is.
type Stats struct {
	Series  int    // that have a state now; remembered records of deduplicate
	Evicted uint64 // that lost their state because there were too many
}

// Kinds returns the names of the detectors, in the order in which they are
// documented.
func Kinds() []string {
	return []string{"deduplicate", "sample", "late", "stuck", "rate", "zscore", "mad"}
}

// Declare reads the settings of a detector of one of Kinds, and returns nil for
// any other kind. What is wrong is noted in s; Err is the caller's to call, so
// that it can have keys of its own beside these.
func Declare(kind string, s *declare.Map) Detector {
	switch kind {
	case "deduplicate":
		return NewDeduplicate(DeclareDeduplicate(s))
	case "sample":
		return NewSample(DeclareSample(s))
	case "late":
		return NewLate(DeclareLate(s))
	case "stuck":
		return NewStuck(DeclareStuck(s))
	case "rate":
		return NewRate(DeclareRate(s))
	case "zscore":
		return NewZScore(DeclareZScore(s))
	case "mad":
		return NewMAD(DeclareMAD(s))
	}
	return nil
}

// timeOf returns the time of r.
func timeOf(r *record.Record, now int64) int64 {
	if r.Timed {
		return r.Time
	}
	return now
}
