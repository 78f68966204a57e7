package encoding

import "math"

// A block holds rows of several series, one behind the other: runs. The times
// of a run are mostly a first time and a constant step; runs mostly share
// these with the run before. So each run has a kind, a first time and a step,
// each kept as a column over the runs, and only the times of irregular runs
// are stored, as differences.
const (
	runRegular   = 0
	runIrregular = 1
	runRepeats   = 2 // same rows and differences as the run before
)

// timesRegular and timesMixed are the first byte of a column of times.
const (
	timesRegular = 0 // all runs are regular: no kinds, no differences
	timesMixed   = 1
)

// TimeRun is the times of one run of rows. A regular run has its rows at
// First, First+Step, First+2·Step and so on.
type TimeRun struct {
	First, Step int64
	Count       int32
	Regular     bool
}

// clock is the scratch of an encoder for times.
type clock struct {
	kinds, firsts, steps, deltas []uint64
}

// Times appends a column of times in nanoseconds; runs are the numbers of rows
// of the series in it, one behind the other, and sum up to len(v).
func (e *Encoder) Times(dst []byte, runs []int32, v []int64) []byte {
	checkCount(len(v))
	if len(v) == 0 {
		return dst
	}
	c := &e.clock
	c.kinds, c.firsts, c.steps, c.deltas = c.kinds[:0], c.firsts[:0], c.steps[:0], c.deltas[:0]
	kind := byte(timesRegular)
	var before []int64
	first, step := uint64(0), uint64(0)
	w := v
	for _, count := range runs {
		run := w[:count]
		w = w[count:]
		// A run that needs no first time or step takes over those of the run
		// before, which costs least.
		k := uint64(runRegular)
		if count > 0 {
			first = uint64(run[0])
		}
		switch {
		case regular(run):
			if count > 1 {
				step = uint64(run[1] - run[0])
			}
		case repeats(run, before):
			k, kind = runRepeats, timesMixed
		default:
			k, kind = runIrregular, timesMixed
			prev := run[0]
			for _, t := range run[1:] {
				c.deltas = append(c.deltas, uint64(t-prev))
				prev = t
			}
		}
		c.kinds, c.firsts, c.steps = append(c.kinds, k), append(c.firsts, first), append(c.steps, step)
		before = run
	}
	if len(w) != 0 {
		panic("BUG: runs do not sum up to the number of times")
	}
	dst = append(dst, kind)
	dst = appendPart(dst, func(dst []byte) []byte { return e.words(dst, c.firsts, false) })
	if kind == timesRegular {
		return e.words(dst, c.steps, false)
	}
	dst = appendPart(dst, func(dst []byte) []byte { return e.words(dst, c.steps, false) })
	dst = appendPart(dst, func(dst []byte) []byte { return e.words(dst, c.kinds, false) })
	return e.words(dst, c.deltas, false)
}

func regular(run []int64) bool {
	for i := 2; i < len(run); i++ {
		if run[i]-run[i-1] != run[1]-run[0] {
			return false
		}
	}
	return true
}

func repeats(run, before []int64) bool {
	if len(run) != len(before) {
		return false
	}
	shift := run[0] - before[0]
	for i, t := range run {
		if t-before[i] != shift {
			return false
		}
	}
	return true
}

// TimeRuns appends one TimeRun for each run of a column of times and decodes
// nothing else: times are worked out from it wherever a run is regular.
func (d *Decoder) TimeRuns(dst []TimeRun, runs []int32, src []byte) ([]TimeRun, error) {
	dst, _, err := d.timeRuns(dst, runs, src)
	return dst, err
}

// timeRuns also returns the column of differences.
func (d *Decoder) timeRuns(dst []TimeRun, runs []int32, src []byte) ([]TimeRun, []byte, error) {
	rows := 0
	for _, count := range runs {
		if count < 0 || int(count) > MaxValues-rows {
			return dst, nil, corrupt("number of rows out of range")
		}
		rows += int(count)
	}
	n := len(runs)
	if n > MaxValues {
		return dst, nil, corrupt("number of runs out of range")
	}
	all, tail := grow(dst, n)
	if rows == 0 {
		for i := range tail {
			tail[i] = TimeRun{Regular: true}
		}
		return all, nil, d.words(nil, src, false)
	}
	c := cursor{b: src}
	kind := c.byte()
	firsts := c.part()
	steps, kinds := c.b, []byte(nil)
	if kind == timesMixed {
		steps, kinds = c.part(), c.part()
	}
	if c.bad || kind > timesMixed {
		return dst, nil, corrupt("times header")
	}
	d.firsts, d.steps, d.kinds = resize(d.firsts, n), resize(d.steps, n), resize(d.kinds, n)
	if err := d.words(d.firsts, firsts, false); err != nil {
		return dst, nil, err
	}
	if err := d.words(d.steps, steps, false); err != nil {
		return dst, nil, err
	}
	clear(d.kinds)
	if kind == timesMixed {
		if err := d.words(d.kinds, kinds, false); err != nil {
			return dst, nil, err
		}
	}
	for i, count := range runs {
		k := d.kinds[i]
		if k > runRepeats || k == runRepeats && (i == 0 || runs[i-1] != count) || k != runRegular && count == 0 {
			return dst, nil, corrupt("unknown kind of run")
		}
		tail[i] = TimeRun{First: int64(d.firsts[i]), Step: int64(d.steps[i]), Count: count, Regular: k == runRegular}
	}
	if kind == timesRegular {
		return all, nil, nil
	}
	return all, c.b, nil
}

// Times decodes a column of times.
func (d *Decoder) Times(dst []int64, runs []int32, src []byte) ([]int64, error) {
	list, deltas, err := d.timeRuns(d.runs[:0], runs, src)
	d.runs = list[:0]
	if err != nil {
		return dst, err
	}
	rows, stored := 0, 0
	for i, run := range list {
		rows += int(run.Count)
		if !run.Regular && d.kinds[i] == runIrregular {
			stored += int(run.Count) - 1
		}
	}
	all, tail := grow(dst, rows)
	d.deltas = resize(d.deltas, stored)
	if err := d.words(d.deltas, deltas, false); err != nil {
		return dst, err
	}
	rest := d.deltas
	var before []int64
	for i, run := range list {
		out := tail[:run.Count]
		tail = tail[run.Count:]
		t := run.First
		switch {
		case run.Regular:
			for j := range out {
				out[j] = t
				t += run.Step
			}
		case d.kinds[i] == runRepeats:
			shift := t - before[0]
			for j, b := range before {
				out[j] = b + shift
			}
		default:
			out[0] = t
			for j, delta := range rest[:len(out)-1] {
				t += int64(delta)
				out[j+1] = t
			}
			rest = rest[len(out)-1:]
		}
		before = out
	}
	return all, nil
}

// At returns the time of row i of a regular run.
func (r TimeRun) At(i int) int64 { return r.First + int64(i)*r.Step }

// Last returns the time of the last row of a regular run.
func (r TimeRun) Last() int64 { return r.At(int(max(r.Count, 1)) - 1) }

// Search returns the first row of a regular run at or after t, Count if there
// is none; the step must not be negative.
func (r TimeRun) Search(t int64) int {
	switch {
	case t <= r.First:
		return 0
	case r.Step == 0:
		return int(r.Count)
	}
	// The distance fits 64 bits without a sign even where First is negative.
	rows := (uint64(t) - uint64(r.First) - 1) / uint64(r.Step)
	if rows >= math.MaxInt32 {
		return int(r.Count)
	}
	return min(int(rows)+1, int(r.Count))
}
