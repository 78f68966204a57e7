package column

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

const (
	wireVersion = 1

	// MaxWireRows bounds the rows of one encoded table, so that a lying header
	// cannot make a reader allocate without end: columns of width 0 cost no
	// bytes.
	MaxWireRows = 1 << 20

	// maxWireCells bounds rows times fields of one encoded table for the same
	// reason. It allows one row of a million fields and 8,192 rows of 1,000.
	maxWireCells = 1 << 23
)

var errShort = errors.New("payload ends too early")

// Encoder turns batches into payloads of the wire format (FORMAT.md). It keeps
// scratch memory and belongs to one goroutine at a time.
type Encoder struct {
	remap []uint32 // series of the table → series of the record, plus 1
	used  []uint32 // series of the record → series of the table
	rows  []uint64
	text  []int // fields of type String
	free  [][]byte
}

// Encode calls emit with payloads of roughly at most limit bytes (a single row
// may be larger) that together hold b, in order. emit owns the payload, and may
// give it back with Recycle.
func (e *Encoder) Encode(b *Batch, limit int, emit func(payload []byte)) {
	var buf []byte
	tables := 0
	flush := func() {
		if tables == 0 {
			return
		}
		// The count goes in front, where one byte was kept for it.
		buf[1] = byte(tables)
		emit(buf)
		buf, tables = nil, 0
	}
	for _, t := range b.Tables {
		for lo := 0; lo < len(t.Time); {
			if buf == nil {
				buf = append(e.buffer(limit), wireVersion, 0)
			}
			hi := e.fit(t, lo, limit-len(buf))
			if hi == lo {
				if tables > 0 {
					flush()
					continue
				}
				hi = lo + 1
				e.take(t, lo, hi)
			}
			buf = e.appendTable(buf, t, lo, hi)
			tables++
			lo = hi
			// 127 is the largest count that one byte holds as a uvarint.
			if tables == 127 || len(buf) >= limit {
				flush()
			}
		}
	}
	flush()
}

// buffer returns an empty buffer for a payload of about limit bytes.
func (e *Encoder) buffer(limit int) []byte {
	if n := len(e.free); n > 0 {
		buf := e.free[n-1]
		e.free = e.free[:n-1]
		return buf[:0]
	}
	return make([]byte, 0, limit+limit/8)
}

// maxFree is how many payloads an encoder keeps: those of a large request.
const maxFree = 16

// Recycle takes a payload back that nobody reads any more.
func (e *Encoder) Recycle(payload []byte) {
	if len(e.free) < maxFree {
		e.free = append(e.free, payload)
	}
}

// fit returns how far rows from lo on go into room bytes, taking every value
// at its full width, and notes the series that they use.
func (e *Encoder) fit(t *Table, lo, room int) int {
	e.startDictionary(t)
	room -= len(t.Measurement) + 32
	width := 4 + 8
	e.text = e.text[:0]
	for i := range t.Fields {
		f := &t.Fields[i]
		room -= len(f.Name) + 16
		if f.Type == String {
			width += 4
			e.text = append(e.text, i)
		} else {
			width += 8
		}
	}
	most := MaxWireRows
	if n := len(t.Fields); n > 0 {
		most = min(most, max(1, maxWireCells/n))
	}
	hi := lo
	for ; hi < len(t.Time) && hi-lo < most; hi++ {
		cost := width
		s := t.Row[hi]
		if e.remap[s] == 0 {
			cost += len(t.Series.Key(int(s))) + 2
		}
		for _, i := range e.text {
			cost += len(t.Fields[i].Str(hi))
		}
		if room -= cost; room < 0 {
			break
		}
		e.note(s)
	}
	return hi
}

func (e *Encoder) take(t *Table, lo, hi int) {
	e.startDictionary(t)
	for _, s := range t.Row[lo:hi] {
		e.note(s)
	}
}

func (e *Encoder) startDictionary(t *Table) {
	n := t.Series.Len()
	if cap(e.remap) < n {
		e.remap = make([]uint32, n)
	}
	e.remap = e.remap[:n]
	clear(e.remap)
	e.used = e.used[:0]
}

func (e *Encoder) note(s uint32) {
	if e.remap[s] == 0 {
		e.used = append(e.used, s)
		e.remap[s] = uint32(len(e.used))
	}
}

