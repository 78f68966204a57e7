package exec

import (
	"cmp"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/scan"
)

// mergeByTime puts the rows of all series of a measurement into one order of
// time; at one time, series come in the order of their keys. It keeps the
// rows of a measurement until it has them all.
type mergeByTime struct {
	below   *step
	desc    bool
	budget  *held
	batches []*scan.Batch // of one measurement
	ahead   *scan.Batch   // the first of the next one
	order   []place
	ended   bool
}

// place says where a row is: in which group of which batch.
type place struct {
	time       int64
	batch, row int32
	group      int32
}

func (o *mergeByTime) explain() string {
	if o.desc {
		return "merge series by time, newest first"
	}
	return "merge series by time"
}

func (o *mergeByTime) next() (*scan.Batch, error) {
	for len(o.order) == 0 {
		if o.ended {
			return nil, nil
		}
		if err := o.collect(); err != nil {
			return nil, err
		}
	}
	n := min(len(o.order), outRows)
	b := o.gather(o.order[:n])
	o.order = o.order[n:]
	return b, nil
}

// outRows is how many rows a batch has: as many as those of a scan.
const outRows = 4096

// placeBytes is the size of a place.
const placeBytes = 24

// collect reads the batches of one measurement and sorts their rows.
func (o *mergeByTime) collect() error {
	o.batches, o.order = nil, nil
	o.budget.release()
	if o.ahead != nil {
		if err := o.add(o.ahead); err != nil {
			return err
		}
		o.ahead = nil
	}
	for {
		b, err := o.below.next()
		if err != nil {
			return err
		}
		if b == nil {
			o.ended = true
			break
		}
		if len(o.batches) > 0 && b.Measurement != o.batches[0].Measurement {
			o.ahead = b
			break
		}
		if err := o.add(b); err != nil {
			return err
		}
	}
	// Rows come in the order of keys, and a stable sort keeps it.
	slices.SortStableFunc(o.order, func(a, b place) int {
		if o.desc {
			return cmp.Compare(b.time, a.time)
		}
		return cmp.Compare(a.time, b.time)
	})
	return nil
}

func (o *mergeByTime) add(b *scan.Batch) error {
	if err := o.budget.reserve(b.Bytes() + int64(b.Rows())*placeBytes); err != nil {
		return err
	}
	o.batches = append(o.batches, b)
	for g, group := range b.Groups {
		for i := group.From; i < group.To; i++ {
			o.order = append(o.order, place{b.Time[i], int32(len(o.batches) - 1), int32(i), int32(g)})
		}
	}
	return nil
}

// gather makes a batch of rows.
func (o *mergeByTime) gather(rows []place) *scan.Batch {
	first := o.batches[0]
	out := &scan.Batch{Measurement: first.Measurement, Columns: make([]scan.Column, len(first.Columns))}
	for c := range out.Columns {
		out.Columns[c].Field = first.Columns[c].Field
		out.Columns[c].Vector = column.Vector{Type: first.Columns[c].Type}
	}
	for _, p := range rows {
		b := o.batches[p.batch]
		key := b.Groups[p.group].Key
		if n := len(out.Groups); n == 0 || string(out.Groups[n-1].Key) != string(key) {
			out.Groups = append(out.Groups, scan.Group{Key: key, From: len(out.Time), To: len(out.Time)})
		}
		out.Groups[len(out.Groups)-1].To++
		out.Time = append(out.Time, p.time)
		for c := range out.Columns {
			out.Columns[c].AppendRow(&b.Columns[c].Vector, int(p.row))
		}
	}
	return out
}
