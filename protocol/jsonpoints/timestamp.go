package jsonpoints

import (
	"errors"
	"fmt"
	"math"

	"github.com/varvedb/varve/column"
)

// Numbers below these are seconds, milliseconds and microseconds; what is
// larger is nanoseconds. Each bound lies 3000 years after 1970, so that no
// unit is mistaken for the next for a time after 1973. Numbers that are not
// whole are seconds.
const (
	BelowIsSeconds = 1e11
	belowIsMillis  = 1e14
	belowIsMicros  = 1e17
)

// Since1970 returns the time of a whole number whose unit shows from its size,
// in nanoseconds; false if it is beyond 64 bits.
func Since1970(n int64) (nanos int64, ok bool) {
	unit := int64(1)
	switch a := math.Abs(float64(n)); {
	case a < BelowIsSeconds:
		unit = 1e9
	case a < belowIsMillis:
		unit = 1e6
	case a < belowIsMicros:
		unit = 1e3
	}
	if n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// The bounds of 64 bits of nanoseconds in whole seconds, less one at either end.
const (
	minSeconds = math.MinInt64/1_000_000_000 + 1
	maxSeconds = math.MaxInt64/1_000_000_000 - 1
)

func inRange(at int64) bool { return at >= column.MinTime && at <= column.MaxTime }

var (
	errTime  = errors.New("want a time such as 2026-01-02T15:04:05Z, with or without fraction and zone")
	errRange = errors.New("the time is outside of the years 1677 to 2262")
)

// Time reads a time of RFC 3339, in nanoseconds since 1970. The zone may be
// missing, which means UTC, a space may stand for the T, and a date alone is
// its midnight. Digits beyond nanoseconds are dropped.
func Time(text []byte) (int64, error) {
	bad := func() (int64, error) { return 0, fmt.Errorf("%s: %w", quote(text), errTime) }
	p := timeParser{text, true}
	year := p.digits(4)
	p.byte('-')
	month := p.digits(2)
	p.byte('-')
	day := p.digits(2)
	if !p.ok || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return bad()
	}
	seconds := daysSince1970(year, month, day) * 86400
	var nanos int64
	if len(p.rest) > 0 {
		if c := p.rest[0]; c != 'T' && c != ' ' {
			return bad()
		}
		p.rest = p.rest[1:]
		hour := p.digits(2)
		p.byte(':')
		minute := p.digits(2)
		p.byte(':')
		second := p.digits(2)
		if !p.ok || hour > 23 || minute > 59 || second > 59 {
			return bad()
		}
		seconds += hour*3600 + minute*60 + second
		nanos = p.fraction()
		offset := p.zone()
		if !p.ok || len(p.rest) > 0 {
			return bad()
		}
		seconds -= offset
	}
	if seconds < minSeconds || seconds > maxSeconds {
		return 0, fmt.Errorf("%s: %w", quote(text), errRange)
	}
	return seconds*1e9 + nanos, nil
}

// timeParser takes a time apart from the left.
type timeParser struct {
	rest []byte
	ok   bool
}

// digits reads exactly n digits.
func (p *timeParser) digits(n int) (v int64) {
	if len(p.rest) < n {
		p.ok = false
		return 0
	}
	for _, c := range p.rest[:n] {
		if c < '0' || c > '9' {
			p.ok = false
		}
		v = v*10 + int64(c-'0')
	}
	p.rest = p.rest[n:]
	return v
}

func (p *timeParser) byte(c byte) {
	if len(p.rest) == 0 || p.rest[0] != c {
		p.ok = false
		return
	}
	p.rest = p.rest[1:]
}

// fraction reads the part of a second, if there is one, in nanoseconds.
func (p *timeParser) fraction() (nanos int64) {
	if len(p.rest) == 0 || p.rest[0] != '.' {
		return 0
	}
	p.rest = p.rest[1:]
	n := 0
	for unit := int64(1e8); n < len(p.rest) && p.rest[n]-'0' <= 9; n++ {
		nanos += int64(p.rest[n]-'0') * unit
		unit /= 10
	}
	p.ok = p.ok && n > 0
	p.rest = p.rest[n:]
	return nanos
}

// zone reads the zone, if there is one, in seconds east of Greenwich.
func (p *timeParser) zone() int64 {
	if len(p.rest) == 0 {
		return 0
	}
	sign := p.rest[0]
	p.rest = p.rest[1:]
	if sign == 'Z' {
		return 0
	}
	hours := p.digits(2)
	p.byte(':')
	minutes := p.digits(2)
	p.ok = p.ok && (sign == '+' || sign == '-') && hours <= 23 && minutes <= 59
	offset := hours*3600 + minutes*60
	if sign == '-' {
		return -offset
	}
	return offset
}

func daysIn(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts days in years that begin with March, so that a leap day
// is the last of its year (Hinnant, "chrono-compatible date algorithms").
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
