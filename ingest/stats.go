package ingest

import (
	"sync/atomic"

	"github.com/varvedb/varve/column"
)

// Stats counts since the start of the Writer.
type Stats struct {
	Batches uint64 // of which anything was stored or left out
	Points  uint64 // rows stored
	Values  uint64 // field values stored
	Dropped map[DropKind]uint64
}

type counts struct {
	batches, points, values atomic.Uint64

	typed, named, old, ahead, full atomic.Uint64
}

func (c *counts) dropped(kind DropKind) *atomic.Uint64 {
	switch kind {
	case DropType:
		return &c.typed
	case DropRetention:
		return &c.old
	case DropFuture:
		return &c.ahead
	case DropColumns:
		return &c.full
	}
	return &c.named
}

func (c *counts) add(b *column.Batch, d *drops) {
	c.batches.Add(1)
	c.points.Add(uint64(b.Rows()))
	c.values.Add(uint64(b.Values()))
	for i := range d.list {
		c.dropped(d.list[i].Kind).Add(uint64(d.list[i].Rows))
	}
}

// Stats returns what was written so far; every kind of drop is in it.
func (w *Writer) Stats() Stats {
	s := Stats{Batches: w.counts.batches.Load(), Points: w.counts.points.Load(),
		Values: w.counts.values.Load(), Dropped: map[DropKind]uint64{}}
	for _, kind := range dropKinds() {
		s.Dropped[kind] = w.counts.dropped(kind).Load()
	}
	return s
}
