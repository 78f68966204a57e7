package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time in calendar months and nanoseconds. A month is
// added first, and a day that the month does not have becomes its last.
type Duration struct {
	Months int64 `json:"months,omitempty"`
	Nanos  int64 `json:"ns,omitempty"`
}

// Nanos returns a duration of fixed length.
func Nanos(d time.Duration) Duration { return Duration{Nanos: int64(d)} }

// Months returns a duration of calendar months.
func Months(n int64) Duration { return Duration{Months: n} }

// IsZero reports whether d is no time at all.
func (d Duration) IsZero() bool { return d == Duration{} }

// String renders d like 1mo2h.
func (d Duration) String() string {
	var b strings.Builder
	if d.Months != 0 {
		b.WriteString(strconv.FormatInt(d.Months, 10) + "mo")
	}
	if d.Nanos != 0 || d.Months == 0 {
		b.WriteString(time.Duration(d.Nanos).String())
	}
	return b.String()
}

// Window cuts time into windows. They begin at 1970-01-01 + Offset + i*Every on
// the clocks of Zone, for every whole i, and end Period later, so windows may overlap
// (Period > Every) or leave gaps (Period < Every). The start belongs to the
// window and the end does not, unless StartOpen and StopClosed say otherwise.
//
// In a zone whose clocks change, bounds are readings of the clock: a day may
// have 23 or 25 hours. A reading that comes twice means the first time, one
// that is left out the moment of the change, so that windows still follow on
// each other. Windows of an hour or less always have their full length: with
// readings, all that come twice would pile up in one of them. They are aligned
// to the clock as it stands at the end of the range of the plan. ByClock makes
// readings of their bounds too, as Flux has it.
//
// Windows are those that overlap the range of the plan. The result reports
// their bounds as they are; ClipTo cuts them to the range.
type Window struct {
	Every       Duration `json:"every"`           // months or nanoseconds, not both
	Period      Duration `json:"period,omitzero"` // zero: as Every
	Offset      Duration `json:"offset,omitzero"`
	Zone        string   `json:"zone,omitempty"` // IANA name; empty: UTC
	StartOpen   bool     `json:"start_open,omitempty"`
	StopClosed  bool     `json:"stop_closed,omitempty"`
	ByClock     bool     `json:"by_clock,omitempty"`     // bounds of short windows are readings too
	CreateEmpty bool     `json:"create_empty,omitempty"` // each group has every window
}

func (w *Window) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "every %s", w.Every)
	if !w.Period.IsZero() && w.Period != w.Every {
		fmt.Fprintf(&b, " period %s", w.Period)
	}
	if !w.Offset.IsZero() {
		fmt.Fprintf(&b, " offset %s", w.Offset)
	}
	if w.Zone != "" {
		fmt.Fprintf(&b, " in %s", w.Zone)
	}
	if w.ByClock {
		b.WriteString(" by the clock")
	}
	if w.StartOpen || w.StopClosed {
		open, closed := "[", ")"
		if w.StartOpen {
			open = "("
		}
		if w.StopClosed {
			closed = "]"
		}
		fmt.Fprintf(&b, " bounds %s%s", open, closed)
	}
	if w.CreateEmpty {
		b.WriteString(" with empty windows")
	}
	return b.String()
}

func (w *Window) validate() error {
	switch {
	case w.Every.Months != 0 && w.Every.Nanos != 0:
		return fmt.Errorf("window: every %s mixes months and fixed time: choose one", w.Every)
	case w.Every.Months <= 0 && w.Every.Nanos <= 0:
		return fmt.Errorf("window: every %s must be positive", w.Every)
	case w.Period.Months < 0 || w.Period.Nanos < 0:
		return fmt.Errorf("window: period %s must not be negative", w.Period)
	case w.Every.Months > maxMonths || w.Period.Months > maxMonths || w.Offset.Months > maxMonths || w.Offset.Months < -maxMonths:
		return fmt.Errorf("window: months are limited to %d", maxMonths)
	}
	if _, err := time.LoadLocation(w.Zone); err != nil {
		return fmt.Errorf("window: time zone %q is not known", w.Zone)
	}
	return nil
}

// maxMonths covers the 585 years that times in nanoseconds span.
const maxMonths = 585 * 12

// ClipTo cuts the bounds of a window to a range.
func ClipTo(start, stop, rangeStart, rangeStop int64) (int64, int64) {
	return max(start, rangeStart), min(stop, rangeStop)
}
