package anncsv

import "time"

// clock writes times. Rows of a table are mostly within one day of each other,
// whose date is written once.
type clock struct {
	day  int64 // since 1970
	date [11]byte
	set  bool
}

const nanosOfDay = int64(24 * time.Hour)

// append appends a time (nanoseconds since 1970) in UTC like
// 2020-01-02T03:04:05.678Z, with as many digits as it needs.
func (c *clock) append(b []byte, t int64) []byte {
	day, rest := t/nanosOfDay, t%nanosOfDay
	if rest < 0 {
		day, rest = day-1, rest+nanosOfDay
	}
	if !c.set || day != c.day {
		at := time.Unix(day*86400, 0).UTC()
		copy(c.date[:], at.AppendFormat(nil, "2006-01-02T"))
		c.day, c.set = day, true
	}
	b = append(b, c.date[:]...)
	seconds, nanos := rest/int64(time.Second), rest%int64(time.Second)
	b = appendTwo(b, seconds/3600)
	b = appendTwo(append(b, ':'), seconds/60%60)
	b = appendTwo(append(b, ':'), seconds%60)
	if nanos != 0 {
		var digits [9]byte
		for i := 8; i >= 0; i-- {
			digits[i] = byte('0' + nanos%10)
			nanos /= 10
		}
		n := 9
		for digits[n-1] == '0' {
			n--
		}
		b = append(append(b, '.'), digits[:n]...)
	}
	return append(b, 'Z')
}

func appendTwo(b []byte, n int64) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
