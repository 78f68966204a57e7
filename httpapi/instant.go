package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/jsonpoints"
)

// instant is a time as people write it in a request: RFC 3339 (UTC where no
// zone is given), relative to now (now, -1h, now-1h30m, -7d, -1mo), or a
// number since 1970 whose unit shows from its size.
type instant string

// UnmarshalJSON takes a string or a number.
func (t *instant) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	if string(b) == "null" {
		*t = ""
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("a time is a string or a number, not %s", b)
	}
	*t = instant(n)
	return nil
}

// nanos returns the time in nanoseconds since 1970.
func (t instant) nanos(now time.Time) (int64, error) {
	s := strings.TrimSpace(string(t))
	if s == "" {
		return 0, fmt.Errorf("the time is empty")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return scaled(n), nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(f) || math.Abs(f) >= jsonpoints.BelowIsSeconds {
			return 0, fmt.Errorf("time %q is not whole and too large for seconds", s)
		}
		// Parts of a second to the microsecond, which is what a float64 holds.
		return within(time.UnixMicro(int64(math.Round(f * 1e6))))
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02"} {
		if at, err := time.Parse(layout, s); err == nil {
			return within(at)
		}
	}
	rest := strings.TrimPrefix(s, "now")
	if rest == "" {
		return within(now)
	}
	if rest[0] == '-' || rest[0] == '+' {
		months, d, err := span(rest[1:])
		if err == nil {
			if rest[0] == '-' {
				months, d = -months, -d
			}
			return within(now.UTC().AddDate(0, months, 0).Add(d))
		}
	}
	return 0, fmt.Errorf("time %q is neither RFC 3339 (2026-01-02T15:04:05Z) nor relative (-1h, -7d) nor a number since 1970", s)
}

// scaled returns the time of a whole number, clipped as by within.
func scaled(n int64) int64 {
	at, ok := jsonpoints.Since1970(n)
	switch {
	case !ok && n < 0:
		return column.MinTime
	case !ok:
		return column.MaxTime
	}
	return at
}

// within clips to the range of stored times: an open end written as the year
// 1 or 9999 is meant as such.
func within(t time.Time) (int64, error) {
	if t.Before(time.Unix(0, column.MinTime)) {
		return column.MinTime, nil
	}
	if t.After(time.Unix(0, column.MaxTime)) {
		return column.MaxTime, nil
	}
	return t.UnixNano(), nil
}

// maxMonths is more than the range of stored times.
const maxMonths = 12 * 1000

// span reads a length of time: calendar months (mo, y) and fixed parts (w, d,
// h, m, s, ms, us, µs, ns), one behind the other, as in 1h30m.
func span(s string) (months int, d time.Duration, err error) {
	bad := fmt.Errorf("%q is not a length of time such as 30s, 5m, 1h, 1d, 1w, 1mo or 1y", s)
	if s == "" {
		return 0, 0, bad
	}
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 64)
		if err != nil {
			return 0, 0, bad
		}
		s = s[digits:]
		letters := strings.IndexAny(s, "0123456789")
		if letters < 0 {
			letters = len(s)
		}
		unit := s[:letters]
		s = s[letters:]
		var size time.Duration
		switch unit {
		case "y", "mo":
			if unit == "y" {
				n *= 12
			}
			if n < 0 || n > maxMonths || months+int(n) > maxMonths {
				return 0, 0, bad
			}
			months += int(n)
			continue
		case "w":
			size = 7 * 24 * time.Hour
		case "d":
			size = 24 * time.Hour
		case "h":
			size = time.Hour
		case "m":
			size = time.Minute
		case "s":
			size = time.Second
		case "ms":
			size = time.Millisecond
		case "us", "µs":
			size = time.Microsecond
		case "ns":
			size = time.Nanosecond
		default:
			return 0, 0, bad
		}
		if n > int64(math.MaxInt64/size) || d > math.MaxInt64-time.Duration(n)*size {
			return 0, 0, bad
		}
		d += time.Duration(n) * size
	}
	return months, d, nil
}
