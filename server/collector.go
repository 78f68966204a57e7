package server

import (
	"runtime/debug"
	gauges "runtime/metrics"
	"sync"
	"time"
)

// collector tells the runtime's collector of garbage how much may gather. A
// share of what is alive is right while much is alive; a server that was asked
// nothing but a few questions has 10 MiB alive, and a share of that would be
// collected after every other question, at a third of the question's cost.
type collector struct {
	done chan struct{}
	gone sync.WaitGroup
}

const (
	// gcPercent is the least share, by what is alive. Nearly all that is alive
	// at full ingest is memtables, which hold few pointers: on two cores and
	// trucks 25 instead of 50 takes a quarter off the peak of memory, and what it
	// costs in rows per second of processor time is less than runs differ by.
	gcPercent = 25
	// gcBytes may gather always: garbage of some tens of questions, and what
	// the least share comes to at full ingest.
	gcBytes = 32 << 20
	// gcMost bounds the share of a heap that is about to grow: until the next
	// look it gathers no more than gcMost percent of what it has become.
	gcMost = 400
	// gcLook is how often is looked. Full ingest makes some 20 MiB meanwhile.
	gcLook = 250 * time.Millisecond
)

func startCollector() *collector {
	c := &collector{done: make(chan struct{})}
	now := gcPercent
	debug.SetGCPercent(now)
	alive := []gauges.Sample{{Name: "/gc/heap/live:bytes"}}
	c.gone.Go(func() {
		tick := time.NewTicker(gcLook)
		defer tick.Stop()
		for {
			select {
			case <-c.done:
				return
			case <-tick.C:
			}
			gauges.Read(alive)
			// Each change stops the world for a moment, so small ones are not
			// worth one.
			if p := gcShare(alive[0].Value.Uint64()); p < now || p > now+now/4 {
				now = p
				debug.SetGCPercent(p)
			}
		}
	})
	return c
}

// gcShare returns how many percent of what is alive may gather.
func gcShare(alive uint64) int {
	return int(min(max(gcBytes*100/max(alive, 1), gcPercent), gcMost))
}

func (c *collector) close() {
	close(c.done)
	c.gone.Wait()
}
