package kafka

import "context"

// portion is a run of records of a partition.
type portion struct {
	partition *partition
	fetched
}

// batch is what is handed over at once: records of some partitions, those of
// one in their order. One worker holds it; the queue's mutex guards shed and
// cancel.
type batch struct {
	portions []portion
	bytes    int
	// shed is closed when one of the partitions is being given up, so that who
	// waits to hand the batch over again does not wait longer.
	shed   chan struct{}
	closed bool // shed is
	// cancel ends the Take that is under way; nil if none is.
	cancel context.CancelFunc
}

func (b *batch) has(p *partition) bool {
	for i := range b.portions {
		if b.portions[i].partition == p {
			return true
		}
	}
	return false
}
