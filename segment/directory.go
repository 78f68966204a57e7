package segment

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
)

// directory is the content of the footer.
type directory struct {
	bucket           uint64
	partMin, partMax int64
	minSeq, maxSeq   uint64
	sections         []*sectionEntry // ascending by measurement
}

// sectionEntry says what a section holds and where its indexes lie.
type sectionEntry struct {
	measurement string
	meta        run.Meta
	values      []int64  // of each field, nulls not counted
	end         int64    // behind the last block piece; the first starts at start
	start       int64    // of the first block
	index       extent   // block index
	fields      []extent // field index of each field
	dict        extent   // dictionary index
	tags        extent   // tag index
	filter      extent
}

func (d *directory) encode() []byte {
	b := binary.AppendUvarint(nil, d.bucket)
	b = binary.AppendVarint(b, d.partMin)
	b = binary.AppendVarint(b, d.partMax)
	b = binary.AppendUvarint(b, d.minSeq)
	b = binary.AppendUvarint(b, d.maxSeq)
	b = binary.AppendUvarint(b, uint64(len(d.sections)))
	for _, s := range d.sections {
		b = appendString(b, s.measurement)
		b = binary.AppendUvarint(b, uint64(s.meta.Rows))
		b = binary.AppendUvarint(b, uint64(s.meta.Series))
		b = binary.LittleEndian.AppendUint64(b, s.meta.Keys[0])
		b = binary.LittleEndian.AppendUint64(b, s.meta.Keys[1])
		b = binary.AppendVarint(b, s.meta.MinTime)
		b = binary.AppendUvarint(b, uint64(s.meta.MaxTime-s.meta.MinTime))
		b = binary.AppendUvarint(b, uint64(s.start))
		b = binary.AppendUvarint(b, uint64(s.end-s.start))
		for _, e := range []extent{s.index, s.dict, s.tags, s.filter} {
			b = binary.AppendUvarint(b, uint64(e.off-s.end))
			b = binary.AppendUvarint(b, uint64(e.len))
		}
		b = binary.AppendUvarint(b, uint64(len(s.meta.Fields)))
		if len(s.fields) > 0 {
			b = binary.AppendUvarint(b, uint64(s.fields[0].off-s.end))
		}
		for i, f := range s.meta.Fields {
			b = appendString(b, f.Name)
			b = append(b, byte(f.Type))
			b = binary.AppendUvarint(b, uint64(s.values[i]))
			b = binary.AppendUvarint(b, uint64(s.fields[i].len))
		}
	}
	return pack(nil, b)
}

func decodeDirectory(payload []byte, size int64) (*directory, error) {
	raw, err := unpack(payload)
	if err != nil {
		return nil, err
	}
	// One string holds all names; they are cut out of it.
	text := string(raw)
	p := parser{b: raw}
	str := func() string {
		b := p.bytes()
		end := len(raw) - len(p.b)
		return text[end-len(b) : end]
	}
	ref := func(end int64) extent {
		off := p.uvarint()
		return extent{end + int64(off), uint32(p.count(maxUnpacked, "length of a piece"))}
	}
	d := &directory{bucket: p.uvarint(), partMin: p.varint(), partMax: p.varint(), minSeq: p.uvarint(), maxSeq: p.uvarint()}
	for range p.count(len(raw), "number of sections") {
		s := &sectionEntry{measurement: str()}
		s.meta.Rows = int64(p.uvarint())
		s.meta.Series = p.count(1<<31-1, "number of series")
		s.meta.Keys = [2]uint64{p.uint64(), p.uint64()}
		s.meta.MinTime = p.varint()
		s.meta.MaxTime = s.meta.MinTime + int64(p.uvarint())
		s.meta.MinSeq, s.meta.MaxSeq = d.minSeq, d.maxSeq
		s.start = int64(p.uvarint())
		s.end = s.start + int64(p.uvarint())
		if p.err == nil && (s.start < int64(len(magic)) || s.end < s.start || s.end > size || s.meta.MaxTime < s.meta.MinTime ||
			s.meta.Rows < int64(s.meta.Series) || s.meta.Series == 0) {
			p.fail("section %q has impossible bounds", s.measurement)
		}
		if n := len(d.sections); p.err == nil && n > 0 && d.sections[n-1].measurement >= s.measurement {
			p.fail("section %q is out of order", s.measurement)
		}
		s.index, s.dict, s.tags, s.filter = ref(s.end), ref(s.end), ref(s.end), ref(s.end)
		n := p.count(len(raw), "number of fields")
		if p.err != nil {
			return nil, p.err
		}
		s.meta.Fields = make([]column.FieldInfo, n)
		s.values, s.fields = make([]int64, n), make([]extent, n)
		off := s.end
		if n > 0 {
			off += int64(p.uvarint())
		}
		for i := range s.meta.Fields {
			f := &s.meta.Fields[i]
			*f = column.FieldInfo{Name: str(), Type: column.Type(p.byte())}
			s.values[i] = int64(p.uvarint())
			s.fields[i] = extent{off, uint32(p.count(maxUnpacked, "length of a piece"))}
			off += int64(s.fields[i].len)
			if p.err == nil && (!f.Type.Known() || i > 0 && s.meta.Fields[i-1].Name >= f.Name) {
				p.fail("field %q of section %q is of unknown type or out of order", f.Name, s.measurement)
			}
		}
		if p.err != nil {
			return nil, p.err
		}
		d.sections = append(d.sections, s)
	}
	return d, p.done()
}

func (d *directory) info(size int64) Info {
	in := Info{
		Bucket: d.bucket, PartMin: d.partMin, PartMax: d.partMax, MinSeq: d.minSeq, MaxSeq: d.maxSeq,
		Size: size, Sections: len(d.sections),
	}
	for i, s := range d.sections {
		if i == 0 {
			in.MinTime, in.MaxTime = s.meta.MinTime, s.meta.MaxTime
		}
		in.MinTime, in.MaxTime = min(in.MinTime, s.meta.MinTime), max(in.MaxTime, s.meta.MaxTime)
		in.Series += int64(s.meta.Series)
		in.Rows += s.meta.Rows
		for _, v := range s.values {
			in.Values += v
		}
	}
	return in
}

// appendTail appends the fixed-size end of a file of which size bytes stand
// before it, the last of them the footer piece.
func appendTail(dst []byte, size int64, footer uint32) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(size+tailSize))
	dst = binary.LittleEndian.AppendUint32(dst, footer)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, magic...)
}
