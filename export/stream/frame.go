package stream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/varvedb/varve/column"
)

// ContentType is the media type of the frames.
const ContentType = "application/vnd.varve.export"

// The frames: see FORMAT.md.
const (
	magic   = "VEXP"
	version = 1

	frameSchema = 1
	frameRows   = 2
	frameEnd    = 3

	headBytes = 9 // kind, length, checksum
)

const (
	// payloadBytes is about how much is in a frame of rows before it is
	// compressed: some thousand rows, so that neither side holds much.
	payloadBytes = 256 << 10
	// maxFrameBytes refuses what no encoder makes. A row has at most 256 KiB,
	// and a schema names at most some thousand columns.
	maxFrameBytes = 16 << 20
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Encoder is a Receiver that writes frames.
type Encoder struct {
	w      io.Writer
	enc    column.Encoder
	table  *crc32.Table
	schema []byte
	packed []byte
	rows   uint64
	begun  bool
}

// NewEncoder returns an encoder that writes to w. End completes what it wrote.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w, table: castagnoli()} }

// Measurement implements Receiver.
func (e *Encoder) Measurement(s *Schema) error {
	b := appendText(e.schema[:0], s.Measurement)
	b = binary.AppendUvarint(b, uint64(len(s.Tags)))
	for _, t := range s.Tags {
		b = appendText(b, t)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Fields)))
	for _, f := range s.Fields {
		b = append(appendText(b, f.Name), byte(f.Type))
	}
	e.schema = b
	return e.frame(frameSchema, b)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Rows implements Receiver.
func (e *Encoder) Rows(t *column.Table) error {
	var err error
	e.enc.Encode(&column.Batch{Tables: []*column.Table{t}}, payloadBytes, func(payload []byte) {
		if err == nil {
			err = e.frame(frameRows, payload)
		}
		e.enc.Recycle(payload)
	})
	e.rows += uint64(len(t.Time))
	return err
}

// End says that nothing is missing.
func (e *Encoder) End() error {
	return e.frame(frameEnd, binary.LittleEndian.AppendUint64(nil, e.rows))
}

func (e *Encoder) frame(kind byte, payload []byte) error {
	b := e.packed[:0]
	if !e.begun {
		b = append(append(b, magic...), version)
		e.begun = true
	}
	head := len(b)
	b = append(b, make([]byte, headBytes)...)
	from := len(b)
	b = append(b, make([]byte, s2.MaxEncodedLen(len(payload)))...)
	b = b[:from+len(s2.Encode(b[from:], payload))]
	b[head] = kind
	binary.LittleEndian.PutUint32(b[head+1:], uint32(len(b)-from))
	binary.LittleEndian.PutUint32(b[head+5:], crc32.Update(crc32.Checksum(b[head:head+5], e.table), e.table, b[from:]))
	e.packed = b
	_, err := e.w.Write(b)
	return err
}

// ErrBroken says that an export ended before its end.
var ErrBroken = errors.New("the export broke off before its end; the log of the server says why")

// Decode reads an export from r and gives it to out. It returns the number of
// rows.
func Decode(r io.Reader, out Receiver) (rows int64, err error) {
	d := &decoder{r: bufio.NewReaderSize(r, payloadBytes), out: out, table: castagnoli()}
	return d.all()
}

type decoder struct {
	r     *bufio.Reader
	out   Receiver
	table *crc32.Table

	packed, payload []byte
	batch           column.Batch
	schema          *Schema
	rows            int64
}

