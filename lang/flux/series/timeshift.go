package series

import (
	"fmt"
	"slices"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// TimeShift adds a duration to times, in the group key too. Of Columns those
// that a table does not have, or that are not of times, are left alone.
type TimeShift struct {
	Duration value.Span
	Columns  []string
}

// Name implements flow.Op.
func (s *TimeShift) Name() string { return "timeShift" }

// Details implements flow.Op.
func (s *TimeShift) Details() string {
	return fmt.Sprintf("duration: %s, columns: %s", s.Duration, quoted(s.Columns))
}

// Open implements flow.Op.
func (s *TimeShift) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], s.shift), nil
}

// TimeBounds implements flow.Bounded.
func (s *TimeShift) TimeBounds(before flow.Bounds, known bool) (flow.Bounds, bool) {
	if !known || !slices.Contains(s.Columns, "_time") {
		return before, known
	}
	return flow.Bounds{Start: s.Duration.AddTo(before.Start, time.UTC), Stop: s.Duration.AddTo(before.Stop, time.UTC)}, true
}

func (s *TimeShift) shift(t *table.Table) (*table.Table, error) {
	out := t
	for _, label := range s.Columns {
		c := out.Col(label)
		if c == nil || c.Kind != value.Time {
			continue
		}
		words := cells[int64](c.Vec.Words)
		moved := make([]int64, len(words))
		for i, w := range words {
			if c.Vec.Valid.Get(i) {
				moved[i] = s.Duration.AddTo(w, time.UTC)
			}
		}
		n := made(label, value.Time, moved, &gaps{})
		n.Same, n.Vec.Valid = c.Same, c.Vec.Valid
		out = out.With(n)
		if v, ok := out.Key.Get(label); ok && !v.IsNull() {
			out.Key = out.Key.Set(label, value.OfTime(s.Duration.AddTo(v.Time(), time.UTC)))
		}
	}
	return out, nil
}
