package transform

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// HourSelection keeps the rows whose time is in an hour of the day from First
// to Last, both included. If First is greater the hours go over midnight.
type HourSelection struct {
	First, Last int64 // 0 to 23
	TimeColumn  string
	Zone        string     // IANA name; empty: UTC
	Offset      value.Span // added to the clocks of the zone
}

// Name implements flow.Op.
func (*HourSelection) Name() string { return "hourSelection" }

// Details implements flow.Op.
func (h *HourSelection) Details() string {
	text := fmt.Sprintf("start: %d, stop: %d", h.First, h.Last)
	if h.TimeColumn != timeLabel {
		text += fmt.Sprintf(", timeColumn: %q", h.TimeColumn)
	}
	if h.Zone != "" {
		text += fmt.Sprintf(", zone: %q", h.Zone)
	}
	if !h.Offset.IsZero() {
		text += ", offset: " + h.Offset.String()
	}
	return text
}

// Check reports what is wrong with the arguments.
func (h *HourSelection) Check() error {
	for _, hour := range []int64{h.First, h.Last} {
		if hour < 0 || hour > 23 {
			return fmt.Errorf("hours are from 0 to 23, not %d", hour)
		}
	}
	return nil
}

// Open implements flow.Op.
func (h *HourSelection) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	zone, err := time.LoadLocation(h.Zone)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q", h.Zone)
	}
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		c, err := timesOf(t, h.TimeColumn)
		if err != nil {
			return nil, err
		}
		rows := make([]int, 0, t.Rows)
		for i := range t.Rows {
			if c.Null(i) {
				continue
			}
			at := time.Unix(0, h.Offset.AddTo(c.Int(i), zone)).In(zone)
			if h.holds(int64(at.Hour())) {
				rows = append(rows, i)
			}
		}
		if len(rows) == t.Rows {
			return t, nil
		}
		return t.Pick(rows), nil
	}), nil
}

func (h *HourSelection) holds(hour int64) bool {
	if h.First <= h.Last {
		return h.First <= hour && hour <= h.Last
	}
	return hour >= h.First || hour <= h.Last
}

// timesOf returns a column of times.
func timesOf(t *table.Table, label string) (*table.Column, error) {
	c := t.Col(label)
	switch {
	case c == nil:
		return nil, fmt.Errorf("missing time column %q", label)
	case c.Kind != value.Time:
		return nil, &table.ColumnError{Label: label, Have: c.Kind, Want: value.Time.String()}
	}
	return c, nil
}

// TruncateTime sets times back to where their unit of time begins.
type TruncateTime struct {
	Unit       value.Span
	TimeColumn string
	Zone       string     // IANA name; empty: UTC
	Offset     value.Span // of where units begin
}

// Name implements flow.Op.
func (*TruncateTime) Name() string { return "truncateTimeColumn" }

// Details implements flow.Op.
func (u *TruncateTime) Details() string {
	text := "unit: " + u.Unit.String()
	if u.TimeColumn != timeLabel {
		text += fmt.Sprintf(", timeColumn: %q", u.TimeColumn)
	}
	if u.Zone != "" {
		text += fmt.Sprintf(", zone: %q", u.Zone)
	}
	if !u.Offset.IsZero() {
		text += ", offset: " + u.Offset.String()
	}
	return text
}

// Check reports what is wrong with the arguments.
func (u *TruncateTime) Check() error {
	_, err := u.grid()
	return err
}

func (u *TruncateTime) grid() (*Grid, error) {
	w := &Window{Every: u.Unit, Period: u.Unit, Offset: u.Offset, Zone: u.Zone}
	return w.Grid()
}

// Open implements flow.Op.
func (u *TruncateTime) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	grid, err := u.grid()
	if err != nil {
		return nil, err
	}
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		c, err := timesOf(t, u.TimeColumn)
		if err != nil {
			return err
		}
		if v, ok := t.Key.Get(u.TimeColumn); ok && !v.IsNull() {
			// Where times become equal, keys may.
			p := grid.At(v.Time())
			start, _ := grid.Bounds(p.First)
			to := t.With(table.Constant(u.TimeColumn, value.OfTime(start)))
			to.Key = t.Key.Set(u.TimeColumn, value.OfTime(start))
			return g.add(to)
		}
		to := table.NewColumn(u.TimeColumn, value.Time)
		var p Place
		var start int64
		for i := range t.Rows {
			if c.Null(i) {
				to.Vec.AppendNulls(1)
				continue
			}
			if at := c.Int(i); !p.Holds(at) {
				p = grid.At(at)
				start, _ = grid.Bounds(p.First)
			}
			to.Vec.AppendWord(uint64(start))
		}
		return g.pass(t.With(to))
	}), nil
}
