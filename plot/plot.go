// Package plot draws time series as text for a terminal: lines of Braille dots
// between a value axis and a time axis, with a legend. It knows nothing of
// where the series come from. Its functions are pure and safe for concurrent
// use.
package plot

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Point is a value at a time in nanoseconds since 1970. A value that is NaN or
// infinite is a gap.
type Point struct {
	At    int64
	Value float64
}

// Series is a line. Its points are ascending by time.
type Series struct {
	Name   string // for the legend; one line
	Points []Point
}

// Config is how a plot looks.
type Config struct {
	// Width is that of the whole plot in characters, Height that of the lines
	// alone in rows.
	Width, Height int
	// Color tells lines apart by ANSI colours. Without it, several lines are
	// drawn by letters, at the resolution of characters.
	Color bool
	// Step is the expected time between two points in nanoseconds; a line is
	// broken where points are further apart. 0: broken where they are much
	// further apart than usual.
	Step int64
	// Zone is that of the time axis.
	Zone *time.Location
}

// MaxSeries is how many lines can be told apart: the colours that every
// terminal has, without black, white and the two greys.
const MaxSeries = 6

// The smallest plot in which axes leave room for lines.
const (
	minWidth  = 40
	minHeight = 4
)

// Draw draws up to MaxSeries series. It reports false, and draws nothing, if
// there is no point.
func Draw(w io.Writer, c Config, series []Series) (bool, error) {
	c.Width, c.Height = max(c.Width, minWidth), max(c.Height, minHeight)
	series = series[:min(len(series), MaxSeries)]
	b, ok := boundsOf(series)
	if !ok {
		return false, nil
	}
	values := valueAxis(b.low, b.high, c.Height)
	margin := values.width()
	width := c.Width - margin - 2 // for the axis and a blank
	letters := !c.Color && len(series) > 1
	canvas := newCanvas(width, c.Height, letters)
	for i, s := range series {
		canvas.draw(i, s, c.Step, b.first, b.last, values)
	}
	var out strings.Builder
	for row := range c.Height {
		tick, mark := values.labels[row], "│"
		if tick != "" {
			mark = "┤"
		}
		fmt.Fprintf(&out, "%s%s %s%s\n", blanks(margin-utf8.RuneCountInString(tick)), tick, mark, canvas.row(row, c.Color))
	}
	line, labels := timeAxis(b.first, b.last, width, c.Zone)
	fmt.Fprintf(&out, "%s└%s\n", blanks(margin+1), line)
	fmt.Fprintf(&out, "%s%s\n", blanks(margin+1), labels)
	legend(&out, series, c, letters)
	_, err := io.WriteString(w, out.String())
	return true, err
}

func legend(out *strings.Builder, series []Series, c Config, letters bool) {
	used := 0
	for i, s := range series {
		mark := "━━"
		if letters {
			mark = string(letter(i))
		}
		name := fit(s.Name, c.Width-6)
		need := utf8.RuneCountInString(mark) + 1 + utf8.RuneCountInString(name) + 3
		if used > 0 && used+need > c.Width {
			out.WriteByte('\n')
			used = 0
		}
		out.WriteString("  ")
		if c.Color {
			mark = colour(i) + mark + plain
		}
		out.WriteString(mark + " " + name + " ")
		used += need
	}
	out.WriteByte('\n')
}

// fit cuts text to so many characters.
func fit(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

func blanks(n int) string { return strings.Repeat(" ", max(0, n)) }

// bounds are those of what is drawn.
type bounds struct {
	first, last int64
	low, high   float64
}

func boundsOf(series []Series) (bounds, bool) {
	b := bounds{math.MaxInt64, math.MinInt64, math.Inf(1), math.Inf(-1)}
	for _, s := range series {
		for _, p := range s.Points {
			if v, ok := drawable(p.Value); ok {
				b.first, b.last = min(b.first, p.At), max(b.last, p.At)
				b.low, b.high = min(b.low, v), max(b.high, v)
			}
		}
	}
	return b, b.first <= b.last
}

// drawable clips values so that the difference of two is finite.
func drawable(v float64) (float64, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	const limit = math.MaxFloat64 / 4
	return max(-limit, min(limit, v)), true
}

// usualStep returns the median of the times between points.
func usualStep(points []Point) float64 {
	if len(points) < 2 {
		return 0
	}
	steps := make([]float64, 0, len(points)-1)
	for i := 1; i < len(points); i++ {
		steps = append(steps, elapsed(points[i-1].At, points[i].At))
	}
	slices.Sort(steps)
	return steps[len(steps)/2]
}

// elapsed returns the nanoseconds between two times, which can be more than an
// int64 holds.
func elapsed(from, to int64) float64 { return float64(uint64(to) - uint64(from)) }
