package scan

import (
	"bytes"
	"context"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/run"
)

// openAggregate begins to return groups.
func (s *Scan) openAggregate(src *source) error {
	a := s.plan.Aggregate
	calls, err := src.resolve(a)
	if err != nil || len(calls) == 0 {
		return err
	}
	if err := src.bind(s.plan.Where); err != nil {
		return err
	}
	s.prune(src)
	j, err := s.divide(src)
	if err != nil || len(j.units) == 0 {
		return err
	}
	shape, err := newShape(s, src.measurement, len(src.read), calls)
	if err != nil {
		return err
	}
	states := make([]*groups, len(j.units))
	s.run(j, true, func(r *reader) unitWorker {
		w := &aggregateWorker{scan: s, r: r, shape: shape, states: states, early: every(a, plan.First)}
		w.windows, w.err = newWindows(s.plan)
		w.series = newMeters(a, calls, len(src.read), false)
		w.out = newOutput(shape, w.err)
		if a.Window == nil && every(a, plan.Last) {
			return newLastWorker(w)
		}
		return w
	})
	if !shape.grouped {
		return nil
	}
	// Nothing comes of the feed until all groups are known.
	if _, err := s.feed.next(); err != nil {
		return err
	}
	s.feed = nil
	all := newGroups(shape)
	for _, g := range states {
		all.merge(g)
	}
	if err := s.budget.reserve(all.meters.bytes()); err != nil {
		return err
	}
	if s.partial != nil {
		*s.partial = append(*s.partial, all)
		return nil
	}
	return s.present(all)
}

func every(a *plan.Aggregate, f plan.Func) bool {
	return !slices.ContainsFunc(a.Calls, func(c plan.Call) bool { return c.Func != f })
}

// present makes batches of groups.
func (s *Scan) present(all *groups) error {
	slices.SortFunc(all.list, func(a, b *group) int { return bytes.Compare(a.key, b.key) })
	out := newOutput(all.shape, nil)
	emit := func(b *Batch) error {
		s.out = append(s.out, b)
		return nil
	}
	for _, g := range all.list {
		if err := out.add(g.key, g.windows, g.slots, all.meters, emit); err != nil {
			return err
		}
	}
	return out.flush(emit)
}

// groups are the states of several series condensed by tags.
type groups struct {
	shape  *shape
	meters *meters
	byKey  map[string]*group
	list   []*group
	tags   []column.Tag
	key    []byte
}

// group is one of them: its windows, ascending, and the slots of each.
type group struct {
	key     []byte
	windows []int64
	slots   []int
}

func newGroups(sh *shape) *groups {
	return &groups{
		shape: sh, byKey: map[string]*group{},
		meters: newMeters(sh.aggregate, sh.calls, sh.columns, !sh.aggregate.Group.Series),
	}
}

// keyOf returns the key of the group of a series, valid until the next call.
func (g *groups) keyOf(series []byte) ([]byte, error) {
	if g.shape.aggregate.Group.Series {
		return series, nil
	}
	g.tags = g.tags[:0]
	for k, v := range column.Tags(series) {
		if slices.Contains(g.shape.aggregate.Group.Tags, string(k)) {
			g.tags = append(g.tags, column.Tag{Key: bytes.Clone(k), Value: bytes.Clone(v)})
		}
	}
	var err error
	g.key, err = column.AppendSeriesKey(g.key[:0], g.tags)
	return g.key, err
}

// find returns the group with a key, which is copied if it is new.
func (g *groups) find(key []byte) *group {
	if have := g.byKey[string(key)]; have != nil {
		return have
	}
	one := &group{key: bytes.Clone(key)}
	g.byKey[string(key)] = one
	g.list = append(g.list, one)
	return one
}

// slot returns the slot of a window of a group. hint is a place near it.
func (g *groups) slot(one *group, window int64, hint *int) int {
	at := *hint
	if at >= len(one.windows) || one.windows[at] != window {
		var found bool
		if at, found = slices.BinarySearch(one.windows, window); !found {
			n := g.meters.n
			g.meters.grow(n + 1)
			one.windows = slices.Insert(one.windows, at, window)
			one.slots = slices.Insert(one.slots, at, n)
		}
	}
	*hint = at + 1
	return one.slots[at]
}

// add condenses a series whose windows are in the slots of m in order.
func (g *groups) add(series []byte, windows []int64, m *meters) error {
	key, err := g.keyOf(series)
	if err != nil {
		return err
	}
	one := g.find(key)
	if g.shape.selects {
		series = bytes.Clone(series)
	}
	hint := 0
	for i, w := range windows {
		g.meters.merge(g.slot(one, w, &hint), m, i, series)
	}
	return nil
}

// merge adds the groups of o, whose series come behind those of g.
func (g *groups) merge(o *groups) {
	if o == nil {
		return
	}
	for _, from := range o.list {
		one := g.find(from.key)
		hint := 0
		for i, w := range from.windows {
			g.meters.merge(g.slot(one, w, &hint), o.meters, from.slots[i], nil)
		}
	}
}

