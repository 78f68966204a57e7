package segment

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
)

// Postings lists in order of what they cost. A tag that tells each series
// apart, such as a host name, has a value of one ordinal for each: it costs
// two bytes or so, where a serialized bitmap starts at 18.
const (
	postingsList    = 0 // ascending ordinals, each less the one before
	postingsRange   = 1 // first ordinal; count is in the head
	postingsRoaring = 2 // length, then the portable roaring format

	// maxPostingsList is up to where a list is smaller than a bitmap.
	maxPostingsList = 16

	// A page of tag values ends at either bound: one value is found by
	// walking a page.
	tagPageValues = 256
	tagPageBytes  = 16 << 10
)

// tagWriter collects tag values and postings of one section: for each tag key
// the distinct values, and for each series which value it has.
type tagWriter struct {
	keys []*tagColumn
	last []*tagColumn // of the last series in the order of its tags: the usual next order
}

type tagColumn struct {
	key    string
	values column.SeriesSet // distinct values; Hash is that of the value
	slots  []uint32         // open addressing: 1 + number of a value
	ids    []uint32         // value of each series in ords
	ords   []uint32
}

func (t *tagWriter) add(ord uint32, seriesKey []byte) {
	i := 0
	for k, v := range column.Tags(seriesKey) {
		if i >= len(t.last) || t.last[i].key != string(k) {
			t.last = append(t.last[:i], t.column(k))
		}
		c := t.last[i]
		c.ids = append(c.ids, c.id(v))
		c.ords = append(c.ords, ord)
		i++
	}
}

func (t *tagWriter) column(key []byte) *tagColumn {
	for _, c := range t.keys {
		if c.key == string(key) {
			return c
		}
	}
	c := &tagColumn{key: string(key), slots: make([]uint32, 16)}
	t.keys = append(t.keys, c)
	return c
}

// id returns the number of a value, new or not.
func (c *tagColumn) id(v []byte) uint32 {
	if n := len(c.ids); n > 0 && bytes.Equal(c.values.Key(int(c.ids[n-1])), v) {
		return c.ids[n-1]
	}
	h := xxhash.Sum64(v)
	mask := uint64(len(c.slots) - 1)
	i := h & mask
	for ; c.slots[i] != 0; i = (i + 1) & mask {
		id := c.slots[i] - 1
		if c.values.Hash[id] == h && bytes.Equal(c.values.Key(int(id)), v) {
			return id
		}
	}
	id := c.values.Add(v, h)
	c.slots[i] = id + 1
	if c.values.Len()*2 > len(c.slots) {
		c.grow()
	}
	return id
}

func (c *tagColumn) grow() {
	c.slots = make([]uint32, 2*len(c.slots))
	mask := uint64(len(c.slots) - 1)
	for id, h := range c.values.Hash {
		i := h & mask
		for c.slots[i] != 0 {
			i = (i + 1) & mask
		}
		c.slots[i] = uint32(id) + 1
	}
}

// postings calls fn with each value in ascending order and its ordinals.
func (c *tagColumn) postings(fn func(value []byte, ords []uint32)) {
	n := c.values.Len()
	starts := make([]uint32, n+1)
	for _, id := range c.ids {
		starts[id+1]++
	}
	for i := range n {
		starts[i+1] += starts[i]
	}
	ords, next := make([]uint32, len(c.ords)), slices.Clone(starts)
	for i, id := range c.ids {
		ords[next[id]] = c.ords[i]
		next[id]++
	}
	order := make([]uint32, n)
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return bytes.Compare(c.values.Key(int(a)), c.values.Key(int(b)))
	})
	for _, id := range order {
		fn(c.values.Key(int(id)), ords[starts[id]:starts[id+1]])
	}
}

