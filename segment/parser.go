package segment

import (
	"encoding/binary"
	"fmt"

	"github.com/varvedb/varve/encoding"
)

// parser reads the parts of a payload one after the other. After the first
// error it returns zero values and keeps the error.
type parser struct {
	b   []byte
	dec *encoding.Decoder // needed by ints and floats only
	err error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *parser) uvarint() uint64 {
	if p.err != nil {
		return 0
	}
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.err = errShort
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) varint() int64 {
	u := p.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number that may not exceed max.
func (p *parser) count(max int, what string) int {
	v := p.uvarint()
	if v > uint64(max) {
		p.fail("%s %d is above %d", what, v, max)
		return 0
	}
	return int(v)
}

func (p *parser) byte() byte {
	if p.err == nil && len(p.b) == 0 {
		p.err = errShort
	}
	if p.err != nil {
		return 0
	}
	c := p.b[0]
	p.b = p.b[1:]
	return c
}

// bytes reads a length and as many bytes, which share memory with the payload.
func (p *parser) bytes() []byte {
	n := p.uvarint()
	if p.err != nil {
		return nil
	}
	if n > uint64(len(p.b)) {
		p.err = errShort
		return nil
	}
	b := p.b[:n:n]
	p.b = p.b[n:]
	return b
}

// done reports the error, or that bytes are left over.
func (p *parser) done() error {
	if p.err == nil && len(p.b) != 0 {
		p.fail("%d bytes left over", len(p.b))
	}
	return p.err
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (p *parser) uint64() uint64 {
	if p.err == nil && len(p.b) < 8 {
		p.fail("ends within a number of 8 bytes")
	}
	if p.err != nil {
		return 0
	}
	v := binary.LittleEndian.Uint64(p.b)
	p.b = p.b[8:]
	return v
}