// aggregateWorker condenses its units' series.
type aggregateWorker struct {
	scan    *Scan
	r       *reader
	shape   *shape
	windows *windows
	series  *meters // of the present series, by slot of windows
	out     *output
	states  []*groups // by unit, if there are groups to be merged
	groups  *groups   // of the present unit
	early   bool      // first values are all that is wanted
	held    int64
	extra   int64 // bytes of states elsewhere
	err     error
	slots   []int
	sums    []column.Summary // by column
}

func (w *aggregateWorker) end() {
	w.scan.budget.release(w.held)
	w.r.close()
}

func (w *aggregateWorker) do(ctx context.Context, unit int, emit func(*Batch) error) error {
	if w.err != nil {
		return w.err
	}
	if err := w.r.walker.begin(w.r.job, unit, nil); err != nil {
		return err
	}
	w.begin(unit)
	for {
		ok, err := w.r.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return w.out.flush(emit)
		}
		if err := w.r.series(); err != nil {
			return err
		}
		w.windows.begin()
		w.series.reset()
		if err := w.read(ctx, w.r.job.src.first, w.r.job.src.last); err != nil {
			return err
		}
		if err := w.finish(w.r.walker.key, emit); err != nil {
			return err
		}
	}
}

func (w *aggregateWorker) begin(unit int) {
	if w.shape.grouped {
		w.groups = newGroups(w.shape)
		w.states[unit] = w.groups
	}
}

// finish hands on what the present series came to.
func (w *aggregateWorker) finish(key []byte, emit func(*Batch) error) error {
	if len(w.windows.slots) == 0 {
		return nil
	}
	if w.groups == nil {
		for len(w.slots) < len(w.windows.slots) {
			w.slots = append(w.slots, len(w.slots))
		}
		return w.out.add(key, w.windows.slots, w.slots, w.series, emit)
	}
	return w.groups.add(key, w.windows.slots, w.series)
}

// read adds the rows of the present series between lo and hi.
func (w *aggregateWorker) read(ctx context.Context, lo, hi int64) error {
	w.r.seek(lo, hi)
	for {
		rows, at, span, err := w.r.stream.next()
		if err != nil || rows == nil && at == nil {
			return err
		}
		if at != nil {
			done, err := w.summary(at, span)
			if err != nil {
				return err
			}
			if done {
				continue
			}
			if rows, err = at.read(span); err != nil {
				return err
			}
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if rows = w.r.where(rows); rows.Len() > 0 {
			w.add(rows)
		}
		if err := w.hold(); err != nil {
			return err
		}
		if w.early && w.complete() {
			return nil
		}
	}
}

// complete reports whether every call has a value in the first slot.
func (w *aggregateWorker) complete() bool {
	if w.series.n == 0 || w.windows.grid != nil {
		return false
	}
	for _, m := range w.series.list {
		if !m.found(0) {
			return false
		}
	}
	return true
}

func (w *aggregateWorker) add(rows *column.Rows) {
	w.windows.cut(rows.Time, func(from, to int) {
		slot, fresh := w.windows.slot()
		if fresh {
			w.series.grow(slot + 1)
		}
		w.series.add(slot, rows, from, to)
	})
}

// summary adds a span from its summaries, if they suffice.
func (w *aggregateWorker) summary(f *feeder, span run.Span) (bool, error) {
	if !w.windows.covers(span.MinTime, span.MaxTime) {
		return false, nil
	}
	if len(w.sums) == 0 {
		w.sums = make([]column.Summary, len(w.series.cols))
	}
	for c, which := range w.series.cols {
		if len(which) == 0 {
			continue
		}
		var err error
		if w.sums[c], err = f.spans.Summary(c); err != nil {
			return false, err
		}
	}
	wanted := false
	w.windows.each(span.MinTime, func() {
		slot, fresh := w.windows.slot()
		if fresh {
			w.series.grow(slot + 1)
		}
		for c, which := range w.series.cols {
			for _, i := range which {
				wanted = wanted || w.series.list[i].wants(slot, &w.sums[c])
			}
		}
	})
	if wanted {
		return false, nil
	}
	w.windows.each(span.MinTime, func() {
		slot, _ := w.windows.slot()
		for c, which := range w.series.cols {
			for _, i := range which {
				w.series.list[i].addSummary(slot, &w.sums[c])
			}
		}
	})
	return true, f.skip(span)
}

// holdStep is how much the states of a worker grow before it reserves them.
const holdStep = 1 << 20

// hold reserves the memory of the states.
func (w *aggregateWorker) hold() error {
	n := w.series.bytes() + w.extra
	if w.groups != nil {
		n += w.groups.meters.bytes()
	}
	if n < w.held+holdStep {
		return nil
	}
	if err := w.scan.budget.reserve(n - w.held); err != nil {
		return err
	}
	w.held = n
	return nil
}
