package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressLine shows how far a long command is: on a terminal in one line that
// is written over, elsewhere in a line of its own now and then.
type progressLine struct {
	out      io.Writer
	terminal bool
	every    time.Duration
	now      func() time.Time
	next     time.Time
	width    int // of what stands in the line
}

const (
	// terminalEvery is often enough to look smooth.
	terminalEvery = 200 * time.Millisecond
	// logEvery keeps the log of a job readable.
	logEvery = 10 * time.Second
)

func newProgressLine(out io.Writer, now func() time.Time) *progressLine {
	p := &progressLine{out: out, every: logEvery, now: now}
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		p.terminal, p.every = true, terminalEvery
	}
	p.next = now().Add(p.every)
	return p
}

// show writes text if it is time for it.
func (p *progressLine) show(text func() string) {
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(p.every)
	s := text()
	if !p.terminal {
		fmt.Fprintln(p.out, s)
		return
	}
	pad := strings.Repeat(" ", max(p.width-len(s), 0))
	p.width = len(s)
	fmt.Fprintf(p.out, "\r%s%s", s, pad)
}

// end leaves the line.
func (p *progressLine) end() {
	if p.width > 0 {
		fmt.Fprintln(p.out)
	}
}
