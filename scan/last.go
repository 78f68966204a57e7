package scan

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/varvedb/varve/column"
)

// lastWorker finds the last values of its units' series. It goes back in time
// by layers: inputs that overlap each other, newest first. In each it reads
// only the series that lack a value so far, and of those only as much of the
// end as it must.
type lastWorker struct {
	*aggregateWorker
	layers [][]int // inputs of each
	states *meters // a slot for each series
	list   []lastSeries
	fresh  []lastSeries // that the present layer found first
	spare  []lastSeries
	keys   []byte

	// settled is the fingerprints of inputs whose series all have their
	// values.
	settled [][2]uint64
}

// lastSeries is one series that was found, in the order of keys.
type lastSeries struct {
	key  []byte
	slot int
	done bool // every call has its value
}

func newLastWorker(w *aggregateWorker) *lastWorker {
	return &lastWorker{
		aggregateWorker: w, layers: layers(w.r.job.src.inputs),
		states: newMeters(w.shape.aggregate, w.shape.calls, w.shape.columns, false),
	}
}

// layers divides inputs so that no two of different layers overlap in time,
// the newest first.
func layers(inputs []input) [][]int {
	order := make([]int, len(inputs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch x, y := inputs[a].max, inputs[b].max; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return a - b
	})
	var out [][]int
	low := int64(math.MaxInt64)
	for _, i := range order {
		if len(out) == 0 || inputs[i].max < low {
			out = append(out, nil)
		}
		low = min(low, inputs[i].min)
		out[len(out)-1] = append(out[len(out)-1], i)
	}
	for _, l := range out {
		slices.Sort(l)
	}
	return out
}

func (w *lastWorker) do(ctx context.Context, unit int, emit func(*Batch) error) error {
	if w.err != nil {
		return w.err
	}
	w.begin(unit)
	w.states.reset()
	w.list = w.list[:0]
	w.settled = w.settled[:0]
	for _, layer := range w.layers {
		left := w.unsettled(layer)
		if len(left) == 0 {
			continue
		}
		all, err := w.layer(ctx, unit, left)
		if err != nil {
			return err
		}
		for _, i := range left {
			if keys := w.r.job.src.inputs[i].run.Meta().Keys; all && keys != [2]uint64{} {
				w.settled = append(w.settled, keys)
			}
		}
	}
	w.windows.begin()
	w.windows.earliest(0)
	w.windows.slot()
	slot := make([]int, 1)
	for _, s := range w.list {
		if w.groups == nil {
			slot[0] = s.slot
			if err := w.out.add(s.key, w.windows.slots, slot, w.states, emit); err != nil {
				return err
			}
			continue
		}
		w.groups.add(s.key, w.windows.slots, w.states, s.slot)
	}
	return w.out.flush(emit)
}

// unsettled returns the inputs of a layer that may have series which still
// lack a value. Partitions of a fleet mostly have the very same series, and
// when those of one have all been found, those of the others need no look.
func (w *lastWorker) unsettled(layer []int) []int {
	return slices.DeleteFunc(slices.Clone(layer), func(i int) bool {
		return slices.Contains(w.settled, w.r.job.src.inputs[i].run.Meta().Keys)
	})
}

// layer walks the series of some inputs and, side by side, the list of those
// that newer layers had. all reports whether each series of the inputs has all
// its values now.
func (w *lastWorker) layer(ctx context.Context, unit int, inputs []int) (all bool, err error) {
	if err := w.r.walker.begin(w.r.job, unit, inputs); err != nil {
		return false, err
	}
	w.fresh = w.fresh[:0]
	at := 0
	all = true
	for {
		ok, err := w.r.next(ctx)
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		key := w.r.walker.key
		c := 1
		for at < len(w.list) {
			if c = bytes.Compare(w.list[at].key, key); c >= 0 {
				break
			}
			at++
		}
		if at < len(w.list) && c == 0 {
			if s := &w.list[at]; !s.done {
				if err := w.find(ctx, s); err != nil {
					return false, err
				}
			}
			all = all && w.list[at].done
			at++
			continue
		}
		s := lastSeries{slot: -1}
		if err := w.find(ctx, &s); err != nil {
			return false, err
		}
		all = all && s.done
		if s.slot >= 0 {
			w.fresh = append(w.fresh, s)
		}
	}
	w.join()
	w.extra = w.states.bytes() + int64(cap(w.list)+cap(w.spare)+cap(w.fresh))*48
	return all, w.hold()
}

