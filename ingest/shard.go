package ingest

import "github.com/varvedb/varve/column"

// ShardOf returns the shard of a series of a bucket, by its column.HashSeries.
// It is part of the format: a store keeps its number of shards, and its series
// stay where they are.
func ShardOf(bucket, seriesHash uint64, shards int) int {
	// The finalizer of MurmurHash3, so that neither the low bits of the series
	// hash, by which tables of series are cut, nor those of the bucket decide
	// alone.
	h := bucket*0x9E3779B97F4A7C15 ^ seriesHash
	h ^= h >> 33
	h *= 0xFF51AFD7ED558CCD
	h ^= h >> 33
	h *= 0xC4CEB9FE1A85EC53
	h ^= h >> 33
	return int(h % uint64(shards))
}

// split returns what of b goes to each of n shards. Tables that lie in one
// shard as a whole are not copied.
func split(bucket uint64, b *column.Batch, n int) []*column.Batch {
	parts := make([]*column.Batch, n)
	for i := range parts {
		parts[i] = &column.Batch{}
	}
	rows := make([][]uint32, n)
	var shards []int
	for _, t := range b.Tables {
		shards = shards[:0]
		alone := true
		for _, h := range t.Series.Hash {
			s := ShardOf(bucket, h, n)
			alone = alone && (len(shards) == 0 || s == shards[0])
			shards = append(shards, s)
		}
		if alone {
			parts[shards[0]].Tables = append(parts[shards[0]].Tables, t)
			continue
		}
		for i := range rows {
			rows[i] = rows[i][:0]
		}
		for r, s := range t.Row {
			rows[shards[s]] = append(rows[shards[s]], uint32(r))
		}
		for i := range rows {
			if picked := t.Pick(rows[i]); picked != nil {
				parts[i].Tables = append(parts[i].Tables, picked)
			}
		}
	}
	return parts
}
