package detect

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// Mark is what is done with what a detector found.
type Mark struct {
	// Into is a field that gets the score of each reading that was judged, Flag
	// one that says whether it was found (true or false). "" is none.
	Into, Flag string
	// Label and Tags are texts that fields and tags get if it was found.
	Label, Tags []declare.Pair
	// Then is what becomes of a record in which it was found: Passed (marked),
	// Dropped or Refused.
	Then Verdict
}

// thens are the words of the key then.
var thens = map[string]Verdict{"mark": Passed, "drop": Dropped, "refuse": Refused}

func declareMark(s *declare.Map) Mark {
	m := Mark{
		Into: s.Text("into", ""), Flag: s.Text("flag", ""),
		Label: s.Pairs("label"), Tags: s.Pairs("tags"),
		Then: thens[s.Choice("then", "mark", "mark", "drop", "refuse")],
	}
	if m.Then == Passed && m.Into == "" && m.Flag == "" && len(m.Label) == 0 && len(m.Tags) == 0 {
		s.Fail("", "would change nothing: say where the result goes (into, flag, label, tags), or then: drop or refuse")
	}
	return m
}

// Finding is what a detector says of a reading.
type Finding struct {
	// Score is how far the reading is from what was to be expected, in the unit
	// of the detector.
	Score float64
	// Judged is false where there was not enough to go by; Score and Found are
	// zero then.
	Judged bool
	Found  bool
}

// apply does to r what m says of f. The detail of a refusal is what says tells.
func (m *Mark) apply(r *record.Record, f Finding, reason string, says func() string) Outcome {
	if !f.Judged {
		return Outcome{}
	}
	out := Outcome{}
	if f.Found {
		out.Reason = reason
		switch m.Then {
		case Dropped:
			out.Verdict = Dropped
			return out
		case Refused:
			out.Verdict, out.Detail = Refused, says()
			return out
		}
		for _, p := range m.Label {
			r.Set(p.Key, record.String(p.Value))
			out.Verdict = Changed
		}
		for _, p := range m.Tags {
			r.SetTag(p.Key, p.Value)
			out.Verdict = Changed
		}
	}
	if m.Into != "" {
		r.Set(m.Into, record.Float(f.Score))
		out.Verdict = Changed
	}
	if m.Flag != "" {
		r.Set(m.Flag, record.Bool(f.Found))
		out.Verdict = Changed
	}
	return out
}

// reading returns the number that a field of r has, if it has one.
func reading(r *record.Record, field string) (float64, bool) {
	v, ok := r.Field(field).Number()
	return v, ok && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// describe names a reading in a refusal.
func describe(r *record.Record, field string, format string, args ...any) string {
	return fmt.Sprintf("%s of %s is %s: ", field, r.Measurement, r.Field(field).Text()) + fmt.Sprintf(format, args...)
}

// newest tells readings that come in order from those that do not, in one
// series.
type newest struct {
	time   int64
	behind uint8 // readings in a row that were not newer
}

// setBack is after how many readings in a row that are older than the newest
// the clock of the device counts as set back. Without it, one reading from the
// far future would keep a detector from learning for ever; a few late readings
// must not count as that.
const setBack = 16

// admits says whether a reading at t is in order; the first of a series always
// is, and is for the caller to start with.
func (n *newest) admits(t int64) bool {
	if t > n.time {
		n.time, n.behind = t, 0
		return true
	}
	if t == n.time {
		return false
	}
	n.behind++
	if n.behind >= setBack {
		n.time, n.behind = t, 0
		return true
	}
	return false
}
