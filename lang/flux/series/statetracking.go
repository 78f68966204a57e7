package series

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// StateTracking adds how many rows, and for how long, a predicate has held
// without a break: the count with this row, and the time since the first of
// them. Where it does not hold both are -1.
type StateTracking struct {
	Fn             *value.Func
	CountColumn    string // empty: no count
	DurationColumn string // empty: no duration
	DurationUnit   value.Span
	TimeColumn     string
}

// Name implements flow.Op.
func (s *StateTracking) Name() string { return "stateTracking" }

// Details implements flow.Op.
func (s *StateTracking) Details() string {
	text := "fn: " + s.Fn.Signature()
	if s.CountColumn != "" {
		text += fmt.Sprintf(", countColumn: %q", s.CountColumn)
	}
	if s.DurationColumn != "" {
		text += fmt.Sprintf(", durationColumn: %q, durationUnit: %s, timeColumn: %q", s.DurationColumn, s.DurationUnit, s.TimeColumn)
	}
	return text
}

// Open implements flow.Op.
func (s *StateTracking) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	fn, err := flow.NewRowFunc(run, s.Fn, "r")
	if err != nil {
		return nil, err
	}
	unit := int64(1)
	if s.DurationColumn != "" {
		if unit, err = perUnit(s.DurationUnit); err != nil {
			return nil, err
		}
	}
	return walk(in[0], func() walker { return &tracking{of: s, fn: fn, unit: unit} }), nil
}

type tracking struct {
	of    *StateTracking
	fn    *flow.RowFunc
	unit  int64
	count int64
	since int64 // of the first row of the state
	begun bool
	last  int64
}

func (s *tracking) piece(t *table.Table) (*table.Table, error) {
	var at *table.Column
	if s.of.DurationColumn != "" {
		var err error
		if at, err = t.Need(s.of.TimeColumn, value.Time); err != nil {
			return nil, err
		}
	}
	s.fn.Table(t)
	counts, durations := make([]int64, t.Rows), make([]int64, t.Rows)
	for i := range counts {
		holds, err := s.fn.Test(i)
		if err != nil {
			return nil, err
		}
		var now int64
		if at != nil {
			if at.Null(i) {
				return nil, fmt.Errorf("got a null timestamp in column %q", s.of.TimeColumn)
			}
			if now = at.Int(i); s.begun && now < s.last {
				return nil, fmt.Errorf("got an out-of-order timestamp in column %q: sort by it first", s.of.TimeColumn)
			}
			s.begun, s.last = true, now
		}
		if !holds {
			s.count, counts[i], durations[i] = 0, -1, -1
			continue
		}
		if s.count == 0 {
			s.since = now
		}
		s.count++
		counts[i], durations[i] = s.count, (now-s.since)/s.unit
	}
	out := t
	if s.of.CountColumn != "" {
		out = out.With(made(s.of.CountColumn, value.Int, counts, &gaps{}))
	}
	if s.of.DurationColumn != "" {
		out = out.With(made(s.of.DurationColumn, value.Int, durations, &gaps{}))
	}
	return out, nil
}

func (s *tracking) end() (*table.Table, error) { return nil, nil }