func (d *decoder) all() (int64, error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(d.r, head[:len(magic)+1]); err != nil {
		return 0, broken(err)
	}
	if string(head[:len(magic)]) != magic {
		return 0, fmt.Errorf("decode export: it does not begin as an export of varve does; is this the service port of a varve?")
	}
	if v := head[len(magic)]; v != version {
		return 0, fmt.Errorf("decode export: version %d is not known to this program, which knows %d: use the varve of the server's release", v, version)
	}
	for {
		kind, err := d.frame(&head)
		if err != nil {
			return d.rows, err
		}
		switch kind {
		case frameSchema:
			d.schema, err = decodeSchema(d.payload)
			if err == nil {
				err = d.out.Measurement(d.schema)
			}
		case frameRows:
			err = d.takeRows()
		case frameEnd:
			if len(d.payload) != 8 || binary.LittleEndian.Uint64(d.payload) != uint64(d.rows) {
				return d.rows, fmt.Errorf("decode export: the number of rows at its end is not that of the %d that came", d.rows)
			}
			return d.rows, nil
		default:
			err = fmt.Errorf("decode export: frame of unknown kind %d", kind)
		}
		if err != nil {
			return d.rows, err
		}
	}
}

// frame reads a frame into payload.
func (d *decoder) frame(head *[headBytes]byte) (kind byte, err error) {
	if _, err := io.ReadFull(d.r, head[:]); err != nil {
		return 0, broken(err)
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxFrameBytes {
		return 0, fmt.Errorf("decode export: frame of %d bytes, at most %d are taken", n, maxFrameBytes)
	}
	if cap(d.packed) < int(n) {
		d.packed = make([]byte, n)
	}
	d.packed = d.packed[:n]
	if _, err := io.ReadFull(d.r, d.packed); err != nil {
		return 0, broken(err)
	}
	if crc32.Update(crc32.Checksum(head[:5], d.table), d.table, d.packed) != binary.LittleEndian.Uint32(head[5:]) {
		return 0, errors.New("decode export: the checksum of a frame is wrong; it was damaged on its way")
	}
	if size, err := s2.DecodedLen(d.packed); err != nil {
		return 0, fmt.Errorf("decode export: decompress frame: %w", err)
	} else if size > maxFrameBytes {
		return 0, fmt.Errorf("decode export: frame of %d bytes, at most %d are taken", size, maxFrameBytes)
	}
	if d.payload, err = s2.Decode(d.payload[:cap(d.payload)], d.packed); err != nil {
		return 0, fmt.Errorf("decode export: decompress frame: %w", err)
	}
	return head[0], nil
}

func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrBroken
	}
	return fmt.Errorf("%w (%w)", ErrBroken, err)
}

func (d *decoder) takeRows() error {
	if err := column.DecodeBatch(&d.batch, d.payload); err != nil {
		return fmt.Errorf("decode export: %w", err)
	}
	for _, t := range d.batch.Tables {
		if d.schema == nil || t.Measurement != d.schema.Measurement {
			return fmt.Errorf("decode export: rows of %q came without their measurement", t.Measurement)
		}
		d.rows += int64(len(t.Time))
		if err := d.out.Rows(t); err != nil {
			return err
		}
	}
	return nil
}

func decodeSchema(b []byte) (*Schema, error) {
	bad := errors.New("decode export: a measurement is not well-formed")
	text := func() (string, bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return "", false
		}
		s := string(b[size : size+int(n)])
		b = b[size+int(n):]
		return s, true
	}
	count := func() (int, bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)) { // each takes a byte at least
			return 0, false
		}
		b = b[size:]
		return int(n), true
	}
	s := new(Schema)
	var ok bool
	if s.Measurement, ok = text(); !ok {
		return nil, bad
	}
	n, ok := count()
	if !ok {
		return nil, bad
	}
	for range n {
		t, ok := text()
		if !ok {
			return nil, bad
		}
		s.Tags = append(s.Tags, t)
	}
	if n, ok = count(); !ok {
		return nil, bad
	}
	for range n {
		name, ok := text()
		if !ok || len(b) == 0 || !column.Type(b[0]).Known() {
			return nil, bad
		}
		s.Fields = append(s.Fields, column.FieldInfo{Name: name, Type: column.Type(b[0])})
		b = b[1:]
	}
	if len(b) > 0 {
		return nil, bad
	}
	return s, nil
}
