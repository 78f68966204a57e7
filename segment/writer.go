package segment

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
)

// DefaultBlockRows is the number of rows of a block unless told otherwise:
// decoding one column of one block then takes some 30 µs, and what a block
// costs beside its values (checksums, index, the encoders' tables) is well
// under a hundredth of them.
const DefaultBlockRows = 8192

// WriterOptions are the properties of a new file.
type WriterOptions struct {
	Level            encoding.Level
	BlockRows        int // 0: DefaultBlockRows
	Bucket           uint64
	PartMin, PartMax int64 // bounds of the partition, nanoseconds
	MinSeq, MaxSeq   uint64
}

// Writer writes one file from front to back. It holds one block, the
// statistics of groupBlocks blocks, and the indexes and the dictionary of one
// section in memory. After an error every further call returns it.
type Writer struct {
	opt  WriterOptions
	out  *bufio.Writer
	hash *xxhash.Digest
	enc  *encoding.Encoder
	off  int64
	dir  directory
	sec  *sectionWriter // the open one, or the last one to reuse its memory
	open bool
	err  error
}

// NewWriter returns a writer of a file to w. What it writes is durable when w
// was synced after Finish.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	if o.BlockRows <= 0 {
		o.BlockRows = DefaultBlockRows
	}
	o.BlockRows = min(o.BlockRows, maxBlockRows)
	h := xxhash.New()
	out := &Writer{
		opt:  o,
		out:  bufio.NewWriterSize(io.MultiWriter(w, h), 256<<10),
		hash: h,
		enc:  encoding.NewEncoder(o.Level),
		dir: directory{
			bucket: o.Bucket, partMin: o.PartMin, partMax: o.PartMax,
			minSeq: o.MinSeq, maxSeq: o.MaxSeq,
		},
	}
	out.err = out.write([]byte(magic))
	return out
}

func (w *Writer) write(b []byte) error {
	n, err := w.out.Write(b)
	w.off += int64(n)
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

// piece writes a payload with its checksum.
func (w *Writer) piece(payload []byte) (extent, error) {
	if len(payload) > maxUnpacked-crcSize {
		return extent{}, fmt.Errorf("write segment: piece of %d bytes is too large", len(payload))
	}
	e := extent{w.off, uint32(len(payload) + crcSize)}
	if err := w.write(payload); err != nil {
		return e, err
	}
	var sum [crcSize]byte
	binary.LittleEndian.PutUint32(sum[:], crc32.Checksum(payload, castagnoli))
	return e, w.write(sum[:])
}

// fail keeps the first error.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// BeginSection starts the rows of a measurement. Measurements come in
// ascending order, and so do the names of their fields.
func (w *Writer) BeginSection(measurement string, fields []column.FieldInfo) error {
	if w.err != nil {
		return w.err
	}
	if w.open {
		return w.fail(fmt.Errorf("write segment: section %q begins within another", measurement))
	}
	if n := len(w.dir.sections); n > 0 && w.dir.sections[n-1].measurement >= measurement {
		return w.fail(fmt.Errorf("write segment: section %q comes after %q", measurement, w.dir.sections[n-1].measurement))
	}
	for i, f := range fields {
		if !f.Type.Known() {
			return w.fail(fmt.Errorf("write segment: field %q of %q has the unknown %v", f.Name, measurement, f.Type))
		}
		if i > 0 && fields[i-1].Name >= f.Name {
			return w.fail(fmt.Errorf("write segment: field %q of %q comes after %q", f.Name, measurement, fields[i-1].Name))
		}
	}
	if w.sec == nil {
		w.sec = &sectionWriter{w: w}
	}
	w.sec.begin(measurement, fields)
	w.open = true
	return nil
}

// Append adds rows of a series to the section: Cols are parallel to the
// fields of BeginSection, those of Type 0 hold nulls only. Keys ascend; the
// times of several calls for one key ascend, too. Rows without any value are
// kept as rows.
func (w *Writer) Append(key []byte, rows *column.Rows) error {
	if w.err != nil {
		return w.err
	}
	if !w.open {
		return w.fail(fmt.Errorf("write segment: rows outside a section"))
	}
	if rows.Len() == 0 {
		return nil
	}
	if err := w.sec.append(key, rows); err != nil {
		return w.fail(err)
	}
	return nil
}

// EndSection writes what is left of the section and its indexes. A section
// without rows leaves no trace.
func (w *Writer) EndSection() error {
	if w.err != nil {
		return w.err
	}
	if !w.open {
		return w.fail(fmt.Errorf("write segment: no section is open"))
	}
	w.open = false
	entry, err := w.sec.end()
	if err != nil {
		return w.fail(err)
	}
	if entry != nil {
		w.dir.sections = append(w.dir.sections, entry)
	}
	return nil
}

// Finish writes the footer and tells what the file holds. It does not sync.
func (w *Writer) Finish() (Info, error) {
	if w.err != nil {
		return Info{}, w.err
	}
	if w.open {
		return Info{}, w.fail(fmt.Errorf("write segment: a section is still open"))
	}
	footer, err := w.piece(w.dir.encode())
	if err == nil {
		err = w.write(appendTail(nil, w.off, footer.len))
	}
	if err == nil {
		if err = w.out.Flush(); err != nil {
			err = fmt.Errorf("write segment: %w", err)
		}
	}
	if err != nil {
		return Info{}, w.fail(err)
	}
	w.err = fmt.Errorf("write segment: the file is finished")
	in := w.dir.info(w.off)
	in.Checksum = w.hash.Sum64()
	return in, nil
}
