package server

import (
	"context"
)

// bucketsGone is called when buckets were deleted. Their segments go when the
// compactors look next; what is in memory only, and in the log with it, is
// flushed to nowhere at once. A flush that fails is tried again by the shard.
func (s *server) bucketsGone(ctx context.Context) {
	for i, sh := range s.store.shards {
		if err := sh.Flush(ctx); err != nil {
			s.log.WarnContext(ctx, "rows of a deleted bucket stay in memory and log until the next flush", "shard", i, "error", err)
		}
	}
}
