package rowmap

import (
	"math"
	"math/big"
	"strings"
	"time"
)

// nanosOf returns the time that v, which is neither Absent nor Null, shows, in
// nanoseconds since 1970, and "" or what is wrong. A clock without a zone shows
// the time of zone. unit is how many nanoseconds a number counts by, 0 if
// that is not declared.
func (v Value) nanosOf(unit time.Duration, zone *time.Location) (int64, string) {
	switch v.Kind {
	case Instant:
		return v.Int, ""
	case Wall:
		return onWall(time.Unix(0, v.Int).UTC(), zone)
	case Number:
		if unit == 0 {
			return 0, "is a number, and the declaration does not say of which unit: add unit: s, ms, us, ns or days"
		}
		return counted(v.Text, unit, zone)
	case Text:
		if unit != 0 {
			if ns, problem := counted(v.Text, unit, zone); problem == "" {
				return ns, ""
			}
		}
		return parseTime(v.Text, zone)
	}
	return 0, "is not a time"
}

// counted returns the time that n units since 1970 are. Debezium counts what a
// clock without a zone shows as if it were UTC, so that a zone is good for
// numbers too.
func counted(n string, unit time.Duration, zone *time.Location) (int64, string) {
	ns, problem := count(n, unit)
	if problem != "" || zone == time.UTC {
		return ns, problem
	}
	return onWall(time.Unix(0, ns).UTC(), zone)
}

// maxNumberText bounds the text of a number that counts time.
const maxNumberText = 40

// count returns n units in nanoseconds.
func count(n string, unit time.Duration) (int64, string) {
	if i, ok := integer(n); ok {
		if ns := i * int64(unit); ns/int64(unit) == i {
			return ns, ""
		}
		return 0, "is out of range: times reach from 1677 to 2262"
	}
	if len(n) > maxNumberText || strings.ContainsAny(n, "eExXpP_/") {
		return 0, "is not a time"
	}
	r, ok := new(big.Rat).SetString(n)
	if !ok {
		return 0, "is not a time"
	}
	r.Mul(r, new(big.Rat).SetInt64(int64(unit)))
	q := new(big.Int).Quo(r.Num(), r.Denom())
	if !q.IsInt64() {
		return 0, "is out of range: times reach from 1677 to 2262"
	}
	return q.Int64(), ""
}

// integer reads a whole number of up to 18 digits.
func integer(s string) (n int64, ok bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 18 {
		return 0, false
	}
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if len(digits) < len(s) {
		n = -n
	}
	return n, true
}

// onWall returns the instant at which a clock in zone shows what t shows.
func onWall(t time.Time, zone *time.Location) (int64, string) {
	if zone != time.UTC {
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
	}
	return nanos(t)
}

func nanos(t time.Time) (int64, string) {
	if s := t.Unix(); s <= math.MinInt64/int64(time.Second) || s >= math.MaxInt64/int64(time.Second) {
		return 0, "is out of range: times reach from 1677 to 2262"
	}
	return t.UnixNano(), ""
}

// parseTime reads a date, with or without a time of the day, with or without an
// offset, as RFC 3339 and the ISO style of PostgreSQL and MySQL write them.
func parseTime(s string, zone *time.Location) (int64, string) {
	const bad = "is not a time such as 2026-01-02T15:04:05Z or 2026-01-02 15:04:05.123"
	p := reader{text: strings.TrimSpace(s)}
	year := p.number(4)
	p.byte('-')
	month := p.number(2)
	p.byte('-')
	day := p.number(2)
	var hour, minute, second, fraction int
	offset, given := 0, false
	if p.next() == ' ' || p.next() == 'T' || p.next() == 't' {
		p.at++
		hour = p.number(2)
		p.byte(':')
		minute = p.number(2)
		if p.next() == ':' {
			p.at++
			second = p.number(2)
		}
		if p.next() == '.' {
			p.at++
			fraction = p.fraction()
		}
		offset, given = p.offset()
	}
	if p.bad || p.at != len(p.text) || hour > 23 || minute > 59 || second > 59 {
		return 0, bad
	}
	in := zone
	if given {
		in = time.UTC
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, fraction, in)
	if t.Year() != year && in == time.UTC || month < 1 || month > 12 || day < 1 || day > 31 || daysIn(year, month) < day {
		return 0, bad
	}
	return nanos(t.Add(-time.Duration(offset) * time.Second))
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// reader reads the parts of a time.
type reader struct {
	text string
	at   int
	bad  bool
}

// next returns the byte that comes, 0 at the end.
func (p *reader) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *reader) byte(c byte) {
	if p.next() != c {
		p.bad = true
		return
	}
	p.at++
}

func (p *reader) number(digits int) (n int) {
	for range digits {
		c := p.next()
		if c < '0' || c > '9' {
			p.bad = true
			return 0
		}
		n, p.at = 10*n+int(c-'0'), p.at+1
	}
	return n
}

// fraction reads the digits of a fraction of a second; what is less than a
// nanosecond is cut off.
func (p *reader) fraction() (ns int) {
	digits := 0
	for ; p.next() >= '0' && p.next() <= '9'; p.at++ {
		if digits < 9 {
			ns, digits = 10*ns+int(p.next()-'0'), digits+1
		}
	}
	p.bad = p.bad || digits == 0
	for ; digits < 9; digits++ {
		ns *= 10
	}
	return ns
}

// offset reads Z, +05, +05:30, +0530 or +05:30:15, in seconds east of UTC.
func (p *reader) offset() (seconds int, given bool) {
	if p.next() == ' ' {
		p.at++
	}
	sign := 1
	switch p.next() {
	case 0:
		return 0, false
	case 'Z', 'z':
		p.at++
		return 0, true
	case '-':
		sign = -1
	case '+':
	default:
		p.bad = true
		return 0, false
	}
	p.at++
	seconds = p.number(2) * 3600
	for _, unit := range []int{60, 1} {
		if p.next() == 0 {
			break
		}
		if p.next() == ':' {
			p.at++
		}
		seconds += p.number(2) * unit
	}
	return sign * seconds, true
}
