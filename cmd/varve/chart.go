package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/varvedb/varve/config"
	"github.com/varvedb/varve/plot"
)

const (
	// maxPoints bounds the memory of a plot to some tens of megabytes; a
	// terminal shows a few hundred points across.
	maxPoints = 2_000_000
	// maxPanels is how many fields fit on a screen.
	maxPanels = 4
)

// chart gathers an answer and plots it: a panel for each field, because fields
// differ in what they measure, and in it a line for each set of tags.
type chart struct {
	out    io.Writer
	screen screen
	title  string // what the values are, such as "mean of "
	step   int64  // between points in nanoseconds; 0: unknown
	zone   *time.Location
	advice advice

	panels  []*panel
	points  int
	tooMany bool
}

// advice says how a question asks for less, in its language.
type advice struct{ points, fields, series string }

func flagsAdvice() advice {
	return advice{"put them together by --aggregation mean --every 1h, or narrow the question", "choose some by --field", "narrow by --tag, or put them together by --group-by"}
}

func fluxAdvice() advice {
	return advice{"put them together by aggregateWindow(), or narrow the script by filter()", "choose some by filter()", "narrow the script by filter(), or put them together by group()"}
}

// panel is the plot of one field.
type panel struct {
	field   string
	text    int // values that cannot be drawn
	missing int // values for which JSON has no word
	lines   []*line
	byKey   map[string]*line
}

type line struct {
	tags   map[string]string
	points []plot.Point
}

func (c *chart) add(r answerRow) error {
	if c.full() {
		return nil
	}
	p := c.panel(r.Field)
	value, ok := plottable(r.Value)
	if !ok {
		p.text++
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, r.Time)
	if err != nil {
		return fmt.Errorf("read answer: time %q is none", r.Time)
	}
	c.put(p, p.line(r.Tags), at.UnixNano(), value)
	return nil
}

// full reports, and notes, that no more points fit.
func (c *chart) full() bool {
	c.tooMany = c.tooMany || c.points >= maxPoints
	return c.tooMany
}

// panel returns the panel of a field.
func (c *chart) panel(field string) *panel {
	i := slices.IndexFunc(c.panels, func(p *panel) bool { return p.field == field })
	if i < 0 {
		i = len(c.panels)
		c.panels = append(c.panels, &panel{field: field, byKey: make(map[string]*line)})
	}
	return c.panels[i]
}

// line returns the line of a series.
func (p *panel) line(tags map[string]string) *line {
	key := seriesKey(tags)
	l := p.byKey[key]
	if l == nil {
		l = &line{tags: tags}
		p.byKey[key] = l
		p.lines = append(p.lines, l)
	}
	return l
}

// put adds a point to a line of a panel; at is in nanoseconds since 1970.
func (c *chart) put(p *panel, l *line, at int64, value float64) {
	if math.IsNaN(value) {
		p.missing++
	}
	l.points = append(l.points, plot.Point{At: at, Value: value})
	c.points++
}

// plottable returns a value as a number. A switch is 0 or 1, and what JSON has
// no word for is a gap.
func plottable(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case nil:
		return math.NaN(), true
	}
	return 0, false
}

func seriesKey(tags map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		b.WriteString(strconv.Quote(k) + strconv.Quote(tags[k]))
	}
	return b.String()
}

// drawable reports whether a plot would show more than a table.
func (c *chart) drawable() bool {
	for _, p := range c.panels {
		for _, l := range p.lines {
			if len(l.points) > 1 {
				return !c.tooMany
			}
		}
	}
	return false
}

func (c *chart) end(_ int64, explain string) error {
	if c.tooMany {
		return fmt.Errorf("more than %d values are too many to plot; %s", maxPoints, c.advice.points)
	}
	if len(c.panels) == 0 {
		fmt.Fprintln(c.out, "no values")
	}
	panels := c.panels[:min(len(c.panels), maxPanels)]
	for _, p := range panels {
		if err := c.drawPanel(p, c.screen.panelHeight(len(panels))); err != nil {
			return err
		}
	}
	if n := len(c.panels) - len(panels); n > 0 {
		fmt.Fprintf(c.out, "%d more fields are not drawn; %s\n", n, c.advice.fields)
	}
	return note(c.out, explain)
}

