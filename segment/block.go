package segment

import (
	"fmt"
	"sort"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
)

// How a cursor reads blocks. The head of a block and its columns are pieces of
// their own in the cache of blocks, decoded: most questions want few rows of
// each of many blocks, and decoding is what they cost. A piece is put into the
// cache when it is asked for a second time. Until then it is decoded into
// memory of the cursor, so that who goes through everything once neither
// allocates for blocks nor pushes out what others use.

// BlockCache is a Cache that remembers for what it was asked.
type BlockCache interface {
	Cache
	// Again reports whether it was called with this key lately.
	Again(key CacheKey) bool
}

// blockHead says where the rows of each series of a block lie and when they
// are. It is immutable once it is in a cache.
type blockHead struct {
	starts []uint32 // first row of each run, and the number of rows
	runs   []encoding.TimeRun
	times  []int64 // of all rows; nil if all runs are regular
}

func (h *blockHead) bytes() int64 {
	return int64(cap(h.starts))*4 + int64(cap(h.runs))*int64(unsafe.Sizeof(encoding.TimeRun{})) + int64(cap(h.times))*8
}

// cursorMemory is what cursors of one reader pass on to each other: most are
// opened for a few rows, and making it afresh would cost more than reading
// those.
type cursorMemory struct {
	dec    encoding.Decoder
	buf    []byte
	reads  []blockRead
	head   blockHead
	counts []int32
	times  []int64 // for head
	clock  []int64 // of the rows that the cursor returned, if their run is regular
	none   nullRows
	cols   []columnMemory
}

type columnMemory struct {
	vec, spare column.Vector
}

// memory returns memory for a cursor of some columns.
func (r *Reader) memory(cols int) *cursorMemory {
	m := r.memories.Get().(*cursorMemory)
	for len(m.cols) < cols {
		m.cols = append(m.cols, columnMemory{})
	}
	return m
}

// blockRead is a piece that is still to be read.
type blockRead struct {
	extent
	col int // place in the cursor's columns, -1 for the head
}

// load makes the current block the loaded one: of its head and columns it
// takes what the cache has and reads the others.
func (c *Cursor) load() error {
	b := c.block
	if c.loaded == b {
		return nil
	}
	c.loaded, c.head = -1, nil
	head := extent{c.x.off[b], c.x.headLen[b]}
	reads := c.mem.reads[:0]
	if v, ok := c.kept(head.off).(*blockHead); ok {
		c.head = v
	} else {
		reads = append(reads, blockRead{head, -1})
	}
	for _, i := range c.order {
		k := &c.cols[i]
		e := k.x.chunks[b]
		k.raw, k.vec = nil, nil
		if e.len == 0 {
			continue
		}
		if v, ok := c.kept(e.off).(*column.Vector); ok {
			k.vec = v
		} else {
			reads = append(reads, blockRead{e, i})
		}
	}
	c.mem.reads = reads
	if err := c.read(reads); err != nil {
		return err
	}
	if c.head == nil {
		if err := c.decodeRuns(head.off); err != nil {
			return err
		}
	}
	if n := int(c.x.rows[b]); cap(c.mem.clock) < n {
		c.mem.clock = make([]int64, n)
	}
	c.loaded = b
	c.stats.BlocksRead++
	c.stats.RowsRead += int64(c.x.rows[b])
	return nil
}

// kept returns what the cache of blocks has of a piece.
func (c *Cursor) kept(off int64) any {
	if c.s.blocks == nil {
		return nil
	}
	v, _ := c.s.blocks.Get(CacheKey{c.s.r.name, off})
	return v
}

// keep reports whether a piece that is decoded now is to be put into the cache.
func (c *Cursor) keep(off int64) bool {
	return c.s.blocks != nil && c.s.blocks.Again(CacheKey{c.s.r.name, off})
}

// read reads pieces of the current block, in the order of their places, those
// that lie close together at once.
func (c *Cursor) read(reads []blockRead) error {
	room := 0
	for _, r := range reads {
		room += int(r.len) + gapBytes
	}
	if int64(room) > c.s.r.size+int64(gapBytes*len(reads)) {
		return c.s.r.corrupt(c.x.off[c.block], "block is larger than the file")
	}
	if cap(c.mem.buf) < room {
		c.mem.buf = make([]byte, room+room/4)
	}
	free := c.mem.buf
	for len(reads) > 0 {
		start, end, n := reads[0].off, reads[0].end(), 1
		for ; n < len(reads); n++ {
			next := &reads[n]
			if next.extent == reads[n-1].extent && reads[n-1].col >= 0 {
				continue // the same field again
			}
			if next.off < end {
				return c.s.r.corrupt(next.off, "chunks of a block overlap")
			}
			if next.off > end+gapBytes {
				break
			}
			end = next.end()
		}
		size := int(end - start)
		part := free[:size:size]
		free = free[size:]
		if err := c.s.r.readExtent(part, start); err != nil {
			return err
		}
		c.stats.BytesRead += int64(size)
		for _, r := range reads[:n] {
			raw := part[r.off-start:][:r.len:r.len]
			if r.col < 0 {
				c.rawHead = raw
			} else {
				c.cols[r.col].raw = raw
			}
		}
		reads = reads[n:]
	}
	return nil
}

