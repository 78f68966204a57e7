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
	all := join(shape, states)
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
		hint := 0
		if w.groups != nil {
			hint = len(w.groups.list)
		}
		w.groups = newGroups(w.shape, hint)
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
	if w.shape.selects {
		key = bytes.Clone(key)
	}
	w.groups.add(key, w.windows.slots, w.series, 0)
	return nil
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
	if _, err := w.summaries(f); err != nil {
		return false, err
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

// summaries returns what is known of the span at which f stands, by column.
func (w *aggregateWorker) summaries(f *feeder) ([]column.Summary, error) {
	if len(w.sums) == 0 {
		w.sums = make([]column.Summary, len(w.series.cols))
	}
	for c, which := range w.series.cols {
		if len(which) == 0 {
			continue
		}
		var err error
		if w.sums[c], err = f.spans.Summary(c); err != nil {
			return nil, err
		}
	}
	return w.sums, nil
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
