package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/varvedb/varve/encoding"
)

// Reader is an open file. It keeps the footer; everything else comes through
// the cache.
type Reader struct {
	blob     Blob
	name     string
	size     int64
	cache    Cache
	dir      *directory
	footer   extent
	decoders sync.Pool // of *encoding.Decoder, for the indexes
	memories sync.Pool // of *cursorMemory
	views    map[string]*Section
}

// Open reads the footer of a file. The name stands in errors and in cache
// keys. The blob stays the caller's: it must outlive the reader.
func Open(b Blob, name string, caches Caches) (*Reader, error) {
	r := &Reader{blob: b, name: name, size: b.Size(), cache: caches.Indexes}
	if r.cache == nil {
		r.cache = &indexCache{}
	}
	r.decoders.New = func() any { return new(encoding.Decoder) }
	r.memories.New = func() any { return new(cursorMemory) }
	if err := r.readFooter(); err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	r.views = make(map[string]*Section, len(r.dir.sections))
	for _, e := range r.dir.sections {
		r.views[e.measurement] = newSection(r, e, caches.Blocks)
	}
	return r, nil
}

func (r *Reader) readFooter() error {
	if r.size < int64(len(magic))+tailSize {
		return r.corrupt(0, "file of %d bytes is no segment", r.size)
	}
	end := make([]byte, min(r.size, footerGuess))
	if err := r.readExtent(end, r.size-int64(len(end))); err != nil {
		return err
	}
	tail := end[len(end)-tailSize:]
	at := r.size - tailSize
	if string(tail[24:]) != magic {
		return r.corrupt(at, "no segment ends here")
	}
	if crc32.Checksum(tail[:20], castagnoli) != binary.LittleEndian.Uint32(tail[20:]) {
		return r.corrupt(at, "checksum of the tail differs")
	}
	if v := binary.LittleEndian.Uint32(tail[12:]); v != formatVersion {
		return fmt.Errorf("%s has format version %d; this program reads version %d", r.name, v, formatVersion)
	}
	if size := binary.LittleEndian.Uint64(tail); size != uint64(r.size) {
		return r.corrupt(at, "file has %d of %d bytes", r.size, size)
	}
	n := int64(binary.LittleEndian.Uint32(tail[8:]))
	if n > at-int64(len(magic)) || n < crcSize {
		return r.corrupt(at, "footer of %d bytes lies outside the file", n)
	}
	r.footer = extent{at - n, uint32(n)}
	var payload []byte
	var err error
	if have := int64(len(end)) - tailSize; n <= have {
		if payload, err = checkPiece(end[have-n : have]); err != nil {
			return r.corrupt(r.footer.off, "footer: %v", err)
		}
	} else if payload, err = r.readPiece(r.footer); err != nil {
		return err
	}
	if r.dir, err = decodeDirectory(payload, r.size); err != nil {
		return r.corrupt(r.footer.off, "footer: %v", err)
	}
	return nil
}

// Name returns the name that Open was given.
func (r *Reader) Name() string { return r.name }

// Info describes the file; Checksum is not known to a reader.
func (r *Reader) Info() Info { return r.dir.info(r.size) }

// Measurements returns the names of the sections in ascending order.
func (r *Reader) Measurements() []string {
	names := make([]string, len(r.dir.sections))
	for i, s := range r.dir.sections {
		names[i] = s.measurement
	}
	return names
}

// Section returns the rows of a measurement.
func (r *Reader) Section(measurement string) (*Section, bool) {
	s, ok := r.views[measurement]
	return s, ok
}

// cached returns what decode makes of the payload of a piece, which it may
// keep, from the cache or from the file. decode also tells how much memory
// the result takes.
func cached[T any](r *Reader, e extent, decode func(payload []byte) (T, int64, error)) (T, error) {
	key := CacheKey{r.name, e.off}
	if v, ok := r.cache.Get(key); ok {
		if v, ok := v.(T); ok {
			return v, nil
		}
	}
	var none T
	payload, err := r.readPiece(e)
	if err != nil {
		return none, err
	}
	v, size, err := decode(payload)
	if err != nil {
		return none, r.corrupt(e.off, "%v", err)
	}
	r.cache.Put(key, v, size)
	return v, nil
}

// cachedColumns is cached for what is written with package encoding.
func cachedColumns[T any](r *Reader, e extent, decode func(payload []byte, dec *encoding.Decoder) (T, int64, error)) (T, error) {
	return cached(r, e, func(payload []byte) (T, int64, error) {
		dec := r.decoders.Get().(*encoding.Decoder)
		defer r.decoders.Put(dec)
		return decode(payload, dec)
	})
}

// indexCache is the cache of a reader that was given none.
type indexCache struct {
	mu    sync.Mutex // guards the rest
	items map[CacheKey]indexItem
	bytes int64
}

type indexItem struct {
	value any
	bytes int64
}

// indexCacheBytes is enough for the indexes of a section of some thousand
// blocks and some pages beside them.
const indexCacheBytes = 8 << 20

func (c *indexCache) Get(key CacheKey) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it, ok := c.items[key]
	return it.value, ok
}

func (c *indexCache) Put(key CacheKey, value any, bytes int64) {
	if bytes > indexCacheBytes/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[key]; ok {
		return
	}
	if c.items == nil {
		c.items = make(map[CacheKey]indexItem)
	}
	for k, it := range c.items { // any other: a map's order is random
		if c.bytes+bytes <= indexCacheBytes {
			break
		}
		delete(c.items, k)
		c.bytes -= it.bytes
	}
	c.items[key] = indexItem{value, bytes}
	c.bytes += bytes
}