// decodeRuns checks the head of the current block that was read, at off, and
// finds its runs.
func (c *Cursor) decodeRuns(off int64) error {
	b := c.block
	payload, err := checkPiece(c.rawHead)
	if err != nil {
		return c.s.r.corrupt(off, "%v", err)
	}
	h, keep := &c.mem.head, c.keep(off)
	if keep {
		h = &blockHead{}
	}
	if err := c.decodeHead(h, payload, int(c.x.last[b]-c.x.first[b])+1, int(c.x.rows[b]), keep); err != nil {
		return c.s.r.corrupt(off, "%v", err)
	}
	if keep {
		c.s.blocks.Put(CacheKey{c.s.r.name, off}, h, h.bytes())
	}
	c.head = h
	return nil
}

func (c *Cursor) decodeHead(h *blockHead, payload []byte, runs, rows int, keep bool) error {
	h.starts, h.runs, h.times = append(h.starts[:0], 0), h.runs[:0], nil
	counts := c.mem.counts[:0]
	if runs == 1 {
		h.starts, counts = append(h.starts, uint32(rows)), append(counts, int32(rows))
	} else {
		p := parser{b: payload, dec: &c.mem.dec}
		total := int64(0)
		for _, n := range p.ints(runs) {
			if n < 1 || n > int64(rows) {
				return fmt.Errorf("run of %d rows", n)
			}
			total += n
			h.starts, counts = append(h.starts, uint32(total)), append(counts, int32(n))
		}
		if p.err != nil {
			return p.err
		}
		if total != int64(rows) {
			return fmt.Errorf("runs of %d rows in a block of %d", total, rows)
		}
		payload = p.b
	}
	c.mem.counts = counts
	var err error
	if h.runs, err = c.mem.dec.TimeRuns(h.runs, counts, payload); err != nil {
		return err
	}
	for i := range h.runs {
		r := &h.runs[i]
		if !r.Regular {
			if keep {
				h.times, err = c.mem.dec.Times(nil, counts, payload)
				return err
			}
			c.mem.times, err = c.mem.dec.Times(c.mem.times[:0], counts, payload)
			h.times = c.mem.times
			return err
		}
		if r.Count > 1 && r.Step <= 0 {
			return fmt.Errorf("times of run %d do not ascend", i)
		}
	}
	return nil
}

// search returns the first row of run i, counted from its first, that is not
// before a time.
func (c *Cursor) search(i int, at int64) int {
	if c.head.times == nil {
		return c.head.runs[i].Search(at)
	}
	times := c.head.times[c.head.starts[i]:c.head.starts[i+1]]
	if times[0] >= at {
		return 0
	}
	if times[len(times)-1] < at {
		return len(times)
	}
	return sort.Search(len(times), func(i int) bool { return times[i] >= at })
}

// at returns the time of a row of run i.
func (c *Cursor) at(i, row int) int64 {
	if c.head.times != nil {
		return c.head.times[row]
	}
	return c.head.runs[i].At(row - int(c.head.starts[i]))
}

// decode returns a column of the loaded block, which has it.
func (c *Cursor) decode(i int) (*column.Vector, error) {
	k, m := &c.cols[i], &c.mem.cols[i]
	if k.vec != nil {
		return k.vec, nil
	}
	off := k.x.chunks[c.loaded].off
	vec, keep := &m.vec, false
	payload, err := checkPiece(k.raw)
	if err == nil {
		if keep = c.keep(off); keep {
			vec = &column.Vector{}
		}
		err = decodeChunk(vec, &m.spare, &c.mem.dec, k.typ, int(c.x.rows[c.loaded]), payload)
	}
	if err != nil {
		return nil, c.s.r.corrupt(off, "field %q: %v", c.s.meta.Fields[k.field].Name, err)
	}
	if keep {
		c.s.blocks.Put(CacheKey{c.s.r.name, off}, vec, vectorBytes(vec))
	}
	k.vec = vec
	return vec, nil
}

// vectorBytes is the memory of a vector.
func vectorBytes(v *column.Vector) int64 {
	return int64(unsafe.Sizeof(*v)) + int64(cap(v.Words)+cap(v.Valid.Words))*8 + int64(cap(v.Ends))*4 + int64(cap(v.Data))
}