func (e *Encoder) appendTable(dst []byte, t *Table, lo, hi int) []byte {
	dst = appendString(dst, t.Measurement)
	dst = binary.AppendUvarint(dst, uint64(len(e.used)))
	for _, s := range e.used {
		dst = binary.AppendUvarint(dst, uint64(len(t.Series.Key(int(s)))))
	}
	for _, s := range e.used {
		dst = append(dst, t.Series.Key(int(s))...)
	}
	n := hi - lo
	dst = binary.AppendUvarint(dst, uint64(n))
	e.rows = e.rows[:0]
	for _, s := range t.Row[lo:hi] {
		e.rows = append(e.rows, uint64(e.remap[s]-1))
	}
	dst = appendNarrow(dst, e.rows, false)
	e.rows = e.rows[:0]
	for _, v := range t.Time[lo:hi] {
		e.rows = append(e.rows, uint64(v))
	}
	dst = appendNarrow(dst, e.rows, true)

	present := 0
	for i := range t.Fields {
		if t.Fields[i].Valid.Slice(lo).Count(n) > 0 {
			present++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(present))
	for i := range t.Fields {
		f := &t.Fields[i]
		valid := f.Valid.Slice(lo)
		have := valid.Count(n)
		if have == 0 {
			continue
		}
		dst = appendString(dst, f.Name)
		dst = append(dst, byte(f.Type))
		if have == n {
			dst = append(dst, 0)
		} else {
			dst = append(dst, 1)
			for j := 0; j < n; j += 64 {
				dst = binary.LittleEndian.AppendUint64(dst, valid.word(j, min(64, n-j)))
			}
		}
		dst = e.appendValues(dst, &f.Vector, lo, hi)
	}
	return dst
}

func (e *Encoder) appendValues(dst []byte, v *Vector, lo, hi int) []byte {
	switch v.Type {
	case Float64:
		return appendWidth(dst, v.Words[lo:hi], 0, 8)
	case String:
		s := v.Slice(lo, hi)
		e.rows = e.rows[:0]
		for i := range s.Ends {
			e.rows = append(e.rows, uint64(len(s.Str(i))))
		}
		dst = appendNarrow(dst, e.rows, false)
		return append(dst, s.Data[s.Start:s.Ends[len(s.Ends)-1]]...)
	}
	return appendNarrow(dst, v.Words[lo:hi], v.Type == Int64)
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// Narrow returns the smallest value of words, as signed or unsigned, and how
// many bytes (0, 1, 2, 4 or 8) hold the difference of every value to it.
func Narrow(words []uint64, signed bool) (base uint64, width int) {
	if len(words) == 0 {
		return 0, 0
	}
	// Flipping the top bit makes signed order unsigned.
	var flip uint64
	if signed {
		flip = 1 << 63
	}
	lo, hi := words[0]^flip, words[0]^flip
	for _, w := range words {
		w ^= flip
		lo, hi = min(lo, w), max(hi, w)
	}
	base = lo ^ flip
	switch d := hi - lo; {
	case d == 0:
		return base, 0
	case d < 1<<8:
		return base, 1
	case d < 1<<16:
		return base, 2
	case d < 1<<32:
		return base, 4
	}
	return base, 8
}

func appendNarrow(dst []byte, words []uint64, signed bool) []byte {
	base, width := Narrow(words, signed)
	if width == 8 {
		base = 0
	}
	return appendWidth(dst, words, base, width)
}

func appendWidth(dst []byte, words []uint64, base uint64, width int) []byte {
	dst = append(dst, byte(width))
	dst = binary.LittleEndian.AppendUint64(dst, base)
	at := len(dst)
	need := at + len(words)*width
	if cap(dst) < need {
		dst = append(dst, make([]byte, need-at)...)
	} else {
		dst = dst[:need]
	}
	out := dst[at:]
	switch width {
	case 1:
		for i, w := range words {
			out[i] = byte(w - base)
		}
	case 2:
		for i, w := range words {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(w-base))
		}
	case 4:
		for i, w := range words {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(w-base))
		}
	case 8:
		for i, w := range words {
			binary.LittleEndian.PutUint64(out[8*i:], w-base)
		}
	}
	return dst
}

// DecodeBatch reads a payload of the wire format into b, which it empties
// first and whose memory it uses again. It fails on any payload that is not
// well-formed, without allocating more than a small multiple of a valid one.
func DecodeBatch(b *Batch, payload []byte) error {
	d := decoder{src: payload}
	if err := d.batch(b); err != nil {
		return fmt.Errorf("decode batch at byte %d of %d: %w", len(payload)-len(d.src), len(payload), err)
	}
	return nil
}

type decoder struct {
	src   []byte
	words []uint64
}

func (d *decoder) batch(b *Batch) error {
	if v, err := d.byte(); err != nil {
		return err
	} else if v != wireVersion {
		return fmt.Errorf("unknown version %d", v)
	}
	n, err := d.count(127)
	if err != nil {
		return err
	}
	for len(b.Tables) < n {
		b.Tables = append(b.Tables, &Table{})
	}
	b.Tables = b.Tables[:n]
	for _, t := range b.Tables {
		if err := d.table(t); err != nil {
			return err
		}
	}
	if len(d.src) != 0 {
		return fmt.Errorf("%d bytes too many", len(d.src))
	}
	return nil
}

