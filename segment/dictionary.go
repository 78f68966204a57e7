package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
)

// The dictionary holds the series keys of a section in ascending order. Keys
// are front-coded in groups, so that one key costs the reading of a group,
// and groups are packed into pages, so that one key costs the unpacking of a
// page. The dictionary index holds the first key and the length of each page.
const (
	dictGroup = 16
	// dictPage is the number of keys of a page: some 10 KiB packed and 50 KiB
	// unpacked for keys of 100 bytes, where S2 has found most repeats.
	dictPage = 512
)

// dictWriter collects the keys of one section. Packed pages are kept in
// memory until the section ends; they are a small part of the keys.
type dictWriter struct {
	n        int
	raw      []byte   // entries of the open page
	groups   []uint32 // where groups of the open page start in raw
	last     []byte
	pages    [][]byte // packed, without checksum
	firsts   []byte   // first key of each page, with lengths
	packing  []byte
	pageKeys int
}

func (d *dictWriter) reset() {
	*d = dictWriter{raw: d.raw[:0], groups: d.groups[:0], last: d.last[:0], packing: d.packing}
}

func (d *dictWriter) add(key []byte) {
	shared := 0
	switch {
	case d.pageKeys == 0:
		d.firsts = appendBytes(d.firsts, key)
		fallthrough
	case d.pageKeys%dictGroup == 0:
		d.groups = append(d.groups, uint32(len(d.raw)))
	default:
		shared = commonPrefix(d.last, key)
	}
	d.raw = binary.AppendUvarint(d.raw, uint64(shared))
	d.raw = appendBytes(d.raw, key[shared:])
	d.last = append(d.last[:0], key...)
	d.n++
	if d.pageKeys++; d.pageKeys == dictPage {
		d.closePage()
	}
}

func (d *dictWriter) closePage() {
	if d.pageKeys == 0 {
		return
	}
	head := binary.AppendUvarint(nil, uint64(d.pageKeys))
	for i, start := range d.groups[1:] {
		head = binary.AppendUvarint(head, uint64(start-d.groups[i]))
	}
	d.packing = pack(d.packing[:0], append(head, d.raw...))
	d.pages = append(d.pages, bytes.Clone(d.packing))
	d.raw, d.groups, d.pageKeys = d.raw[:0], d.groups[:0], 0
}