// join brings the series that the last layer found first into the list.
func (w *lastWorker) join() {
	if len(w.fresh) == 0 {
		return
	}
	if len(w.list) == 0 {
		w.list, w.fresh = w.fresh, w.list
		return
	}
	out, list := w.spare[:0], w.list
	for _, s := range w.fresh {
		for len(list) > 0 && bytes.Compare(list[0].key, s.key) < 0 {
			out, list = append(out, list[0]), list[1:]
		}
		out = append(out, s)
	}
	out = append(out, list...)
	w.list, w.spare = out, w.list
}

// find reads the end of the present series and adds what it finds to s.
func (w *lastWorker) find(ctx context.Context, s *lastSeries) error {
	if err := w.r.series(); err != nil {
		return err
	}
	w.r.seek(w.r.job.src.first, w.r.job.src.last)
	if found, err := w.tail(s); found || err != nil {
		return err
	}
	w.windows.begin()
	w.series.reset()
	lo, hi, rows := w.r.extent()
	steps := newBackward(lo, hi, rows*(stepRows/lastRows))
	for {
		lo, hi, ok := steps.next()
		if !ok {
			break
		}
		if err := w.read(ctx, lo, hi); err != nil {
			return err
		}
		if w.complete() {
			break
		}
		steps.found(0)
	}
	if w.series.n == 0 || !w.series.found(0) {
		return nil
	}
	w.slot(s)
	w.states.merge(s.slot, w.series, 0, nil)
	s.done = true
	for _, m := range w.states.list {
		s.done = s.done && m.found(s.slot)
	}
	return nil
}

// tail adds what the last span of the present series says, if that settles
// every call: rows of other feeders all lie before the last values.
func (w *lastWorker) tail(s *lastSeries) (bool, error) {
	f, before := w.r.stream.newest()
	if f == nil || f.spans == nil || len(f.hidden) > 0 {
		return false, nil
	}
	if _, ok, err := f.spans.SeekLast(f.ord, f.low, f.high); !ok || err != nil {
		return false, err
	}
	sums, err := w.summaries(f)
	if err != nil {
		return false, err
	}
	for c, which := range w.states.cols {
		for _, i := range which {
			if sum := &sums[c]; sum.Count == 0 || sum.LastTime <= before || w.states.calls[i].field.Type == column.String {
				return false, nil
			}
		}
	}
	w.slot(s)
	for c, which := range w.states.cols {
		for _, i := range which {
			w.states.list[i].addSummary(s.slot, &sums[c])
		}
	}
	s.done = true
	return true, f.spans.Skip()
}

// slot gives a series a slot if it has none.
func (w *lastWorker) slot(s *lastSeries) {
	if s.slot < 0 {
		s.slot = w.states.n
		w.states.grow(s.slot + 1)
		s.key = w.keep(w.r.walker.key)
	}
}

// lastRows is about how many rows the first step back should hold: one of them
// is wanted, and each is copied.
const lastRows = 16

// keep copies a key into memory that stays where it is.
func (w *lastWorker) keep(key []byte) []byte {
	if len(w.keys)+len(key) > cap(w.keys) {
		w.keys = make([]byte, 0, max(1<<16, len(key)))
	}
	at := len(w.keys)
	w.keys = append(w.keys, key...)
	return w.keys[at:len(w.keys):len(w.keys)]
}

// newest returns the feeder that may have the latest rows, and the bound at or
// before which all rows of the others lie; nil if no feeder has any.
func (s *stream) newest() (f *feeder, before int64) {
	before = math.MinInt64
	for i := range s.n {
		g := &s.feeders[i]
		switch {
		case g.ended:
		case f == nil:
			f = g
		case g.high > f.high:
			f, before = g, f.high
		default:
			before = max(before, g.high)
		}
	}
	return f, before
}
