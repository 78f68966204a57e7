package scan

import (
	"bytes"
	"sort"

	"github.com/varvedb/varve/run"
)

// job is the series of a source, divided into units of work: ranges of keys,
// cut by the data alone so that results do not depend on the machine.
type job struct {
	src   *source
	ords  [][]uint32 // by input: the series in question in the order of keys
	units [][]part
}

// part is the series of one input that belong to a unit.
type part struct{ from, to int }

const (
	// maxUnits bounds how finely series are divided. Workers open cursors
	// once, so a unit costs little more than finding where it starts.
	maxUnits = 16
	// minUnitRows is how many rows a unit should have at least, by the counts
	// of its runs: some tens of microseconds of work.
	minUnitRows = 1 << 15
)

// divide chooses the series of every input. Inputs without any go.
func (s *Scan) divide(src *source) (*job, error) {
	j := &job{src: src}
	kept := src.inputs[:0]
	rows, longest := int64(0), 0
	for _, in := range src.inputs {
		ords, err := in.run.Select(src.matcher)
		if err != nil {
			return nil, err
		}
		if len(ords) == 0 {
			s.stats.RunsPruned++
			continue
		}
		meta := in.run.Meta()
		rows += meta.Rows * int64(len(ords)) / int64(max(meta.Series, 1))
		s.stats.Series += int64(len(ords))
		kept = append(kept, in)
		j.ords = append(j.ords, ords)
		if len(ords) > len(j.ords[longest]) {
			longest = len(j.ords) - 1
		}
	}
	src.inputs = kept
	if len(kept) == 0 {
		return j, nil
	}
	base := len(j.ords[longest])
	n := int(min(max(rows/minUnitRows, 1), maxUnits, int64(base)))
	from := make([]int, len(kept))
	for u := 1; u <= n; u++ {
		parts := make([]part, len(kept))
		var key []byte
		if u < n {
			k, err := kept[longest].run.Keys().Key(j.ords[longest][base*u/n])
			if err != nil {
				return nil, err
			}
			key = k
		}
		for i := range kept {
			to := len(j.ords[i])
			if u < n {
				var err error
				if to, err = placeOf(kept[i].run, j.ords[i], key, to*u/n); err != nil {
					return nil, err
				}
			}
			parts[i] = part{from[i], max(to, from[i])}
			from[i] = parts[i].to
		}
		j.units = append(j.units, parts)
	}
	s.stats.Units += int64(n)
	return j, nil
}

// placeOf returns the place among ords of the first series whose key is not
// below key. guess is where it is if the run has the same series as the one
// that key comes from.
func placeOf(r run.Run, ords []uint32, key []byte, guess int) (int, error) {
	keys := r.Keys()
	if guess < len(ords) {
		k, err := keys.Key(ords[guess])
		if err != nil || bytes.Equal(k, key) {
			return guess, err
		}
	}
	var bad error
	at := sort.Search(len(ords), func(i int) bool {
		k, err := keys.Key(ords[i])
		if err != nil {
			bad = err
		}
		return err != nil || bytes.Compare(k, key) >= 0
	})
	return at, bad
}

// walker goes through the series of a unit in the order of their keys, side
// by side in all inputs.
type walker struct {
	inputs []walking
	key    []byte
	here   []int // inputs that have the series, ascending
}

type walking struct {
	ords []uint32
	keys run.KeyCursor
	key  []byte // of ords[0]
}

func newWalker(j *job) *walker {
	w := &walker{inputs: make([]walking, len(j.src.inputs))}
	for i := range w.inputs {
		w.inputs[i].keys = j.src.inputs[i].run.Keys()
	}
	return w
}

// begin goes to the first series of a unit, of the inputs in which; nil means
// all of them.
func (w *walker) begin(j *job, unit int, which []int) error {
	w.here = w.here[:0]
	for i := range w.inputs {
		p := j.units[unit][i]
		w.inputs[i].ords = j.ords[i][p.from:p.to]
	}
	if which != nil {
		at := 0
		for i := range w.inputs {
			if at < len(which) && which[at] == i {
				at++
				continue
			}
			w.inputs[i].ords = nil
		}
	}
	for i := range w.inputs {
		if err := w.inputs[i].read(); err != nil {
			return err
		}
	}
	return nil
}

func (in *walking) read() (err error) {
	if len(in.ords) > 0 {
		in.key, err = in.keys.Key(in.ords[0])
	}
	return err
}

// next goes to the next series; false at the end. key is valid until the next
// call.
func (w *walker) next() (bool, error) {
	for _, i := range w.here {
		in := &w.inputs[i]
		in.ords = in.ords[1:]
		if err := in.read(); err != nil {
			return false, err
		}
	}
	w.here = w.here[:0]
	for i := range w.inputs {
		in := &w.inputs[i]
		if len(in.ords) == 0 {
			continue
		}
		c := -1
		if len(w.here) > 0 {
			c = bytes.Compare(in.key, w.key)
		}
		if c < 0 {
			w.here, w.key = w.here[:0], in.key
		}
		if c <= 0 {
			w.here = append(w.here, i)
		}
	}
	return len(w.here) > 0, nil
}
