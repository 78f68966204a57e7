package server

import (
	"testing"

	"github.com/varvedb/varve/shard"
)

// Memtables reserve what they can fill, and leave the rest to bodies.
func TestMemtablesReserve(t *testing.T) {
	for _, c := range []struct {
		memory int64
		shards int
		want   int64
	}{
		{256 << 20, 1, 256 << 20 / 100 * 25 / 4 * 3},
		{8 << 30, 1, shard.Default().MaxMemtableBytes},
		{8 << 30, 4, 4 * shard.Default().MaxMemtableBytes},
	} {
		config := Default()
		config.Memory, config.Shards = c.memory, c.shards
		b := openTrial(t, t.TempDir(), config)
		if got := b.budget.Ingest.Stats().Used; got != c.want {
			t.Errorf("%d MiB and %d shards: memtables reserve %d bytes, want %d", c.memory>>20, c.shards, got, c.want)
		}
		b.shut()
	}
}
