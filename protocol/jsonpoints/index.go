package jsonpoints

import "bytes"

// seriesIndex finds the series of the present body by their hash: open
// addressing, a power of two of slots, at most half full. A slot of an earlier
// body is free, so that nothing has to be cleared.
type seriesIndex struct {
	slots []seriesSlot
	used  int // slots of the present body
	batch uint64
}

type seriesSlot struct {
	hash   uint64 // column.HashSeries, which tells measurements apart too
	batch  uint64
	epoch  uint64 // the output table
	series uint32 // in its SeriesSet
}

const (
	slotBytes = 32
	minSlots  = 64
)

func (x *seriesIndex) bytes() int { return len(x.slots) * slotBytes }

func (x *seriesIndex) begin(batch uint64) { x.batch, x.used = batch, 0 }

// find returns the series of a key in the present output table of t.
func (x *seriesIndex) find(hash uint64, t *table, key []byte) (uint32, bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(x.slots) - 1)
	for i := hash & mask; x.slots[i].batch == x.batch; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.hash == hash && s.epoch == t.epoch && bytes.Equal(t.out.Series.Key(int(s.series)), key) {
			return s.series, true
		}
	}
	return 0, false
}

// add puts a series that is not there.
func (x *seriesIndex) add(hash, epoch uint64, series uint32) {
	if 2*x.used >= len(x.slots) {
		x.grow()
	}
	x.put(seriesSlot{hash, x.batch, epoch, series})
	x.used++
}

func (x *seriesIndex) put(s seriesSlot) {
	mask := uint64(len(x.slots) - 1)
	i := s.hash & mask
	for x.slots[i].batch == x.batch {
		i = (i + 1) & mask
	}
	x.slots[i] = s
}

func (x *seriesIndex) grow() {
	old := x.slots
	x.slots = make([]seriesSlot, max(minSlots, 4*len(old)))
	for _, s := range old {
		if s.batch == x.batch {
			x.put(s)
		}
	}
}
