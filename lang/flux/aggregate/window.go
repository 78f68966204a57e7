package aggregate

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// AggregateWindow is what aggregateWindow() does with an aggregate or a selector
// of one row:
//
//	window |> Fn |> table.fill (if Window.CreateEmpty) |> duplicate(column: TimeSrc, as: TimeDst) |> window(every: inf, timeColumn: TimeDst)
//
// but it keeps a state for each window and no rows. Functions for which there is
// no such state run as that graph.
type AggregateWindow struct {
	Window *transform.Window
	// Fn is *Count, *Sum, *Mean, *Spread, *Stddev, *Skew, *Quantile, *First,
	// *Last, *Min or *Max.
	Fn      flow.Op
	TimeSrc string
	TimeDst string
}

// Fuses reports whether AggregateWindow can run an operator between windows and
// put such times into such a column.
func Fuses(op flow.Op, w *transform.Window, timeSrc, timeDst string) bool {
	if timeDst == w.StartColumn || timeDst == w.StopColumn || w.TimeColumn == w.StartColumn || w.TimeColumn == w.StopColumn {
		return false
	}
	switch f := op.(type) {
	case fold:
		reads := f.reads()
		return len(reads) == 1 && reads[0] != timeDst && reads[0] != w.StartColumn && reads[0] != w.StopColumn &&
			(timeSrc == w.StartColumn || timeSrc == w.StopColumn)
	case chooser:
		return true
	}
	return false
}

// Name implements flow.Op.
func (*AggregateWindow) Name() string { return "aggregateWindow" }

// Details implements flow.Op.
func (a *AggregateWindow) Details() string {
	text := a.Window.Details() + ", fn: " + a.Fn.Name()
	if d := a.Fn.Details(); d != "" {
		text += "(" + d + ")"
	}
	return text + fmt.Sprintf(", timeSrc: %q, timeDst: %q", a.TimeSrc, a.TimeDst)
}

// Open implements flow.Op.
func (a *AggregateWindow) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	grid, err := a.Window.Grid()
	if err != nil {
		return nil, err
	}
	return flow.AtOnce(run, in, func(account *flow.Account, emit func(*table.Table) error) error {
		w := &windowing{op: a, run: run, grid: grid, account: account, groups: map[string]windowed{}}
		return w.all(in[0], emit)
	}), nil
}

// windowing is a run of AggregateWindow.
type windowing struct {
	op      *AggregateWindow
	run     *flow.Run
	grid    *transform.Grid
	account *flow.Account
	groups  map[string]windowed // by the id of the key without bounds
	order   []windowed
}

// windowed is what the windows of one group come to.
type windowed interface {
	// piece takes a piece of a table of the group.
	piece(t *table.Table, times *table.Column) error
	// table returns the result; its group key does not have the column TimeDst.
	table() (*table.Table, error)
	keyed() bool
	byTime(t *table.Table) []*table.Table
}

// all reads the stream and hands on the results.
func (w *windowing) all(in table.Reader, emit func(*table.Table) error) error {
	var key *table.Key
	var to windowed
	for {
		t, err := in.Next()
		if err != nil {
			return err
		}
		if t == nil {
			break
		}
		if key == nil || !key.Equal(t.Key) {
			key, to = t.Key, w.group(t)
		}
		times, err := w.op.Window.Times(t)
		if err != nil {
			return err
		}
		if t.Rows == 0 && !w.op.Window.CreateEmpty {
			continue
		}
		if err := to.piece(t, times); err != nil {
			return err
		}
	}
	var split tablesByKey
	for _, g := range w.order {
		t, err := g.table()
		if err != nil {
			return err
		}
		switch {
		case t == nil:
		case g.keyed():
			split.add(g.byTime(t))
		default:
			if err := emit(t); err != nil {
				return err
			}
		}
	}
	return split.emit(emit)
}

