package transform

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Window groups rows by the windows of time that they lie in, and puts the
// bounds of the window into the group key, in place of those that were there.
// Rows outside the time that the stream covers, and rows without a time, are
// left out.
type Window struct {
	Every  value.Span // Endless: one window of everything
	Period value.Span // negative: windows stop where the grid begins
	Offset value.Span // less the offset of the location
	Zone   string     // IANA name; empty: UTC

	TimeColumn, StartColumn, StopColumn string

	CreateEmpty bool // every table has every window
	Bounds      flow.Bounds
	Bounded     bool // Bounds are known
}

// Name implements flow.Op.
func (*Window) Name() string { return "window" }

// Details implements flow.Op.
func (w *Window) Details() string {
	if w.Endless() {
		return "every: inf" + w.columns()
	}
	var b strings.Builder
	b.WriteString("every: " + w.Every.String())
	if w.Period != w.Every {
		b.WriteString(", period: " + w.Period.String())
	}
	if !w.Offset.IsZero() {
		b.WriteString(", offset: " + w.Offset.String())
	}
	if w.Zone != "" {
		fmt.Fprintf(&b, ", zone: %q", w.Zone)
	}
	if w.CreateEmpty {
		b.WriteString(", createEmpty: true")
	}
	return b.String() + w.columns()
}

// columns renders the columns that are not the usual ones.
func (w *Window) columns() string {
	text := ""
	for _, c := range [...][3]string{
		{"timeColumn", w.TimeColumn, timeLabel}, {"startColumn", w.StartColumn, startLabel}, {"stopColumn", w.StopColumn, stopLabel},
	} {
		if c[1] != c[2] {
			text += fmt.Sprintf(", %s: %q", c[0], c[1])
		}
	}
	return text
}

// BaseKey returns the key that all windows of a table have in common.
func (w *Window) BaseKey(k *table.Key) *table.Key {
	return k.Keep(func(label string) bool { return label != w.StartColumn && label != w.StopColumn })
}

// Times returns the column of times of a table.
func (w *Window) Times(t *table.Table) (*table.Column, error) { return timesOf(t, w.TimeColumn) }

// Open implements flow.Op.
func (w *Window) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	grid, err := w.Grid()
	if err != nil {
		return nil, err
	}
	c := &windowing{op: w, grid: grid, run: run}
	return newRegroup(run, in, c.piece), nil
}

// windowing cuts tables into windows.
type windowing struct {
	op   *Window
	grid *Grid
	run  *flow.Run
	key  *table.Key // of the piece before
	base *table.Key // what its windows have in common
	cut  *table.Table
	at   [2]int // of the bounds in cut
}

// piece takes a piece of a table.
func (c *windowing) piece(g *regroup, t *table.Table) error {
	times, err := c.op.Times(t)
	if err != nil {
		return err
	}
	c.cut = t
	for i, label := range [...]string{c.op.StartColumn, c.op.StopColumn} {
		if c.at[i] = t.Find(label); c.at[i] < 0 {
			c.at[i] = len(c.cut.Cols)
			c.cut = c.cut.With(table.NewColumn(label, value.Time))
		}
	}
	if c.key == nil || !c.key.Equal(t.Key) {
		c.key, c.base = t.Key, c.op.BaseKey(t.Key)
		if c.op.CreateEmpty {
			if err := c.empties(g); err != nil {
				return err
			}
		}
	}
	return EachRun(c.run, c.grid, times, t.Rows, func(p *Place, from, to int) error {
		return c.grid.EachOf(c.run, p, func(i int64) error { return g.add(c.window(i, from, to)) })
	})
}

// empties makes all windows of a table.
func (c *windowing) empties(g *regroup) error {
	return c.grid.Each(c.run, func(i int64) error { return g.add(c.window(i, 0, 0)) })
}

// window returns rows from to to-1 of the piece as those of a window.
func (c *windowing) window(i int64, from, to int) *table.Table {
	start, stop := c.grid.Bounds(i)
	first, last := value.OfTime(start), value.OfTime(stop)
	t := &table.Table{Rows: to - from, Cols: make([]table.Column, len(c.cut.Cols))}
	for k := range t.Cols {
		switch k {
		case c.at[0]:
			t.Cols[k] = table.Constant(c.op.StartColumn, first)
		case c.at[1]:
			t.Cols[k] = table.Constant(c.op.StopColumn, last)
		default:
			t.Cols[k] = c.cut.Cols[k].Slice(from, to)
		}
	}
	t.Key = c.base.Set(c.op.StartColumn, first).Set(c.op.StopColumn, last)
	return t
}

// checkEvery is after how many windows or stretches of rows a look is taken
// whether the run has ended.
const checkEvery = 256

// EachRun calls use with stretches of rows that follow on each other and lie in
// the same windows of a grid. Rows in no window are left out.
func EachRun(run *flow.Run, g *Grid, times *table.Column, rows int, use func(p *Place, from, to int) error) error {
	if rows == 0 {
		return nil
	}
	if times.Same {
		if times.Null(0) {
			return nil
		}
		if p := g.At(times.Int(0)); p.First <= p.Last {
			return use(&p, 0, rows)
		}
		return nil
	}
	all, at := times.Vec.Valid.All(), times.Vec.Ints()
	for i, n := 0, 0; i < rows; n++ {
		if n%checkEvery == 0 {
			if err := run.Ended(); err != nil {
				return err
			}
		}
		if !all && times.Null(i) {
			i++
			continue
		}
		p := g.At(at[i])
		from := i
		for i++; i < rows && p.Holds(at[i]) && (all || !times.Null(i)); i++ {
		}
		if p.First > p.Last {
			continue
		}
		if err := use(&p, from, i); err != nil {
			return err
		}
	}
	return nil
}
