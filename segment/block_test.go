package segment

import (
	"bytes"
	"sync"
	"testing"

	"github.com/varvedb/varve/column"
)

// blockCache keeps everything that it is given, from the second time on.
type blockCache struct {
	mu    sync.Mutex // guards the rest
	items map[CacheKey]any
	asked map[CacheKey]bool
	bytes int64
}

func newBlockCache() *blockCache {
	return &blockCache{items: map[CacheKey]any{}, asked: map[CacheKey]bool{}}
}

func (c *blockCache) Get(key CacheKey) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.items[key]
	return v, ok
}

func (c *blockCache) Put(key CacheKey, value any, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items[key], c.bytes = value, c.bytes+bytes
}

func (c *blockCache) Again(key CacheKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.asked[key]
	c.asked[key] = true
	return known
}

// readAll reads all rows of some fields and returns how many there were.
func readAll(t *testing.T, s *Section, fields ...string) int {
	t.Helper()
	c, err := s.Open(fields)
	must(t, err)
	defer c.Close()
	n := 0
	for ord := range s.Meta().Series {
		must(t, c.Seek(uint32(ord), column.MinTime, column.MaxTime))
		for {
			rows, err := c.Next()
			must(t, err)
			if rows == nil {
				break
			}
			n += rows.Len()
		}
	}
	return n
}

// Blocks are kept when they are asked for again, and then not read any more;
// who says that he reads once leaves nothing behind.
func TestBlocksAreKept(t *testing.T) {
	f := hosts(20, 1000)
	var buf bytes.Buffer
	f.write(t, &buf, balanced(0))
	blob := &countingBlob{memBlob: buf.Bytes()}
	cache := newBlockCache()
	r, err := Open(blob, "test.seg", Caches{Blocks: cache})
	must(t, err)
	s, _ := r.Section("m")
	x, err := s.blockIndex()
	must(t, err)

	readAll(t, s.Once(), "usage_1")
	if len(cache.items)+len(cache.asked) != 0 {
		t.Errorf("reading once left %d blocks, %d questions", len(cache.items), len(cache.asked))
	}
	readAll(t, s, "usage_1")
	if len(cache.items) != 0 {
		t.Errorf("%d pieces were kept when they were asked for the first time", len(cache.items))
	}
	readAll(t, s, "usage_1")
	if want := 2 * x.blocks(); len(cache.items) != want {
		t.Errorf("%d pieces were kept, want %d: heads and columns", len(cache.items), want)
	}
	if least := s.Meta().Rows * 8; cache.bytes < least || cache.bytes > 2*least {
		t.Errorf("%d bytes are counted for %d rows", cache.bytes, s.Meta().Rows)
	}
	blob.reads = 0
	if n := readAll(t, s, "usage_1"); n != 20*1000 || blob.reads != 0 {
		t.Errorf("%d rows in %d reads from the cache", n, blob.reads)
	}
	// A field that is not there yet is read, without the heads.
	blob.reads, blob.bytes = 0, 0
	readAll(t, s, "usage_1", "usage_2")
	fx, err := s.fieldIndex(2, x)
	must(t, err)
	want := 0
	for _, e := range fx.chunks {
		want += int(e.len)
	}
	if blob.reads != x.blocks()+1 || blob.bytes < want {
		t.Errorf("another field: %d reads of %d bytes, want %d of its chunks and one of its index", blob.reads, blob.bytes, x.blocks())
	}
}
