package demo

import (
	"fmt"
	"io"
	"strings"
)

// screen is where the demo is watched. On a terminal progress stays on one
// line at the bottom, with the course of the rate as bars; elsewhere it is a
// line each time. It belongs to one goroutine.
type screen struct {
	out   io.Writer
	live  bool
	width int
	color bool
	rates []float64
	open  bool // the line at the bottom is progress
}

// eraseLine goes to the beginning of the line of a terminal and empties it.
const eraseLine = "\r\x1b[K"

// line prints a line that stays.
func (s *screen) line(format string, args ...any) {
	if s.open {
		fmt.Fprint(s.out, eraseLine)
		s.open = false
	}
	fmt.Fprintf(s.out, format+"\n", args...)
}

// progress shows how it goes.
func (s *screen) progress(rate float64, text string) {
	if !s.live {
		s.line("%s", text)
		return
	}
	room := s.width - len(text) - 2
	s.rates = append(s.rates, rate)
	s.rates = s.rates[max(0, len(s.rates)-max(room, 0)):]
	if room >= 0 {
		text += "  " + bars(s.rates)
	} else {
		text = text[:max(0, s.width-1)] // a longer line would stay behind
	}
	fmt.Fprint(s.out, eraseLine, text)
	s.open = true
}

// settle ends the line of progress, so that it stays.
func (s *screen) settle() {
	if s.open {
		fmt.Fprintln(s.out)
		s.open = false
	}
}

// bars draws values from 0 to their greatest, a character each.
func bars(values []float64) string {
	steps := []rune("▁▂▃▄▅▆▇█")
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if top > 0 {
			i = min(int(v/top*float64(len(steps))), len(steps)-1)
		}
		b.WriteRune(steps[i])
	}
	return b.String()
}
