package date

import (
	"strings"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// boundaries returns date/boundaries, which has two paths: where days, weeks and
// months begin and end, on the clocks of the option location. A day of the week
// is the last one before today.
func boundaries(path string) *lib.Package {
	p := lib.New(path)
	for day := time.Sunday; day <= time.Saturday; day++ {
		p.Func(strings.ToLower(day.String()), "", func(c *value.Call) (value.Value, error) {
			return stretch(c, func(today time.Time) (from, to time.Time) {
				back := (int(today.Weekday()) - int(day) + 6) % 7
				from = today.AddDate(0, 0, -back-1)
				return from, from.AddDate(0, 0, 1)
			})
		})
	}
	p.Func("yesterday", "", func(c *value.Call) (value.Value, error) {
		return stretch(c, func(today time.Time) (from, to time.Time) { return today.AddDate(0, 0, -1), today })
	})
	p.Func("week", "?start_sunday: bool, ?week_offset: int", func(c *value.Call) (value.Value, error) {
		return stretch(c, func(today time.Time) (from, to time.Time) {
			first := time.Monday
			if c.Bool("start_sunday", false) {
				first = time.Sunday
			}
			back := (int(today.Weekday()) - int(first) + 7) % 7
			from = today.AddDate(0, 0, -back+7*int(c.Int("week_offset", 0)))
			return from, from.AddDate(0, 0, 7)
		})
	})
	p.Func("month", "?month_offset: int", func(c *value.Call) (value.Value, error) {
		return stretch(c, func(today time.Time) (from, to time.Time) {
			from = today.AddDate(0, int(c.Int("month_offset", 0)), 1-today.Day())
			return from, from.AddDate(0, 1, 0)
		})
	})
	return p
}

// stretch returns a record of start and stop.
func stretch(c *value.Call, of func(today time.Time) (from, to time.Time)) (value.Value, error) {
	now, err := flow.Now(c)
	if err != nil {
		return value.Value{}, err
	}
	zone, err := flow.RunOf(c).Zone()
	if err != nil {
		return value.Value{}, err
	}
	y, m, d := time.Unix(0, now).In(zone).Date()
	from, to := of(time.Date(y, m, d, 0, 0, 0, 0, zone))
	return value.OfRecord(value.NewRecord([]string{"start", "stop"}, []value.Value{value.OfTime(from.UnixNano()), value.OfTime(to.UnixNano())})), nil
}