func (c *chart) drawPanel(p *panel, height int) error {
	if len(p.lines) == 0 {
		fmt.Fprintf(c.out, "%s: %d values are texts and not drawn; --format table shows them\n", printable(p.field), p.text)
		return nil
	}
	shared := sharedTags(p.lines)
	title := c.title + printable(p.field)
	if name := tagText(shared, nil); name != "" {
		title += "  " + name
	}
	fmt.Fprintln(c.out, title)
	var series []plot.Series
	for _, l := range p.lines[:min(len(p.lines), plot.MaxSeries)] {
		slices.SortStableFunc(l.points, func(a, b plot.Point) int {
			switch {
			case a.At < b.At:
				return -1
			case a.At > b.At:
				return 1
			}
			return 0
		})
		name := tagText(l.tags, shared)
		if name == "" {
			name = printable(p.field)
		}
		series = append(series, plot.Series{Name: name, Points: l.points})
	}
	pc := plot.Config{Width: c.screen.width, Height: height, Color: c.screen.color, Step: c.step, Zone: c.zone}
	if ok, err := plot.Draw(c.out, pc, series); err != nil {
		return err
	} else if !ok {
		fmt.Fprintln(c.out, "  nothing to draw")
	}
	if n := len(p.lines) - len(series); n > 0 {
		fmt.Fprintf(c.out, "  %d more series are not drawn; %s\n", n, c.advice.series)
	}
	if p.text > 0 {
		fmt.Fprintf(c.out, "  %d values are texts and not drawn; --format table shows them\n", p.text)
	}
	if p.missing > 0 {
		fmt.Fprintf(c.out, "  %d values are not numbers or infinite, and are gaps\n", p.missing)
	}
	return nil
}

// sharedTags returns the tags that all lines have with the same value; with
// one line none, because they are its name.
func sharedTags(lines []*line) map[string]string {
	if len(lines) < 2 {
		return nil
	}
	shared := maps.Clone(lines[0].tags)
	for _, l := range lines[1:] {
		maps.DeleteFunc(shared, func(k, v string) bool { return l.tags[k] != v })
	}
	return shared
}

// tagText renders tags without those that are shared.
func tagText(tags, shared map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if _, ok := shared[k]; !ok {
			parts = append(parts, printable(k+"="+tags[k]))
		}
	}
	return strings.Join(parts, " ")
}

// screen is where output is looked at.
type screen struct {
	terminal      bool
	width, height int
	color         bool
}

// screenOf finds out about out. What is no terminal is taken for one of the
// usual size without colours; COLUMNS gives another width.
func screenOf(out io.Writer) screen {
	s := screen{width: 80, height: 24}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.width = n
	}
	f, ok := out.(*os.File)
	if !ok || !isTerminal(f) {
		return s
	}
	s.terminal = true
	s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
		s.width, s.height = int(size.Col), int(size.Row)
	}
	return s
}

// panelHeight leaves a third of the screen to axes, legends and the prompt.
func (s screen) panelHeight(panels int) int {
	return max(5, min(16, s.height*2/3/max(panels, 1)))
}

// isTerminal reports whether f is a terminal, for output that people watch.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// everyNanos returns the length of a window in nanoseconds; that of calendar
// months as long as they can be, and 0 for what it cannot read.
func everyNanos(every string) int64 {
	for suffix, days := range map[string]int64{"mo": 31, "y": 366} {
		if digits, ok := strings.CutSuffix(every, suffix); ok {
			n, err := strconv.ParseInt(digits, 10, 32)
			if err != nil {
				return 0
			}
			return min(n, 200) * days * 24 * int64(time.Hour)
		}
	}
	d, err := config.ParseSpan(every)
	if err != nil {
		return 0
	}
	return int64(d)
}

// watched shows an answer to someone at a terminal: a table that fits on the
// screen, and a plot where there is something to plot.
type watched struct {
	out     io.Writer
	table   *rowTable
	chart   *chart
	windows bool // a value stands for a stretch of time
	rows    int
	held    []answerRow // of windows, until it shows whether they fit
}

func (w *watched) add(r answerRow) error {
	w.rows++
	if err := w.chart.add(r); err != nil {
		return err
	}
	if !w.windows {
		return w.table.add(r)
	}
	if w.held = append(w.held, r); w.fits() {
		return nil
	}
	// Too long for the screen: the plot shows it, unless it cannot.
	if w.chart.drawable() {
		w.held = w.held[:0]
		return nil
	}
	return w.release()
}

// fits reports whether the rows held back leave room for the plot.
func (w *watched) fits() bool { return w.rows <= w.chart.screen.height }

func (w *watched) release() error {
	w.windows = false
	for _, r := range w.held {
		if err := w.table.add(r); err != nil {
			return err
		}
	}
	w.held = nil
	return nil
}

func (w *watched) end(count int64, explain string) error {
	long := w.windows && !w.fits()
	if w.windows && !long {
		if err := w.release(); err != nil {
			return err
		}
	}
	switch {
	case long && w.chart.tooMany:
		return w.chart.end(count, explain)
	case long:
		if err := w.chart.end(count, ""); err != nil {
			return err
		}
		fmt.Fprintf(w.out, "%d values; --format table shows them\n", count)
		return note(w.out, explain)
	}
	if err := w.table.end(count, explain); err != nil || !w.chart.drawable() {
		return err
	}
	fmt.Fprintln(w.out)
	return w.chart.end(count, "")
}