// group returns the group that a table belongs to.
func (w *windowing) group(t *table.Table) windowed {
	base := w.op.Window.BaseKey(t.Key)
	g := w.groups[base.ID()]
	if g == nil {
		frame := frame{windowing: w, base: base, first: t}
		if f, ok := w.op.Fn.(fold); ok {
			g = &foldedWindows{frame: frame, binding: newBinding(f)}
		} else {
			g = &chosenWindows{frame: frame, fn: w.op.Fn.(chooser)}
		}
		w.groups[base.ID()] = g
		w.order = append(w.order, g)
	}
	return g
}

// frame is what results of aggregates and selectors have in common.
type frame struct {
	*windowing
	base  *table.Key
	first *table.Table
}

// failed says that the function of the windows failed.
func (w *windowing) failed(err error) error { return fmt.Errorf("%s: %w", w.op.Fn.Name(), err) }

// keyed reports whether the column TimeDst is in the group key.
func (f *frame) keyed() bool { return f.base.Has(f.op.TimeDst) }

// byTime puts the column TimeDst of a result into the group key, if that from
// which it comes is in the group key of windows: each time is a table.
func (f *frame) byTime(t *table.Table) []*table.Table {
	if v, ok := f.base.Get(f.op.TimeSrc); ok {
		t.Key = t.Key.Set(f.op.TimeDst, v)
		return []*table.Table{t}
	}
	if f.op.TimeSrc != f.op.Window.StartColumn && f.op.TimeSrc != f.op.Window.StopColumn {
		return []*table.Table{t}
	}
	rows := make([]*table.Table, t.Rows)
	for i := range rows {
		v := t.Col(f.op.TimeDst).Value(i)
		row := t.Slice(i, i+1).With(table.Constant(f.op.TimeDst, v))
		row.Key = t.Key.Set(f.op.TimeDst, v)
		rows[i] = row
	}
	return rows
}

// tablesByKey is tables whose keys may be equal.
type tablesByKey struct {
	parts map[string][]*table.Table
	order []string
}

func (k *tablesByKey) add(tables []*table.Table) {
	if k.parts == nil {
		k.parts = map[string][]*table.Table{}
	}
	for _, t := range tables {
		id := t.Key.ID()
		if k.parts[id] == nil {
			k.order = append(k.order, id)
		}
		k.parts[id] = append(k.parts[id], t)
	}
}

func (k *tablesByKey) emit(emit func(*table.Table) error) error {
	for _, id := range k.order {
		t, err := table.Concat(k.parts[id][0].Key, k.parts[id])
		if err != nil {
			return err
		}
		if err := emit(t); err != nil {
			return err
		}
	}
	return nil
}

// key returns the group key of the result, without the column TimeDst.
func (f *frame) key() *table.Key {
	start, stop := f.whole()
	base := f.base.Keep(func(label string) bool { return label != f.op.TimeDst })
	return base.Set(f.op.Window.StartColumn, start).Set(f.op.Window.StopColumn, stop)
}

// whole returns the bounds of the one window that holds everything.
func (f *frame) whole() (start, stop value.Value) {
	all := *f.op.Window
	all.Every, all.CreateEmpty = value.Span{Nanos: transform.Endless}, false
	g, err := all.Grid()
	if err != nil {
		panic("BUG: an endless window has a grid: " + err.Error())
	}
	a, b := g.Bounds(0)
	return value.OfTime(a), value.OfTime(b)
}

// windowsOf returns the numbers of the windows of the result, in order: those
// that have a state or, if empty ones are wanted, all.
func windowsOf[S any](f *frame, states map[int64]S) ([]int64, error) {
	list := make([]int64, 0, len(states))
	if !f.op.Window.CreateEmpty {
		for i := range states {
			list = append(list, i)
		}
		slices.Sort(list)
		return list, nil
	}
	err := f.grid.Each(f.run, func(i int64) error {
		if list = append(list, i); len(list)&(1<<12-1) != 0 {
			return nil
		}
		return f.account.Add(8 << 12)
	})
	return list, err
}

// rowBytes is about what a row of the result takes: a value, a time, a number.
const rowBytes = 32

// stateBytes is what a window takes besides what its state says: in the map, and
// the header of the state.
const stateBytes = 96
