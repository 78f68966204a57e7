package importer

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/protocol/lineproto"
)

// TimeFormat reads timestamps. It belongs to one goroutine.
type TimeFormat struct {
	unit    int64 // of numbers, in nanoseconds; 0: layouts
	layouts []string
	last    int // the layout that fitted before: mostly it fits again
	zone    *time.Location
}

// commonLayouts are tried in turn. A fraction of a second may follow each one
// that has seconds. Forms in which day and month could be confused are not
// among them.
func commonLayouts() []string {
	return []string{
		time.RFC3339,
		"2006-01-02 15:04:05",
		"2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05 Z0700",
		"2006-01-02 15:04:05 -0700 MST",
		"2006-01-02T15:04:05",
		"2006-01-02T15:04:05Z0700",
		"2006-01-02 15:04",
		"2006-01-02T15:04",
		"2006-01-02",
		"2006/01/02 15:04:05",
		"2006/01/02 15:04",
		"2006/01/02",
		"20060102T150405Z0700",
		time.RFC1123Z,
		time.RFC1123,
		time.RFC850,
		time.UnixDate,
		time.ANSIC,
	}
}

// NewTimeFormat returns a reader of times of a format: "s", "ms", "us" or "ns"
// since 1970, "rfc3339", a layout of Go's package time, or "" (or "auto") for
// RFC 3339 and other common forms. Times that name no zone are in zone; nil
// means UTC.
func NewTimeFormat(format string, zone *time.Location) (*TimeFormat, error) {
	f := &TimeFormat{zone: zone}
	if zone == nil {
		f.zone = time.UTC
	}
	switch strings.ToLower(format) {
	case "s":
		f.unit = int64(lineproto.Second)
	case "ms":
		f.unit = int64(lineproto.Millisecond)
	case "us":
		f.unit = int64(lineproto.Microsecond)
	case "ns":
		f.unit = int64(lineproto.Nanosecond)
	case "rfc3339":
		f.layouts = []string{time.RFC3339}
	case "", "auto":
		f.layouts = commonLayouts()
	default:
		// A layout has to tell two years apart, or it is a typing error.
		a := time.Date(2006, 1, 2, 0, 0, 0, 0, time.UTC)
		if a.Format(format) == a.AddDate(1, 0, 0).Format(format) {
			return nil, fmt.Errorf("time format %q: want s, ms, us, ns, rfc3339, auto or a layout of Go such as %q", format, "02.01.2006 15:04:05")
		}
		f.layouts = []string{format}
	}
	return f, nil
}

// Parse returns nanoseconds since 1970.
func (f *TimeFormat) Parse(cell string) (int64, error) {
	cell = strings.TrimSpace(cell)
	if cell == "" {
		return 0, errors.New("time is empty")
	}
	if f.unit != 0 {
		return parseUnix(cell, f.unit)
	}
	if t, err := time.ParseInLocation(f.layouts[f.last], cell, f.zone); err == nil {
		return nanoseconds(t, cell)
	}
	for i, layout := range f.layouts {
		if t, err := time.ParseInLocation(layout, cell, f.zone); err == nil {
			f.last = i
			return nanoseconds(t, cell)
		}
	}
	if _, err := strconv.ParseFloat(cell, 64); err == nil {
		return 0, fmt.Errorf("time %q is a number: say its unit (s, ms, us or ns)", cell)
	}
	return 0, fmt.Errorf("time %q has another form than expected", cell)
}

func nanoseconds(t time.Time, cell string) (int64, error) {
	const second = int64(time.Second)
	if s := t.Unix(); s <= math.MinInt64/second || s >= math.MaxInt64/second {
		return 0, outOfRange(cell)
	}
	return t.UnixNano(), nil
}

func outOfRange(cell string) error {
	return fmt.Errorf("time %q is out of range (years 1678 to 2261)", cell)
}

// parseUnix reads a decimal number of units, exactly: digits beyond
// nanoseconds are cut off.
func parseUnix(cell string, unit int64) (int64, error) {
	whole, fraction, _ := strings.Cut(cell, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, outOfRange(cell)
	}
	if err != nil {
		return 0, fmt.Errorf("time %q is not a number", cell)
	}
	if n > lineproto.MaxTime/unit || n < lineproto.MinTime/unit {
		return 0, outOfRange(cell)
	}
	ns, rest := n*unit, int64(0)
	scale := unit
	for i := range len(fraction) {
		c := fraction[i]
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("time %q is not a number", cell)
		}
		scale /= 10
		rest += int64(c-'0') * scale
	}
	if strings.HasPrefix(whole, "-") {
		rest = -rest
	}
	if rest > 0 && ns > lineproto.MaxTime-rest || rest < 0 && ns < lineproto.MinTime-rest {
		return 0, outOfRange(cell)
	}
	return ns + rest, nil
}
