package aggregate

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// chosenWindows are windows of a selector.
type chosenWindows struct {
	frame
	fn     chooser
	kind   value.Kind // Absent: no piece had the column so far
	states map[int64]*chosen
}

// chosen is the row that is chosen in a window so far.
type chosen struct {
	choice choice
	from   *table.Table // nil: none
	row    int
}

func (g *chosenWindows) piece(t *table.Table, times *table.Column) error {
	c := t.Col(g.fn.reads())
	switch {
	case c == nil:
	case g.kind == value.Absent:
		g.kind = c.Kind
	case g.kind != c.Kind:
		return &table.KindError{Label: c.Label, A: g.kind, B: c.Kind}
	}
	var now []*chosen // those whose row is one of t
	err := transform.EachRun(g.run, g.grid, times, t.Rows, func(p *transform.Place, from, to int) error {
		return g.grid.EachOf(g.run, p, func(i int64) error {
			s, err := g.state(i)
			if err != nil || c == nil {
				return err
			}
			if s.choice == nil {
				if s.choice, err = g.fn.begin(c.Kind); err != nil {
					return g.failed(err)
				}
			}
			if at := s.choice.look(c, from, to); at >= 0 {
				if s.from != t {
					now = append(now, s)
				}
				s.from, s.row = t, at
			}
			return nil
		})
	})
	if err != nil || len(now) == 0 {
		return err
	}
	// The rows are copied, lest every piece is kept for a few of them.
	rows := make([]int, len(now))
	for k, s := range now {
		rows[k] = s.row
	}
	copied := t.Pick(rows)
	for k, s := range now {
		s.from, s.row = copied, k
	}
	return g.account.Keep(copied)
}

// state returns the state of a window.
func (g *chosenWindows) state(i int64) (*chosen, error) {
	if s := g.states[i]; s != nil {
		return s, nil
	}
	if g.states == nil {
		g.states = map[int64]*chosen{}
	}
	s := &chosen{}
	g.states[i] = s
	return s, g.account.Add(stateBytes)
}

func (g *chosenWindows) table() (*table.Table, error) {
	list, err := windowsOf(&g.frame, g.states)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if g.kind == value.Absent {
		return nil, g.failed(noColumn(g.fn.reads()))
	}
	w := g.op.Window
	var rows gathered
	none := transform.OneNull(g.first)
	starts, stops := make([]int64, 0, len(list)), make([]int64, 0, len(list))
	for _, i := range list {
		switch s := g.states[i]; {
		case s != nil && s.from != nil:
			rows.add(s.from, s.row)
		case w.CreateEmpty:
			rows.add(none, -1)
		default:
			continue
		}
		start, stop := g.grid.Bounds(i)
		starts, stops = append(starts, start), append(stops, stop)
	}
	if len(starts) == 0 {
		return nil, nil
	}
	if err := g.account.Add(int64(len(starts)) * rowBytes * int64(len(g.first.Cols)+1)); err != nil {
		return nil, err
	}
	key := g.key()
	t, err := table.Concat(key, rows.tables())
	if err != nil {
		return nil, err
	}
	return g.times(t, starts, stops)
}

// times puts the times of the windows into a result, and leaves rows without a
// time out.
func (g *chosenWindows) times(t *table.Table, starts, stops []int64) (*table.Table, error) {
	w := g.op.Window
	var at table.Column
	switch g.op.TimeSrc {
	case w.StartColumn:
		at = table.Times(g.op.TimeDst, starts)
	case w.StopColumn:
		at = table.Times(g.op.TimeDst, stops)
	default:
		c := t.Col(g.op.TimeSrc)
		switch {
		case c == nil:
			return nil, fmt.Errorf("column %q doesn't exist: timeSrc must name a column that the function keeps", g.op.TimeSrc)
		case c.Kind != value.Time:
			return nil, &table.ColumnError{Label: g.op.TimeSrc, Have: c.Kind, Want: value.Time.String()}
		}
		at = *c
		at.Label = g.op.TimeDst
	}
	t = t.With(at)
	for _, label := range []string{w.StartColumn, w.StopColumn} {
		v, _ := t.Key.Get(label)
		t = t.With(table.Constant(label, v))
	}
	rows := make([]int, 0, t.Rows)
	for i := range t.Rows {
		if !at.Null(i) {
			rows = append(rows, i)
		}
	}
	switch len(rows) {
	case 0:
		return nil, nil
	case t.Rows:
		return t, nil
	}
	return t.Pick(rows), nil
}

// gathered is rows of several tables, of which those that follow on each other
// make one part.
type gathered []span

// span is rows begin to end-1 of a table.
type span struct {
	from       *table.Table
	begin, end int
}

// add adds a row, or another one of a table whose rows are all the same (-1).
func (g *gathered) add(from *table.Table, row int) {
	if n := len(*g); n > 0 {
		if last := &(*g)[n-1]; last.from == from && (row < 0 || row == last.end) {
			last.end++
			return
		}
	}
	row = max(row, 0)
	*g = append(*g, span{from, row, row + 1})
}

// tables returns the parts.
func (g gathered) tables() []*table.Table {
	parts := make([]*table.Table, len(g))
	for i, s := range g {
		parts[i] = s.from.Slice(s.begin, s.end)
	}
	return parts
}
