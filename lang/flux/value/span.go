package value

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/lang/flux/syntax"
)

// Span is a Flux duration: calendar months, then nanoseconds. Both have the
// same sign or are zero.
type Span struct {
	Months int64
	Nanos  int64
}

// Units of durations in nanoseconds, longest first.
const (
	week = 7 * 24 * int64(time.Hour)
	day  = 24 * int64(time.Hour)
)

// SpanOf adds up the terms of a duration literal.
func SpanOf(terms []syntax.Magnitude) (Span, error) {
	var d Span
	for _, t := range terms {
		var months, unit int64
		switch t.Unit {
		case "y":
			months = 12
		case "mo":
			months = 1
		case "w":
			unit = week
		case "d":
			unit = day
		case "h":
			unit = int64(time.Hour)
		case "m":
			unit = int64(time.Minute)
		case "s":
			unit = int64(time.Second)
		case "ms":
			unit = int64(time.Millisecond)
		case "us", "µs", "μs":
			unit = int64(time.Microsecond)
		case "ns":
			unit = 1
		default:
			return d, fmt.Errorf("%q is not a unit of durations: use y, mo, w, d, h, m, s, ms, us or ns", t.Unit)
		}
		if unit != 0 && (t.Magnitude*unit/unit != t.Magnitude || d.Nanos > 1<<63-1-t.Magnitude*unit) {
			return d, fmt.Errorf("duration %d%s is longer than 64 bits of nanoseconds", t.Magnitude, t.Unit)
		}
		d.Months += t.Magnitude * months
		d.Nanos += t.Magnitude * unit
	}
	return d, nil
}

// ParseSpan reads a duration like "1h30m" or "-1mo".
func ParseSpan(s string) (Span, error) {
	text, negative := strings.CutPrefix(s, "-")
	var terms []syntax.Magnitude
	for rest := text; rest != ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if n <= 0 {
			return Span{}, fmt.Errorf("invalid duration %q: write numbers with units, such as 1h30m", s)
		}
		amount, err := strconv.ParseInt(rest[:n], 10, 64)
		if err != nil {
			return Span{}, fmt.Errorf("invalid duration %q: %w", s, err)
		}
		rest = rest[n:]
		u := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' })
		if u < 0 {
			u = len(rest)
		}
		terms = append(terms, syntax.Magnitude{Magnitude: amount, Unit: rest[:u]})
		rest = rest[u:]
	}
	if len(terms) == 0 {
		return Span{}, fmt.Errorf("invalid duration %q: write numbers with units, such as 1h30m", s)
	}
	d, err := SpanOf(terms)
	if negative {
		d = d.Negate()
	}
	return d, err
}

// IsZero reports whether d is no time at all.
func (d Span) IsZero() bool { return d == Span{} }

// Negative reports whether d goes back in time.
func (d Span) Negative() bool { return d.Months < 0 || d.Nanos < 0 }

// Negate returns -d.
func (d Span) Negate() Span { return Span{-d.Months, -d.Nanos} }

// Plus returns d and o together.
func (d Span) Plus(o Span) Span { return Span{d.Months + o.Months, d.Nanos + o.Nanos} }

// Times returns d n times.
func (d Span) Times(n int64) Span { return Span{d.Months * n, d.Nanos * n} }

// Fixed returns the length of d in nanoseconds if it has no months.
func (d Span) Fixed() (int64, bool) { return d.Nanos, d.Months == 0 }

// AddTo returns the time (nanoseconds since 1970) d after t on the clocks of
// zone: months first, where a day that the month does not have becomes its
// last, then nanoseconds.
func (d Span) AddTo(t int64, zone *time.Location) int64 {
	if d.Months != 0 {
		at := time.Unix(0, t).In(zone)
		y, m, dd := at.Date()
		first := time.Date(y, m+time.Month(d.Months), 1, 0, 0, 0, 0, time.UTC)
		if last := first.AddDate(0, 1, -1).Day(); dd > last {
			dd = last
		}
		h, mi, s := at.Clock()
		t = time.Date(first.Year(), first.Month(), dd, h, mi, s, at.Nanosecond(), zone).UnixNano()
	}
	return t + d.Nanos
}

// String renders d as a literal of the language, such as 1y2mo3h.
func (d Span) String() string {
	if d.IsZero() {
		return "0ns"
	}
	var b []byte
	if d.Negative() {
		b = append(b, '-')
	}
	put := func(n int64, unit string) {
		if n != 0 {
			b = append(strconv.AppendUint(b, uint64(max(n, -n)), 10), unit...)
		}
	}
	put(d.Months/12, "y")
	put(d.Months%12, "mo")
	n := d.Nanos
	for _, u := range []struct {
		size int64
		name string
	}{{week, "w"}, {day, "d"}, {int64(time.Hour), "h"}, {int64(time.Minute), "m"}, {int64(time.Second), "s"},
		{int64(time.Millisecond), "ms"}, {int64(time.Microsecond), "us"}, {1, "ns"}} {
		put(n/u.size, u.name)
		n %= u.size
	}
	return string(b)
}
