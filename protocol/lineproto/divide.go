package lineproto

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
)

// Part is some of the lines of a chunk, in their order.
type Part struct {
	Data []byte
	Ends []uint32 // of each line in Data, behind its newline
	Rows []uint32 // of each line, how many newlines stand before it in the chunk
}

// Len returns the number of lines.
func (p *Part) Len() int { return len(p.Ends) }

// Text returns lines i to j-1.
func (p *Part) Text(i, j int) []byte {
	if i == j {
		return nil
	}
	from := uint32(0)
	if i > 0 {
		from = p.Ends[i-1]
	}
	return p.Data[from:p.Ends[j-1]]
}

// Add appends a line, with a newline if it has none.
func (p *Part) Add(line []byte, row uint32) {
	p.Data = append(p.Data, line...)
	if line[len(line)-1] != '\n' {
		p.Data = append(p.Data, '\n')
	}
	p.Ends, p.Rows = append(p.Ends, uint32(len(p.Data))), append(p.Rows, row)
}

// reset empties p and makes room for about so many bytes.
func (p *Part) reset(size int) {
	if size += size / 8; cap(p.Data) < size {
		p.Data = make([]byte, 0, size)
	}
	p.Data, p.Ends, p.Rows = p.Data[:0], p.Ends[:0], p.Rows[:0]
}

// Divide distributes the lines of c to parts, which it empties first: all lines
// of a series to one of them, whatever the order of their tags, so that parts
// can be written side by side and the later of two points still wins. Comments
// and empty lines are left out.
func (c Chunk) Divide(parts []Part) {
	for i := range parts {
		parts[i].reset(len(c.Data) / len(parts))
	}
	quotes := bytes.IndexByte(c.Data, '"') >= 0 // without any, no newline is in a string
	row := uint32(0)
	for rest := c.Data; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if quotes {
			end = lineEnd(rest, 0)
		}
		if end < 0 || end == len(rest) {
			end = len(rest) - 1
		}
		line := rest[:end+1]
		rest = rest[end+1:]
		at := row
		row++
		if quotes {
			row = at + uint32(bytes.Count(line, newline))
		}
		text := line
		for len(text) > 0 && strings.IndexByte(" \t\x00\r\n", text[0]) >= 0 {
			text = text[1:]
		}
		if len(text) > 0 && text[0] != '#' {
			parts[place(text, len(parts))].Add(line, at)
		}
	}
}

// place chooses a part by the bytes of measurement and tags alone, not by their
// order.
func place(line []byte, parts int) int {
	if parts == 1 {
		return 0
	}
	end := 0
	for {
		n := bytes.IndexByte(line[end:], ' ')
		if n < 0 {
			end = len(line)
			break
		}
		end += n
		if end == 0 || line[end-1] != '\\' {
			break
		}
		end++
	}
	hi, _ := bits.Mul32(byteSum(line[:end])*0x9e3779b9, uint32(parts))
	return int(hi)
}

// byteSum returns the sum of the bytes of b, which does not depend on their
// order.
func byteSum(b []byte) uint32 {
	const even = 0x00ff00ff00ff00ff
	sum := uint32(0)
	for len(b) >= 8 {
		lanes := uint64(0) // four sums of 16 bits
		n := min(len(b)/8, 128)
		for range n { // each adds at most 510
			x := binary.LittleEndian.Uint64(b)
			lanes += x&even + x>>8&even
			b = b[8:]
		}
		sum += uint32(lanes&0xffff + lanes>>16&0xffff + lanes>>32&0xffff + lanes>>48)
	}
	for _, c := range b {
		sum += uint32(c)
	}
	return sum
}
