package plot

import (
	"strings"
)

// A Braille character has two dots by four.
const dotsAcross, dotsDown = 2, 4

// canvas is a field of characters that lines are drawn on.
type canvas struct {
	width, height int // in characters
	letters       bool
	cells         []cell
}

// cell is one character. Where lines cross, the later one gives the colour or
// letter.
type cell struct {
	dots   byte
	series int8 // 0: empty, otherwise the number of the line from 1
}

func newCanvas(width, height int, letters bool) *canvas {
	return &canvas{width, height, letters, make([]cell, width*height)}
}

// resolution is how many positions the canvas has across and down.
func (c *canvas) resolution() (across, down int) {
	if c.letters {
		return c.width, c.height
	}
	return c.width * dotsAcross, c.height * dotsDown
}

// brokenAfter is how many times the usual step a line spans where the right
// step is not known: with points at random times, few are that far apart.
const brokenAfter = 5

// draw draws a series.
func (c *canvas) draw(number int, s Series, step, first, last int64, values axis) {
	across, down := c.resolution()
	// Half a step more: windows of calendar months differ in length.
	reach := 1.5 * float64(step)
	if step <= 0 {
		reach = brokenAfter * usualStep(s.Points)
	}
	inPen := false
	var at int64
	var x, y int
	for _, p := range s.Points {
		v, ok := drawable(p.Value)
		if !ok {
			inPen = false
			continue
		}
		nx := 0
		if last > first {
			nx = int(elapsed(first, p.At) / elapsed(first, last) * float64(across-1))
		}
		ny := down - 1 - int(values.fraction(v)*float64(down-1)+0.5)
		if inPen && elapsed(at, p.At) <= reach {
			c.line(number, x, y, nx, ny)
		} else {
			c.dot(number, nx, ny)
		}
		inPen, at, x, y = true, p.At, nx, ny
	}
}

// line draws by Bresenham's algorithm, both ends included.
func (c *canvas) line(number, x, y, toX, toY int) {
	dx, dy := abs(toX-x), -abs(toY-y)
	sx, sy := 1, 1
	if toX < x {
		sx = -1
	}
	if toY < y {
		sy = -1
	}
	for e := dx + dy; ; {
		c.dot(number, x, y)
		if x == toX && y == toY {
			return
		}
		twice := 2 * e
		if twice >= dy {
			e += dy
			x += sx
		}
		if twice <= dx {
			e += dx
			y += sy
		}
	}
}

func abs(n int) int { return max(n, -n) }

func (c *canvas) dot(number, x, y int) {
	across, down := c.resolution()
	x, y = max(0, min(x, across-1)), max(0, min(y, down-1))
	if c.letters {
		c.cells[y*c.width+x].series = int8(number + 1)
		return
	}
	// The bits of Unicode's Braille patterns: the first three rows of dots go
	// down the left column and then the right one, the fourth came later.
	bits := [dotsDown][dotsAcross]byte{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}
	at := &c.cells[y/dotsDown*c.width+x/dotsAcross]
	at.dots |= bits[y%dotsDown][x%dotsAcross]
	at.series = int8(number + 1)
}

func letter(number int) rune { return rune('a' + number) }

// plain ends a colour.
const plain = "\x1b[0m"

// colour begins that of a line: the six colours that every terminal has.
func colour(number int) string {
	return [MaxSeries]string{"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[31m", "\x1b[34m"}[number]
}

// row renders a row, without blanks at its end.
func (c *canvas) row(n int, color bool) string {
	cells := c.cells[n*c.width : (n+1)*c.width]
	for len(cells) > 0 && cells[len(cells)-1].series == 0 {
		cells = cells[:len(cells)-1]
	}
	var b strings.Builder
	painted := int8(0)
	for _, at := range cells {
		if color && at.series != 0 && at.series != painted {
			b.WriteString(colour(int(at.series) - 1))
			painted = at.series
		}
		switch {
		case at.series == 0:
			b.WriteByte(' ')
		case c.letters:
			b.WriteRune(letter(int(at.series) - 1))
		default:
			b.WriteRune('⠀' + rune(at.dots)) // the empty pattern, U+2800
		}
	}
	if painted != 0 {
		b.WriteString(plain)
	}
	return b.String()
}