// write writes the pages of all tags and returns the payload of the tag index.
func (t *tagWriter) write(w *Writer) ([]byte, error) {
	slices.SortFunc(t.keys, func(a, b *tagColumn) int { return cmp.Compare(a.key, b.key) })
	index := binary.AppendUvarint(nil, uint64(w.off))
	index = binary.AppendUvarint(index, uint64(len(t.keys)))
	var page, packed, pages, last []byte
	for _, c := range t.keys {
		pages = pages[:0]
		page = page[:0]
		values, count := 0, 0
		var err error
		flush := func() {
			if values == 0 || err != nil {
				return
			}
			packed = pack(packed[:0], page)
			var e extent
			e, err = w.piece(packed)
			pages = binary.AppendUvarint(pages, uint64(e.len))
			page, values = page[:0], 0
			count++
		}
		c.postings(func(v []byte, ords []uint32) {
			if values == tagPageValues || len(page) > tagPageBytes {
				flush()
			}
			shared := 0
			if values == 0 {
				pages = appendBytes(pages, v)
			} else {
				shared = commonPrefix(last, v)
			}
			page = binary.AppendUvarint(page, uint64(shared))
			page = appendBytes(page, v[shared:])
			if err == nil {
				page, err = appendPostings(page, ords)
			}
			last = append(last[:0], v...)
			values++
		})
		flush()
		if err != nil {
			return nil, err
		}
		index = appendString(index, c.key)
		index = binary.AppendUvarint(index, uint64(c.values.Len()))
		index = binary.AppendUvarint(index, uint64(count))
		index = append(index, pages...)
	}
	return pack(nil, index), nil
}

func appendPostings(dst []byte, ords []uint32) ([]byte, error) {
	n := len(ords)
	head := uint64(n) << 2
	if n > 1 && int(ords[n-1]-ords[0]) == n-1 {
		dst = binary.AppendUvarint(dst, head|postingsRange)
		return binary.AppendUvarint(dst, uint64(ords[0])), nil
	}
	if n <= maxPostingsList {
		dst = binary.AppendUvarint(dst, head|postingsList)
		before := uint32(0)
		for _, o := range ords {
			dst = binary.AppendUvarint(dst, uint64(o-before))
			before = o
		}
		return dst, nil
	}
	bm := roaring.New()
	bm.AddMany(ords)
	bm.RunOptimize()
	b, err := bm.ToBytes()
	if err != nil {
		return dst, err
	}
	dst = binary.AppendUvarint(dst, head|postingsRoaring)
	return appendBytes(dst, b), nil
}

// tagIndex is the decoded tag index of a section.
type tagIndex struct {
	keys []tagKey // ascending
}

type tagKey struct {
	name   string
	values int
	pages  []extent
	firsts [][]byte // first value of each page
}

func (s *Section) tagIndex() (*tagIndex, error) {
	return cached(s.r, s.d.tags, func(payload []byte) (*tagIndex, int64, error) {
		raw, err := unpack(payload)
		if err != nil {
			return nil, 0, err
		}
		p := parser{b: raw}
		x := &tagIndex{}
		off := p.uvarint()
		size := int64(len(raw))
		for range p.count(len(raw), "number of tag keys") {
			k := tagKey{name: string(p.bytes()), values: p.count(s.meta.Series, "number of tag values")}
			n := p.count(len(raw), "number of tag pages")
			for range n {
				k.firsts = append(k.firsts, p.bytes())
				l := p.count(maxUnpacked, "length of a tag page")
				k.pages = append(k.pages, extent{int64(off), uint32(l)})
				off += uint64(l)
				if p.err != nil {
					return nil, 0, p.err
				}
			}
			size += int64(64 + len(k.pages)*40)
			x.keys = append(x.keys, k)
		}
		return x, size, p.done()
	})
}

func (x *tagIndex) find(key string) *tagKey {
	i, ok := slices.BinarySearchFunc(x.keys, key, func(k tagKey, key string) int { return cmp.Compare(k.name, key) })
	if !ok {
		return nil
	}
	return &x.keys[i]
}

// tagPage walks one unpacked page of values.
type tagPage struct {
	p      parser
	value  []byte
	series int
	// postings of value, not yet decoded
	kind, count int
	first       uint32   // list: the first; range: the start
	rest        []uint32 // list: the others
	body        []byte   // roaring
}

func (s *Section) tagPage(e extent) (*tagPage, error) {
	raw, err := cached(s.r, e, func(payload []byte) ([]byte, int64, error) {
		raw, err := unpack(payload)
		return raw, int64(len(raw)), err
	})
	return &tagPage{p: parser{b: raw}, series: s.meta.Series}, err
}

