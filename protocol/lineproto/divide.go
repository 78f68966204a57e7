package lineproto

import (
	"bytes"
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
	row := uint32(0)
	for i := 0; i < len(c.Data); {
		next := min(lineEnd(c.Data, i)+1, len(c.Data))
		line := c.Data[i:next]
		at := row
		row++
		if bytes.IndexByte(line, '"') >= 0 {
			row = at + uint32(bytes.Count(line, newline)) // some may be in strings
		}
		i = next
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
	sum := uint32(0)
	for _, b := range line[:end] {
		sum += uint32(b) * uint32(b) // digits that change places with others still differ
	}
	hi, _ := bits.Mul32(sum*0x9e3779b9, uint32(parts))
	return int(hi)
}
