package scan

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// shape is what all batches of an aggregate over one measurement have in
// common.
type shape struct {
	scan        *Scan
	measurement string
	aggregate   *plan.Aggregate
	calls       []callColumn
	columns     int     // that are read
	selects     bool    // one of the calls is a selector whose series counts
	grouped     bool    // series are condensed together, or states are wanted
	all         []int64 // every window of the range, if empty ones are wanted
}

// maxEmpty is how many windows a group may have if empty ones are wanted. It
// stops a plan over all of time with windows of a second before it has made
// billions of nulls; a year of minutes fits sixteen times.
const maxEmpty = 1 << 23

func newShape(s *Scan, measurement string, columns int, calls []callColumn) (*shape, error) {
	a := s.plan.Aggregate
	sh := &shape{scan: s, measurement: measurement, aggregate: a, calls: calls, columns: columns}
	sh.grouped = !a.Group.Series || s.partial != nil
	for _, c := range calls {
		sh.selects = sh.selects || !a.Group.Series && a.Calls[c.call].Func.Selector()
	}
	if a.Window == nil || !a.Window.CreateEmpty {
		return sh, nil
	}
	grid, err := a.Window.Grid(s.plan.Stop)
	if err != nil {
		return nil, err
	}
	for i := grid.Earliest(s.first); ; i++ {
		first, last := grid.Span(grid.Bounds(i))
		if first > s.last {
			break
		}
		if first > last {
			continue
		}
		if len(sh.all) == maxEmpty {
			return nil, planErrorf("empty windows are wanted, but the range has more than %d windows: narrow it or widen the windows", maxEmpty)
		}
		sh.all = append(sh.all, i)
	}
	return sh, s.budget.reserve(int64(len(sh.all)) * 8)
}

// output makes batches of groups.
type output struct {
	shape *shape
	grid  *plan.Grid
	batch *Batch
	rows  []outputRow
	err   error
}

// outputRow is a window of a group and its slot, -1 if it is empty.
type outputRow struct {
	window int64
	slot   int
}

func newOutput(sh *shape, err error) *output {
	o := &output{shape: sh, err: err}
	if w := sh.aggregate.Window; w != nil && err == nil {
		o.grid, o.err = w.Grid(sh.scan.plan.Stop)
	}
	return o
}

// add appends a group with the states in some slots of m, unless none of them
// has found anything.
func (o *output) add(key []byte, windows []int64, slots []int, m *meters, emit func(*Batch) error) error {
	if o.err != nil {
		return o.err
	}
	o.rows = o.rows[:0]
	some := false
	at := 0
	for i, w := range windows {
		if !m.found(slots[i]) {
			continue
		}
		some = true
		for ; at < len(o.shape.all) && o.shape.all[at] < w; at++ {
			o.rows = append(o.rows, outputRow{o.shape.all[at], -1})
		}
		at++
		o.rows = append(o.rows, outputRow{w, slots[i]})
	}
	if !some {
		return nil
	}
	for ; at < len(o.shape.all); at++ {
		o.rows = append(o.rows, outputRow{o.shape.all[at], -1})
	}
	p := o.shape.scan.plan
	lo, hi := p.Each.Cut(0, len(o.rows))
	if lo == hi {
		return nil
	}
	b := o.room()
	b.begin(key)
	for i := lo; i < hi; i++ {
		row := o.rows[i]
		if p.Desc {
			row = o.rows[len(o.rows)-1-i]
		}
		start, stop := p.Start, p.Stop
		if o.grid != nil {
			start, stop = o.grid.Bounds(row.window)
		}
		b.Start, b.Stop = append(b.Start, start), append(b.Stop, stop)
		for c := range b.Columns {
			m.list[c].appendTo(&b.Columns[c], row.slot)
		}
	}
	b.Groups[len(b.Groups)-1].To += hi - lo
	if b.Rows() >= batchRows {
		return o.flush(emit)
	}
	return nil
}

func (o *output) room() *Batch {
	if o.batch == nil {
		o.batch = &Batch{Measurement: o.shape.measurement, Columns: make([]Column, len(o.shape.calls))}
		for i, c := range o.shape.calls {
			call := o.shape.aggregate.Calls[c.call]
			o.batch.Columns[i] = Column{
				Field: c.field.Name, Call: c.call, Func: call.Func,
				Vector: column.Vector{Type: call.Result(c.field.Type)},
			}
		}
	}
	return o.batch
}

func (o *output) flush(emit func(*Batch) error) error {
	b := o.batch
	if b == nil {
		return o.err
	}
	o.batch = nil
	b.reserved = b.Bytes()
	if err := o.shape.scan.budget.reserve(b.reserved); err != nil {
		return err
	}
	return emit(b)
}
