package rows

import (
	"strconv"
	"strings"
)

// Left is points that a decoder leaves out of a batch because they cannot be
// stored.
type Left struct {
	Points int
	Reason string
	Text   string // the points for people to read, at most 64 KiB of it
}

// Leftovers are what is left out of one batch. Add is called seldom.
type Leftovers struct {
	all   []Left
	bytes int
	text  []byte // scratch
}

const (
	maxLeftText = 64 << 10
	// maxLeftBytes bounds the texts of one batch: few bytes can stand for very many
	// points, each with the name of its series. Some ten thousand points fit.
	maxLeftBytes = 4 << 20
	// leftBytes is about what a Left takes besides its texts.
	leftBytes = 64
)

// Reset forgets all of them.
func (l *Leftovers) Reset() { *l = Leftovers{} }

// All returns them. Of those for which there was no more room, the last that is
// there has the number.
func (l *Leftovers) All() []Left { return l.all }

// MemoryBytes returns roughly what they hold.
func (l *Leftovers) MemoryBytes() int { return l.bytes }

// Add adds points that are left out together; text appends them for people to
// read, and may end when it has appended enough.
func (l *Leftovers) Add(points int, why error, text func(dst []byte, enough int) []byte) {
	if points == 0 {
		return
	}
	if n := len(l.all); n > 0 && l.bytes >= maxLeftBytes {
		l.all[n-1].Points += points
		return
	}
	l.text = text(l.text[:0], maxLeftText)
	one := Left{Points: points, Reason: why.Error(),
		Text: strings.ToValidUTF8(string(l.text[:min(len(l.text), maxLeftText)]), "\uFFFD")}
	if cap(l.text) > 2*maxLeftText {
		l.text = nil
	}
	l.bytes += leftBytes + len(one.Reason) + len(one.Text)
	l.all = append(l.all, one)
}

// AppendTag appends a tag of a point for people to read: behind others if the last
// byte is not the brace that begins them.
func AppendTag(dst, name, value []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' {
		dst = append(dst, ',')
	}
	dst = strconv.AppendQuote(dst, string(name))
	dst = append(dst, '=')
	return strconv.AppendQuote(dst, string(value))
}
