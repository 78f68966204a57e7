package transform

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Range keeps the rows from Start on and before Stop (nanoseconds since 1970)
// and puts the bounds into the group key. A table that has bounds in its key
// already gets those that both have in common, if there are any.
type Range struct {
	Start, Stop int64
}

// Name implements flow.Op.
func (*Range) Name() string { return "range" }

// Details implements flow.Op.
func (r *Range) Details() string {
	return fmt.Sprintf("start: %s, stop: %s", value.OfTime(r.Start).Text(), value.OfTime(r.Stop).Text())
}

// Open implements flow.Op.
func (r *Range) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		to, err := r.cut(t)
		if err != nil {
			return err
		}
		if t.Key.Has(startLabel) && t.Key.Has(stopLabel) {
			// Where bounds become equal, keys may.
			return g.add(to)
		}
		return g.pass(to)
	}), nil
}

// cut returns the rows of t that are in the range.
func (r *Range) cut(t *table.Table) (*table.Table, error) {
	at := t.Col(timeLabel)
	if at == nil {
		return nil, fmt.Errorf("range error: supplied time column %s doesn't exist", timeLabel)
	}
	for _, l := range []string{timeLabel, startLabel, stopLabel} {
		if c := t.Col(l); c != nil && c.Kind != value.Time {
			return nil, fmt.Errorf("range error: provided column %s is not of type time", l)
		}
	}
	start, stop := r.Start, r.Stop
	if a, ok := t.Key.Get(startLabel); ok && !a.IsNull() {
		if b, ok := t.Key.Get(stopLabel); ok && !b.IsNull() {
			if from, to := max(start, a.Time()), min(stop, b.Time()); from < to {
				start, stop = from, to
			}
		}
	}
	kept := r.rows(t, at)
	first, last := value.OfTime(start), value.OfTime(stop)
	key := t.Key.Set(startLabel, first).Set(stopLabel, last)
	out := &table.Table{Key: key, Rows: kept.Rows}
	for _, c := range []table.Column{table.Constant(startLabel, first), table.Constant(stopLabel, last)} {
		if t.Find(c.Label) < 0 {
			out.Cols = append(out.Cols, c)
		}
	}
	for i := range kept.Cols {
		switch c := kept.Cols[i]; c.Label {
		case startLabel:
			out.Cols = append(out.Cols, table.Constant(startLabel, first))
		case stopLabel:
			out.Cols = append(out.Cols, table.Constant(stopLabel, last))
		default:
			out.Cols = append(out.Cols, c)
		}
	}
	return out, nil
}

// rows returns t without the rows whose time is null or out of range.
func (r *Range) rows(t *table.Table, at *table.Column) *table.Table {
	in := func(i int) bool { return !at.Null(i) && at.Int(i) >= r.Start && at.Int(i) < r.Stop }
	if at.Same {
		if t.Rows > 0 && !in(0) {
			return t.Slice(0, 0)
		}
		return t
	}
	// Mostly the rows are in order, and those of the range lie together.
	from := 0
	for from < t.Rows && !in(from) {
		from++
	}
	to := from
	for to < t.Rows && in(to) {
		to++
	}
	var rows []int
	for i := to; i < t.Rows; i++ {
		if in(i) {
			if rows == nil {
				for j := from; j < to; j++ {
					rows = append(rows, j)
				}
			}
			rows = append(rows, i)
		}
	}
	switch {
	case rows != nil:
		return t.Pick(rows)
	case from == 0 && to == t.Rows:
		return t
	}
	return t.Slice(from, to)
}

// Instant returns the time that an argument means: a time, a duration from now
// on, or seconds since 1970.
func Instant(v value.Value, now int64, zone *time.Location) (int64, error) {
	switch v.Kind() {
	case value.Time:
		return v.Time(), nil
	case value.Duration:
		return v.Duration().AddTo(now, zone), nil
	case value.Int:
		return v.Int() * int64(time.Second), nil
	}
	return 0, fmt.Errorf("value is not a time, got %s", v.Describe())
}

// TimeBounds implements flow.Bounded.
func (r *Range) TimeBounds(before flow.Bounds, known bool) (flow.Bounds, bool) {
	b := flow.Bounds{Start: r.Start, Stop: r.Stop}
	if known {
		b = b.Within(before)
	}
	return b, true
}
