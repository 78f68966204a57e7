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
	seconds, nanos := int(rest/int64(time.Second)), int(rest%int64(time.Second))
	var at [len("2020-01-02T03:04:05.123456789Z")]byte
	copy(at[:], c.date[:])
	two(at[11:13], seconds/3600)
	at[13] = ':'
	two(at[14:16], seconds/60%60)
	at[16] = ':'
	two(at[17:19], seconds%60)
	n := 19
	if nanos != 0 {
		at[19] = '.'
		for n = 28; n > 19; n-- {
			at[n] = byte('0' + nanos%10)
			nanos /= 10
		}
		for n = 29; at[n-1] == '0'; n-- {
		}
	}
	at[n] = 'Z'
	return append(b, at[:n+1]...)
}

// two writes a number below 100.
func two(b []byte, n int) { b[0], b[1] = byte('0'+n/10), byte('0'+n%10) }
