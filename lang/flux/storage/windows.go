package storage

import (
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// windows makes tables of what an aggregate came to.
type windows struct {
	layout  *layout
	plan    *Plan
	call    plan.Call
	shape   Shape
	selects bool
	several bool // points are of several series, whose tags are wanted
	empty   bool // windows without values are wanted, and the function has a result for them
	account flow.Account
	// The windows of the range, within it, if all are wanted.
	starts, stops []int64
	full          []int64 // those of starts and stops that are times
	err           error
}

// maxEmpty is how many windows a table may have if empty ones are wanted: that of
// the store.
const maxEmpty = 1 << 23

func newWindows(run *flow.Run, p *Plan, q *plan.Plan) *windows {
	a := p.Aggregate
	w := &windows{
		layout: newLayout(p), plan: p, call: a.Call, shape: a.Shape,
		selects: a.Call.Func.Selector(), account: run.Account(),
	}
	w.several = w.selects && a.Group != nil && !a.Group.covers(p.Shown)
	if w.empty = a.Empty; w.empty {
		w.err = w.list(run)
	}
	return w
}

// listedAtOnce is for how many windows memory is reserved at a time: far fewer than
// a table of a small answer is worth.
const listedAtOnce = 256

// list finds all windows of the range.
func (w *windows) list(run *flow.Run) error {
	grid, err := w.plan.Aggregate.Window.Grid(w.plan.Stop)
	if err != nil {
		return err
	}
	lo, hi := max(w.plan.Start, column.MinTime), min(w.plan.Stop-1, column.MaxTime)
	for i := grid.Earliest(lo); ; i++ {
		start, stop := grid.Bounds(i)
		first, last := grid.Span(start, stop)
		if first > hi {
			break
		}
		if first > last {
			continue
		}
		if len(w.starts) == maxEmpty {
			return fmt.Errorf("empty windows are wanted, but the range has more than %d windows: narrow it or widen the windows", maxEmpty)
		}
		if len(w.starts)%listedAtOnce == 0 {
			if err := run.Ended(); err != nil {
				return err
			}
			if err := w.account.Add(listedAtOnce * 16); err != nil {
				return err
			}
		}
		start, stop = plan.ClipTo(start, stop, w.plan.Start, w.plan.Stop)
		w.starts, w.stops = append(w.starts, start), append(w.stops, stop)
	}
	w.full = w.stops
	if w.shape == ByStart {
		w.full = w.starts
	}
	return nil
}

func (w *windows) end(func(item)) error { return nil }
func (w *windows) close()               { w.account.Clear() }

// batch implements parser.
func (w *windows) batch(b *scan.Batch, emit func(item)) error {
	if w.err != nil {
		return w.err
	}
	for g := range b.Groups {
		group := &b.Groups[g]
		w.layout.series(b.Measurement, group.Key)
		starts, stops := w.clipped(b, group)
		for c := range b.Columns {
			if w.plan.Aggregate.Beside == "" {
				w.column(group, &b.Columns[c], starts, stops, emit)
			} else if half := len(b.Columns) / 2; c < half {
				w.beside(group, &b.Columns[c], &b.Columns[half+c], emit)
			}
		}
	}
	return nil
}

// beside makes the table of a count and the first value.
func (w *windows) beside(g *scan.Group, count, first *scan.Column, emit func(item)) {
	n, v := count.Slice(g.From, g.To), first.Slice(g.From, g.To)
	if have := w.found(&n, 1); have == nil {
		v.Valid = column.Bitmap{}
		t := w.condensed(count.Field, w.layout.bounds, nil, table.OfVector(Value, v))
		t.Cols = append(t.Cols, table.OfVector(w.plan.Aggregate.Beside, n))
		emit(item{t, g.Key, count.Field})
	}
}

// clipped returns the bounds of the windows of a group, cut to the range.
func (w *windows) clipped(b *scan.Batch, g *scan.Group) (starts, stops []int64) {
	starts, stops = b.Start[g.From:g.To], b.Stop[g.From:g.To]
	if slices.Min(starts) >= w.plan.Start && slices.Max(stops) <= w.plan.Stop {
		return starts, stops
	}
	starts, stops = slices.Clone(starts), slices.Clone(stops)
	for i := range starts {
		starts[i], stops[i] = plan.ClipTo(starts[i], stops[i], w.plan.Start, w.plan.Stop)
	}
	return starts, stops
}

// column makes the tables of a field.
func (w *windows) column(g *scan.Group, c *scan.Column, starts, stops []int64, emit func(item)) {
	v := c.Slice(g.From, g.To)
	if w.plan.lonely() && !v.Valid.All() {
		v = numbered(&v)
	}
	have := w.found(&v, g.To-g.From)
	switch {
	case have != nil && len(have) == 0:
	case w.shape == OneRow:
		emit(item{w.one(g, c, &v), g.Key, c.Field})
	case w.shape == PerWindow:
		w.perWindow(g, c, &v, have, starts, stops, emit)
	default:
		emit(item{w.rows(g, c, &v, have, starts, stops), g.Key, c.Field})
	}
}

// numbered returns floats with NaN in place of nulls.
func numbered(v *column.Vector) column.Vector {
	out := column.Vector{Type: v.Type, Words: slices.Clone(v.Words)}
	for i := range out.Words {
		if !v.Valid.Get(i) {
			out.Words[i] = math.Float64bits(math.NaN())
		}
	}
	return out
}

// found returns the places of windows in which a field has a value; nil if it has
// one in each. Then nothing in v is null.
func (w *windows) found(v *column.Vector, rows int) []int {
	missing := func(i int) bool { return !v.Valid.Get(i) || w.call.Func == plan.Count && v.Words[i] == 0 }
	first := 0
	for first < rows && !missing(first) {
		first++
	}
	if first == rows {
		v.Valid = column.Bitmap{}
		return nil
	}
	have := make([]int, first, rows)
	for i := range have {
		have[i] = i
	}
	for i := first; i < rows; i++ {
		if !missing(i) {
			have = append(have, i)
		}
	}
	return have
}

// one returns the table of the only window.
func (w *windows) one(g *scan.Group, c *scan.Column, v *column.Vector) *table.Table {
	val := table.OfVector(Value, *v)
	if !w.selects {
		return w.condensed(c.Field, w.layout.bounds, nil, val)
	}
	times := table.Times(Time, c.At[g.From:g.To])
	if !w.several {
		return w.layout.selected(c.Field, times, val, 1)
	}
	return w.chosen(c, g.From, nil, times, val, 1)
}

// chosen returns a table of points that a selector chose of several series: rows
// from from on of c or, of these, those whose places are given.
func (w *windows) chosen(c *scan.Column, from int, places []int, times, val table.Column, rows int) *table.Table {
	l := w.layout
	cols := make([]table.Column, 0, 6+len(l.tags))
	cols = append(l.shownOf(append(cols, l.boundCols[0], l.boundCols[1], times, val, l.nameOf(c.Field))), l.measured()...)
	at := map[string]int{}
	for row := range rows {
		place := from + row
		if places != nil {
			place = from + places[row]
		}
		for k, v := range column.Tags(c.Series[place]) {
			i, ok := at[string(k)]
			if !ok {
				if !isTag(string(k)) || !l.shows(string(k)) {
					continue
				}
				i = len(cols)
				at[string(k)] = i
				cols = append(cols, table.NewColumn(string(k), value.String))
			}
			of := &cols[i].Vec
			of.AppendNulls(row - of.Len())
			of.AppendString(v)
		}
	}
	for _, i := range at {
		if n := rows - cols[i].Vec.Len(); n > 0 {
			cols[i].Vec.AppendNulls(n)
		}
	}
	return &table.Table{Key: l.keyOf(c.Field), Cols: cols, Rows: rows}
}

// condensed returns a table of the columns of the key, times if there are any, and
// values.
func (w *windows) condensed(field string, bounds [2]value.Value, times *table.Column, val table.Column) *table.Table {
	l := w.layout
	boundCols := l.boundCols
	if bounds != l.bounds {
		boundCols = [2]table.Column{table.Constant(Start, bounds[0]), table.Constant(Stop, bounds[1])}
	}
	cols := make([]table.Column, 0, len(l.labels)+2)
	if l.start >= 0 {
		cols = append(cols, boundCols[0])
	}
	if l.stop >= 0 {
		cols = append(cols, boundCols[1])
	}
	if l.field >= 0 {
		cols = append(cols, l.nameOf(field))
	}
	for i := range l.tags {
		if l.group == nil || l.group.Has(l.tags[i].Label) {
			cols = append(cols, l.tags[i])
		}
	}
	if times != nil && l.shows(Time) {
		cols = append(cols, *times)
	}
	if l.shows(val.Label) {
		cols = append(cols, val)
	}
	return &table.Table{Key: l.keyWithin(field, bounds), Cols: cols, Rows: val.Vec.Len()}
}

// rows returns the table of all windows, with their bounds as times.
func (w *windows) rows(g *scan.Group, c *scan.Column, v *column.Vector, have []int, starts, stops []int64) *table.Table {
	times := stops
	if w.shape == ByStart {
		times = starts
	}
	val := *v
	switch {
	case w.empty:
		times, val = w.full, w.spread(v, have, starts)
	case have != nil:
		kept := make([]int64, len(have))
		for i, at := range have {
			kept[i] = times[at]
		}
		of := table.OfVector(Value, *v)
		times, val = kept, of.Pick(have).Vec
		val.Valid = column.Bitmap{}
	}
	if w.several {
		return w.chosen(c, g.From, have, table.Times(Time, times), table.OfVector(Value, val), len(times))
	}
	if w.selects {
		return w.layout.selected(c.Field, table.Times(Time, times), table.OfVector(Value, val), len(times))
	}
	at := table.Times(Time, times)
	return w.condensed(c.Field, w.layout.bounds, &at, table.OfVector(Value, val))
}

// spread puts the values of windows in their places among all windows.
func (w *windows) spread(v *column.Vector, have []int, starts []int64) column.Vector {
	if have == nil && len(starts) == len(w.starts) {
		return *v
	}
	out := column.Vector{Type: v.Type, Words: make([]uint64, 0, len(w.starts))}
	at := 0
	put := func(i int) {
		for ; w.starts[at] < starts[i]; at++ {
			w.none(&out)
		}
		out.AppendRow(v, i)
		at++
	}
	if have == nil {
		for i := range starts {
			put(i)
		}
	}
	for _, i := range have {
		put(i)
	}
	for ; at < len(w.starts); at++ {
		w.none(&out)
	}
	return out
}

// none appends what the function makes of no values.
func (w *windows) none(v *column.Vector) {
	if w.call.Func == plan.Count {
		v.AppendWord(0)
		return
	}
	v.AppendNulls(1)
}

// perWindow returns a table for each window.
func (w *windows) perWindow(g *scan.Group, c *scan.Column, v *column.Vector, have []int, starts, stops []int64, emit func(item)) {
	put := func(start, stop int64, val table.Column, at int) {
		bounds := [2]value.Value{value.OfTime(start), value.OfTime(stop)}
		if !w.selects {
			emit(item{w.condensed(c.Field, bounds, nil, val), g.Key, c.Field})
			return
		}
		times := table.Times(Time, c.At[at:at+1])
		t := (*table.Table)(nil)
		if w.several {
			t = w.chosen(c, at, nil, times, val, 1)
		} else {
			t = w.layout.selected(c.Field, times, val, 1)
		}
		t.Key = w.layout.keyWithin(c.Field, bounds)
		t.Cols[0], t.Cols[1] = table.Constant(Start, bounds[0]), table.Constant(Stop, bounds[1])
		emit(item{t, g.Key, c.Field})
	}
	if w.empty {
		all := w.spread(v, have, starts)
		for i := range w.starts {
			put(w.starts[i], w.stops[i], table.OfVector(Value, all.Slice(i, i+1)), -1)
		}
		return
	}
	next := 0
	for i := range starts {
		if have != nil {
			if next == len(have) || have[next] != i {
				continue
			}
			next++
		}
		put(starts[i], stops[i], table.OfVector(Value, v.Slice(i, i+1)), g.From+i)
	}
}
