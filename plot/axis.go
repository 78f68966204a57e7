package plot

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// axis is the value axis.
type axis struct {
	low, high float64
	labels    []string // of each row, from the top; most are empty
}

// rowsPerLabel keeps the labels of the value axis apart.
const rowsPerLabel = 3

// valueAxis makes an axis with round numbers that spans low to high.
func valueAxis(low, high float64, height int) axis {
	if low == high {
		pad := math.Abs(low) / 2
		if pad == 0 {
			pad = 1
		}
		low, high = low-pad, high+pad
	}
	ticks := max(2, height/rowsPerLabel)
	step := roundStep((high - low) / float64(ticks))
	if step == 0 || low+step == low || high+step == high {
		// Values so near to each other that floats have no round ones between.
		a := axis{low, high, make([]string, height)}
		a.labels[0], a.labels[height-1] = strconv.FormatFloat(high, 'g', -1, 64), strconv.FormatFloat(low, 'g', -1, 64)
		return a
	}
	a := axis{math.Floor(low/step) * step, math.Ceil(high/step) * step, make([]string, height)}
	format := numberFormat(a.low, a.high, step)
	for i := range int(math.Round((a.high-a.low)/step)) + 1 {
		v := a.low + float64(i)*step
		row := height - 1 - int(a.fraction(v)*float64(height-1)+0.5)
		a.labels[row] = format(v)
	}
	return a
}

// fraction tells how far up v lies, 0 to 1.
func (a axis) fraction(v float64) float64 {
	return max(0, min(1, (v-a.low)/(a.high-a.low)))
}

func (a axis) width() int {
	n := 0
	for _, l := range a.labels {
		n = max(n, utf8.RuneCountInString(l))
	}
	return n
}

// roundStep returns 1, 2 or 5 times a power of ten, not below step.
func roundStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= step {
			return f * power
		}
	}
	return 10 * power
}

// numberFormat renders multiples of step, with a suffix where they are large.
func numberFormat(low, high, step float64) func(float64) string {
	largest := max(math.Abs(low), math.Abs(high))
	if largest >= 1e15 || step < 1e-6 {
		// As many digits as tell two labels apart.
		digits := 1 + max(0, int(math.Ceil(math.Log10(largest)-math.Log10(step))))
		return func(v float64) string { return strconv.FormatFloat(v, 'g', digits, 64) }
	}
	scale, suffix := 1.0, ""
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		// Large numbers close together would need many decimals with a suffix,
		// and up to four digits are as short without one.
		if largest >= max(u.size, 1e4) && step >= u.size/10 {
			scale, suffix = u.size, u.name
			break
		}
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step/scale)-1e-9)))
	return func(v float64) string {
		text := strconv.FormatFloat(v/scale, 'f', decimals, 64)
		if v == 0 || strings.Trim(text, "-0.") == "" {
			return "0"
		}
		return text + suffix
	}
}

// timeStep is a distance of two labels of the time axis.
type timeStep struct {
	months int // or
	fixed  time.Duration
	layout string // of the labels
}

// timeSteps returns the distances that read well, ascending.
func timeSteps() []timeStep {
	var all []timeStep
	for _, u := range []struct {
		size   time.Duration
		counts []time.Duration
		layout string
	}{
		{time.Nanosecond, []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500}, "15:04:05.000000000"},
		{time.Microsecond, []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500}, "15:04:05.000000"},
		{time.Millisecond, []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500}, "15:04:05.000"},
		{time.Second, []time.Duration{1, 2, 5, 10, 15, 30}, "15:04:05"},
		{time.Minute, []time.Duration{1, 2, 5, 10, 15, 30}, "15:04"},
		{time.Hour, []time.Duration{1, 2, 3, 6, 12}, "15:04"},
		{24 * time.Hour, []time.Duration{1, 2, 7, 14}, "2006-01-02"},
	} {
		for _, n := range u.counts {
			all = append(all, timeStep{fixed: n * u.size, layout: u.layout})
		}
	}
	for _, n := range []int{1, 2, 3, 6} {
		all = append(all, timeStep{months: n, layout: "2006-01"})
	}
	for _, n := range []int{1, 2, 5, 10, 20, 50, 100} {
		all = append(all, timeStep{months: 12 * n, layout: "2006"})
	}
	return all
}

// align returns the last multiple of the step that is not after t.
func (s timeStep) align(t time.Time) time.Time {
	if s.months > 0 {
		n := t.Year()*12 + int(t.Month()) - 1
		n -= n % s.months
		return time.Date(n/12, time.Month(n%12+1), 1, 0, 0, 0, 0, t.Location())
	}
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
	if days := int(s.fixed / (24 * time.Hour)); days > 0 {
		return midnight.AddDate(0, 0, -(t.YearDay()-1)%days)
	}
	return midnight.Add(t.Sub(midnight) / s.fixed * s.fixed)
}

func (s timeStep) next(t time.Time) time.Time {
	if s.months > 0 {
		return t.AddDate(0, s.months, 0)
	}
	if days := int(s.fixed / (24 * time.Hour)); days > 0 {
		// Weeks begin anew with each year, as align has it.
		n := t.AddDate(0, 0, days)
		if n.Year() != t.Year() {
			n = time.Date(n.Year(), 1, 1, 0, 0, 0, 0, n.Location())
		}
		return n
	}
	return t.Add(s.fixed)
}

// length is that of a step, roughly.
func (s timeStep) length() float64 {
	return float64(s.months)*30*24*float64(time.Hour) + float64(s.fixed)
}

// timeAxis draws the line and the labels below it.
func timeAxis(first, last int64, width int, zone *time.Location) (line, labels string) {
	from, to := time.Unix(0, first).In(zone), time.Unix(0, last).In(zone)
	span := elapsed(first, last)
	marks := []rune(strings.Repeat("─", width))
	text := []rune(strings.Repeat(" ", width+len(zoneName(from))+1))
	free := 0 // the first column below which no label stands
	put := func(column int, label string) {
		at := max(0, min(column-utf8.RuneCountInString(label)/2, width-utf8.RuneCountInString(label)))
		if at < free {
			return
		}
		copy(text[at:], []rune(label))
		marks[column] = '┬'
		free = at + utf8.RuneCountInString(label) + 2
	}
	if first == last {
		put(0, from.Format("2006-01-02 15:04:05"))
		return string(marks), strings.TrimRight(string(text), " ") + " " + zoneName(from)
	}
	steps := timeSteps()
	step, days := steps[len(steps)-1], false
	for _, s := range steps {
		// Times of several days need the day.
		days = s.length() < dayLength && span > dayLength
		need := len(s.layout) + 4
		if days {
			need += len("01-02 ")
		}
		if span/s.length()*float64(need) <= float64(width) {
			step = s
			break
		}
	}
	begun := false
	for t := step.align(from); !t.After(to); t = step.next(t) {
		if t.Before(from) {
			continue
		}
		layout := step.layout
		switch {
		case step.length() >= dayLength:
		case !begun:
			layout = "2006-01-02 " + layout
		case days:
			layout = "01-02 " + layout
		}
		begun = true
		put(int(elapsed(first, t.UnixNano())/span*float64(width-1)), t.Format(layout))
	}
	return string(marks), strings.TrimRight(string(text), " ") + " " + zoneName(from)
}

const dayLength = float64(24 * time.Hour)

func zoneName(t time.Time) string {
	name, _ := t.Zone()
	return name
}