// index returns the payload of the dictionary index; the pages start at off.
func (d *dictWriter) index(off int64) []byte {
	b := binary.AppendUvarint(nil, uint64(off))
	b = binary.AppendUvarint(b, uint64(len(d.pages)))
	for _, p := range d.pages {
		b = binary.AppendUvarint(b, uint64(len(p)+crcSize))
	}
	return pack(nil, append(b, d.firsts...))
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// dictIndex is the decoded dictionary index.
type dictIndex struct {
	pages  []extent
	firsts [][]byte
}

func decodeDictIndex(payload []byte, series int) (*dictIndex, int64, error) {
	raw, err := unpack(payload)
	if err != nil {
		return nil, 0, err
	}
	p := parser{b: raw}
	off := p.uvarint()
	n := p.count((series+dictPage-1)/dictPage, "number of dictionary pages")
	if p.err == nil && n != (series+dictPage-1)/dictPage {
		p.fail("%d dictionary pages for %d series", n, series)
	}
	x := &dictIndex{pages: make([]extent, 0, n), firsts: make([][]byte, 0, n)}
	for range n {
		l := p.count(maxUnpacked, "length of a dictionary page")
		x.pages = append(x.pages, extent{int64(off), uint32(l)})
		off += uint64(l)
	}
	for range n {
		x.firsts = append(x.firsts, p.bytes())
	}
	return x, int64(len(raw) + n*48), p.done()
}

// dictKeys is one unpacked page.
type dictKeys struct {
	n      int
	groups []uint32 // where each group starts in raw
	raw    []byte
}

func decodeDictPage(payload []byte, keys int) (*dictKeys, int64, error) {
	raw, err := unpack(payload)
	if err != nil {
		return nil, 0, err
	}
	p := parser{b: raw}
	d := &dictKeys{n: p.count(dictPage, "number of keys in a page"), groups: []uint32{0}}
	if p.err == nil && d.n != keys {
		p.fail("dictionary page holds %d keys instead of %d", d.n, keys)
	}
	for i := dictGroup; i < d.n && p.err == nil; i += dictGroup {
		d.groups = append(d.groups, d.groups[len(d.groups)-1]+uint32(p.count(len(raw), "length of a dictionary group")))
	}
	if p.err != nil {
		return nil, 0, p.err
	}
	d.raw = p.b
	if int(d.groups[len(d.groups)-1]) > len(d.raw) {
		return nil, 0, errShort
	}
	return d, int64(len(raw) + 4*len(d.groups)), nil
}

var errDictEntry = errors.New("dictionary entry is malformed")

// next makes key, which holds the entry before, the entry at pos and returns
// the position behind it.
func (d *dictKeys) next(key []byte, pos int) ([]byte, int, error) {
	var head [2]uint64
	for i := range head {
		if pos < len(d.raw) && d.raw[pos] < 0x80 {
			head[i] = uint64(d.raw[pos])
			pos++
			continue
		}
		v, n := binary.Uvarint(d.raw[min(pos, len(d.raw)):])
		if n <= 0 {
			return nil, 0, errDictEntry
		}
		head[i] = v
		pos += n
	}
	if head[0] > uint64(len(key)) || head[1] > uint64(len(d.raw)-pos) {
		return nil, 0, errDictEntry
	}
	end := pos + int(head[1])
	return append(key[:head[0]], d.raw[pos:end]...), end, nil
}

// keyCursor implements run.KeyCursor.
type keyCursor struct {
	s    *Section
	ix   *dictIndex
	page *dictKeys
	no   int    // which page, -1 for none
	at   uint32 // ordinal of key, if pos is not 0
	pos  int    // behind key; 0: no key yet
	key  []byte
}

// Key returns the canonical key of a series, valid until the next call.
func (k *keyCursor) Key(ord uint32) ([]byte, error) {
	if k.page != nil && k.pos > 0 && ord == k.at+1 && int(ord)%dictPage != 0 {
		return k.step(ord)
	}
	return k.seek(ord)
}

func (k *keyCursor) step(ord uint32) ([]byte, error) {
	if ord%dictGroup == 0 {
		k.key = k.key[:0]
	}
	key, pos, err := k.page.next(k.key, k.pos)
	if err != nil {
		k.pos = 0
		return nil, k.s.r.corrupt(k.ix.pages[k.no].off, "%v", err)
	}
	k.key, k.pos, k.at = key, pos, ord
	return key, nil
}

func (k *keyCursor) seek(ord uint32) ([]byte, error) {
	if err := k.load(ord); err != nil {
		return nil, err
	}
	in := int(ord) % dictPage
	if k.pos == 0 || k.at > ord || k.at/dictGroup != ord/dictGroup {
		k.key, k.pos = k.key[:0], int(k.page.groups[in/dictGroup])
		k.at = ord - uint32(in%dictGroup) - 1 // wraps before ordinal 0
	}
	for k.at != ord {
		if _, err := k.step(k.at + 1); err != nil {
			return nil, err
		}
	}
	return k.key, nil
}

// load makes the page of a series the current one.
func (k *keyCursor) load(ord uint32) error {
	if int64(ord) >= int64(k.s.meta.Series) {
		return errNoSeries(k.s, ord)
	}
	no := int(ord) / dictPage
	if k.page != nil && k.no == no {
		return nil
	}
	k.page, k.pos = nil, 0
	if k.ix == nil {
		ix, err := k.s.dictIndex()
		if err != nil {
			return err
		}
		k.ix = ix
	}
	page, err := k.s.dictPage(k.ix, no)
	if err != nil {
		return err
	}
	k.page, k.no = page, no
	return nil
}

func (s *Section) dictIndex() (*dictIndex, error) {
	return cached(s.r, s.d.dict, func(p []byte) (*dictIndex, int64, error) {
		return decodeDictIndex(p, s.meta.Series)
	})
}

func (s *Section) dictPage(ix *dictIndex, no int) (*dictKeys, error) {
	keys := min(dictPage, s.meta.Series-no*dictPage)
	return cached(s.r, ix.pages[no], func(p []byte) (*dictKeys, int64, error) {
		return decodeDictPage(p, keys)
	})
}

// Lookup returns the ordinal of the series with this canonical key.
func (s *Section) Lookup(key []byte) (ord uint32, ok bool, err error) {
	ix, err := s.dictIndex()
	if err != nil {
		return 0, false, err
	}
	no, found := slices.BinarySearchFunc(ix.firsts, key, bytes.Compare)
	if !found {
		if no == 0 {
			return 0, false, nil
		}
		no--
	}
	page, err := s.dictPage(ix, no)
	if err != nil {
		return 0, false, err
	}
	fail := func(err error) (uint32, bool, error) {
		return 0, false, s.r.corrupt(ix.pages[no].off, "%v", err)
	}
	// The last group whose first key is not above the key.
	var buf []byte
	var bad error
	g := sort.Search(len(page.groups), func(i int) bool {
		k, _, err := page.next(buf[:0], int(page.groups[i]))
		if err != nil {
			bad = err
			return true
		}
		buf = k
		return bytes.Compare(k, key) > 0
	}) - 1
	if bad != nil {
		return fail(bad)
	}
	if g < 0 {
		return 0, false, nil
	}
	pos, k := int(page.groups[g]), []byte(nil)
	for i := g * dictGroup; i < min((g+1)*dictGroup, page.n); i++ {
		if k, pos, err = page.next(k, pos); err != nil {
			return fail(err)
		}
		switch c := bytes.Compare(k, key); {
		case c == 0:
			return uint32(no*dictPage + i), true, nil
		case c > 0:
			return 0, false, nil
		}
	}
	return 0, false, nil
}
