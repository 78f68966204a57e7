package encoding

import "encoding/binary"

// cursor reads the parameters at the head of a column. The first read past the
// end, or of a malformed number, marks it bad; every later read yields zero,
// so that a decoder checks once, before it uses what it read.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	b := c.b[0]
	c.b = c.b[1:]
	return b
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

// varint reads a zigzag number as its two's complement word.
func (c *cursor) varint() uint64 { return unzigzag(c.uvarint()) }

// take returns the next n bytes.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

// part returns a section that is preceded by its length.
func (c *cursor) part() []byte { return c.take(c.uvarint()) }

// appendPart appends a section made by write, preceded by its length. The
// length is most often one or two bytes: room for two is kept and the section
// moved when that was wrong.
func appendPart(dst []byte, write func([]byte) []byte) []byte {
	const room = 2
	at := len(dst)
	dst = append(dst, 0, 0)
	dst = write(dst)
	n := len(dst) - at - room
	var head [binary.MaxVarintLen64]byte
	h := binary.PutUvarint(head[:], uint64(n))
	if h > room {
		dst = append(dst, head[:h-room]...)
	}
	copy(dst[at+h:at+h+n], dst[at+room:at+room+n])
	copy(dst[at:], head[:h])
	return dst[:at+h+n]
}

func appendVarint(dst []byte, w uint64) []byte {
	return binary.AppendUvarint(dst, zigzag(w))
}