// next goes to the next value; it returns false at the end and after errors.
func (t *tagPage) next() bool {
	if t.p.err != nil || len(t.p.b) == 0 {
		return false
	}
	shared := t.p.count(len(t.value), "shared prefix")
	t.value = append(t.value[:shared], t.p.bytes()...)
	head := t.p.uvarint()
	t.kind, t.rest = int(head&3), t.rest[:0]
	if head>>2 == 0 || head>>2 > uint64(t.series) {
		t.p.fail("postings of %d series", head>>2)
		return false
	}
	t.count = int(head >> 2)
	switch t.kind {
	case postingsList:
		last := t.p.uvarint()
		t.first = uint32(last)
		for i := 1; i < t.count && t.p.err == nil; i++ {
			d := t.p.uvarint()
			if last += d; d == 0 || d > uint64(t.series) {
				t.p.fail("postings are not ascending")
			}
			t.rest = append(t.rest, uint32(last))
		}
		if last >= uint64(t.series) {
			t.p.fail("postings name a series that does not exist")
		}
	case postingsRange:
		first := t.p.uvarint()
		if first+uint64(t.count) > uint64(t.series) || first > uint64(t.series) {
			t.p.fail("postings name a series that does not exist")
		}
		t.first = uint32(first)
	case postingsRoaring:
		t.body = t.p.bytes()
	default:
		t.p.fail("unknown kind of postings %d", t.kind)
	}
	return t.p.err == nil
}

// bitmap makes b, which is empty, the postings of the value. The bitmap may
// share memory with the page.
func (t *tagPage) bitmap(b *roaring.Bitmap) error {
	switch t.kind {
	case postingsList:
		b.Add(t.first)
		b.AddMany(t.rest)
	case postingsRange:
		b.AddRange(uint64(t.first), uint64(t.first)+uint64(t.count))
	case postingsRoaring:
		n, err := b.FromBuffer(t.body)
		if err != nil {
			return err
		}
		if n != int64(len(t.body)) {
			return errShort
		}
		if err := b.Validate(); err != nil {
			return err
		}
		if b.GetCardinality() != uint64(t.count) || int64(b.Maximum()) >= int64(t.series) {
			return errors.New("bitmap differs from its count")
		}
	}
	return nil
}

// sectionIndex implements predicate.Index.
type sectionIndex struct{ s *Section }

// NumSeries returns the number of series of the section.
func (x sectionIndex) NumSeries() int { return x.s.meta.Series }

// Postings returns the series whose tag key has value; nil for none.
func (x sectionIndex) Postings(key, value string) (*roaring.Bitmap, error) {
	tags, err := x.s.tagIndex()
	if err != nil {
		return nil, err
	}
	k := tags.find(key)
	if k == nil {
		return nil, nil
	}
	v := []byte(value)
	no, found := slices.BinarySearchFunc(k.firsts, v, bytes.Compare)
	if !found {
		if no == 0 {
			return nil, nil
		}
		no--
	}
	page, err := x.s.tagPage(k.pages[no])
	if err != nil {
		return nil, err
	}
	for page.next() {
		switch c := bytes.Compare(page.value, v); {
		case c == 0:
			b := roaring.New()
			if err := page.bitmap(b); err != nil {
				return nil, x.s.r.corrupt(k.pages[no].off, "postings: %v", err)
			}
			return b, nil
		case c > 0:
			return nil, nil
		}
	}
	if page.p.err != nil {
		return nil, x.s.r.corrupt(k.pages[no].off, "%v", page.p.err)
	}
	return nil, nil
}

// Values calls fn with each value of a tag key in ascending order and its
// postings, until fn returns false.
func (x sectionIndex) Values(key string, fn func(value []byte, postings *roaring.Bitmap) bool) error {
	return x.ValuesFrom(key, "", math.MaxInt, fn)
}

// ValuesFrom is Values for those that are not below from, most of them at most.
// Pages before them are not read.
func (x sectionIndex) ValuesFrom(key, from string, most int, fn func(value []byte, postings *roaring.Bitmap) bool) error {
	tags, err := x.s.tagIndex()
	if err != nil {
		return err
	}
	k := tags.find(key)
	if k == nil {
		return nil
	}
	least := []byte(from)
	no, found := slices.BinarySearchFunc(k.firsts, least, bytes.Compare)
	if !found && no > 0 {
		no--
	}
	small := roaring.New()
	for _, e := range k.pages[no:] {
		page, err := x.s.tagPage(e)
		if err != nil {
			return err
		}
		for page.next() {
			if bytes.Compare(page.value, least) < 0 {
				continue
			}
			if most--; most < 0 {
				return nil
			}
			b := small
			if page.kind == postingsRoaring {
				b = roaring.New()
			} else {
				b.Clear()
			}
			if err := page.bitmap(b); err != nil {
				return x.s.r.corrupt(e.off, "postings: %v", err)
			}
			if !fn(page.value, b) {
				return nil
			}
		}
		if page.p.err != nil {
			return x.s.r.corrupt(e.off, "%v", page.p.err)
		}
	}
	return nil
}