func (d *decoder) table(t *Table) error {
	name, err := d.string()
	if err != nil {
		return err
	}
	if string(name) != t.Measurement {
		t.Measurement = string(name)
	}
	fields := t.Fields[:cap(t.Fields)]
	t.Reset(t.Measurement)
	if err := d.series(t); err != nil {
		return err
	}
	rows, err := d.count(MaxWireRows)
	if err != nil {
		return err
	}
	if d.words, err = d.narrow(d.words[:0], rows); err != nil {
		return err
	}
	for _, w := range d.words {
		if w >= uint64(t.Series.Len()) {
			return fmt.Errorf("row of series %d, of %d", w, t.Series.Len())
		}
		t.Row = append(t.Row, uint32(w))
	}
	if d.words, err = d.narrow(d.words[:0], rows); err != nil {
		return err
	}
	for _, w := range d.words {
		t.Time = append(t.Time, int64(w))
	}
	n, err := d.count(len(d.src))
	if err != nil {
		return err
	}
	if n*rows > maxWireCells && rows > 1 {
		return fmt.Errorf("%d fields of %d rows are too many", n, rows)
	}
	for i := range n {
		var f Field
		if i < len(fields) {
			f = fields[i]
		}
		if err := d.field(&f, rows); err != nil {
			return err
		}
		t.Fields = append(t.Fields, f)
	}
	return nil
}

func (d *decoder) series(t *Table) error {
	n, err := d.count(len(d.src))
	if err != nil {
		return err
	}
	total := 0
	for range n {
		l, err := d.count(len(d.src))
		if err != nil {
			return err
		}
		total += l
		t.Series.Ends = append(t.Series.Ends, uint32(total))
	}
	keys, err := d.bytes(total)
	if err != nil {
		return err
	}
	t.Series.Keys = append(t.Series.Keys, keys...)
	measurement := xxhash.Sum64String(t.Measurement)
	for i := range n {
		t.Series.Hash = append(t.Series.Hash, HashKey(measurement, t.Series.Key(i)))
	}
	return nil
}

func (d *decoder) field(f *Field, rows int) error {
	name, err := d.string()
	if err != nil {
		return err
	}
	if string(name) != f.Name {
		f.Name = string(name)
	}
	kind, err := d.byte()
	if err != nil {
		return err
	}
	f.Reset(Type(kind))
	if !f.Type.Known() {
		return fmt.Errorf("field %q has unknown type %d", f.Name, kind)
	}
	nulls, err := d.byte()
	if err != nil {
		return err
	}
	if nulls == 1 {
		raw, err := d.bytes((rows + 63) / 64 * 8)
		if err != nil {
			return err
		}
		f.Valid.Words = make([]uint64, 0, len(raw)/8)
		for ; len(raw) > 0; raw = raw[8:] {
			f.Valid.Words = append(f.Valid.Words, binary.LittleEndian.Uint64(raw))
		}
	} else if nulls != 0 {
		return fmt.Errorf("field %q: null mark %d", f.Name, nulls)
	}
	if f.Type != String {
		f.Words, err = d.narrow(f.Words, rows)
		return err
	}
	if d.words, err = d.narrow(d.words[:0], rows); err != nil {
		return err
	}
	var end uint64
	for _, l := range d.words {
		if end += l; l > uint64(len(d.src)) || end > uint64(len(d.src)) {
			return errShort
		}
		f.Ends = append(f.Ends, uint32(end))
	}
	data, err := d.bytes(int(end))
	f.Data = append(f.Data, data...)
	return err
}

func (d *decoder) byte() (byte, error) {
	b, err := d.bytes(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (d *decoder) bytes(n int) ([]byte, error) {
	if n < 0 || n > len(d.src) {
		return nil, errShort
	}
	b := d.src[:n]
	d.src = d.src[n:]
	return b, nil
}

func (d *decoder) count(most int) (int, error) {
	v, n := binary.Uvarint(d.src)
	if n <= 0 {
		return 0, errShort
	}
	d.src = d.src[n:]
	if v > uint64(most) {
		return 0, fmt.Errorf("count %d where at most %d are possible", v, most)
	}
	return int(v), nil
}

func (d *decoder) string() ([]byte, error) {
	n, err := d.count(len(d.src))
	if err != nil {
		return nil, err
	}
	return d.bytes(n)
}

func (d *decoder) narrow(dst []uint64, n int) ([]uint64, error) {
	head, err := d.bytes(9)
	if err != nil {
		return dst, err
	}
	width, base := int(head[0]), binary.LittleEndian.Uint64(head[1:])
	switch width {
	case 0, 1, 2, 4, 8:
	default:
		return dst, fmt.Errorf("column width %d", width)
	}
	src, err := d.bytes(n * width)
	if err != nil {
		return dst, err
	}
	if cap(dst) < n {
		dst = make([]uint64, n)
	}
	dst = dst[:n]
	switch width {
	case 0:
		for i := range dst {
			dst[i] = base
		}
	case 1:
		for i := range dst {
			dst[i] = base + uint64(src[i])
		}
	case 2:
		for i := range dst {
			dst[i] = base + uint64(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case 4:
		for i := range dst {
			dst[i] = base + uint64(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case 8:
		for i := range dst {
			dst[i] = base + binary.LittleEndian.Uint64(src[8*i:])
		}
	}
	return dst, nil
}
