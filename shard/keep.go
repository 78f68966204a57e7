package shard

import (
	"fmt"
	"time"
)

// keepEvery is how often the room on the disk is looked at: often enough
// that at full rate no more than a fraction of MinFreeBytes is written in
// between.
const keepEvery = 250 * time.Millisecond

// keepLoop watches the room on the volume and refuses writes before it is
// used up, so that flush and compaction have what they need to free some.
func (s *Shard) keepLoop() {
	defer s.wg.Done()
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		s.watchDisk()
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Shard) watchDisk() {
	if s.cfg.MinFreeBytes == 0 {
		return
	}
	use, err := s.cfg.FS.DiskUsage(s.cfg.Dir)
	reason := ""
	switch {
	case err != nil:
		s.cfg.Logger.Warn("cannot tell how full the disk is", "dir", s.cfg.Dir, "error", err)
	case use.Available < s.cfg.MinFreeBytes:
		reason = fmt.Sprintf("the disk is nearly full: %d MiB are left and %d MiB are kept for flush and compaction; free some or lower the retention",
			use.Available>>20, s.cfg.MinFreeBytes>>20)
	}
	s.mu.Lock()
	before := s.full
	s.full = reason
	s.mu.Unlock()
	if before == "" && reason != "" {
		s.cfg.Logger.Error("writes are refused", "shard", s.cfg.ID, "reason", reason)
		s.wakeCompactors()
	} else if before != "" && reason == "" {
		s.cfg.Logger.Info("writes are taken again", "shard", s.cfg.ID)
	}
}
