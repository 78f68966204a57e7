package bench

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

// Shape names a kind of question.
type Shape string

// The shapes. The ranges are as long as stated or as the data allows.
const (
	OneSeries  Shape = "one-series"    // one host, 1 h, 1-minute maxima of a field
	Hosts1     Shape = "100-hosts-1"   // 100 hosts, 12 h, hourly means of a field
	Hosts10    Shape = "100-hosts-10"  // the same of 10 fields
	LastOfEach Shape = "last-of-each"  // last value of a field of each host
	FieldAbove Shape = "field-above"   // rows of all hosts, 1 h, where a field is above a bound
	TagValues  Shape = "values-of-tag" // names of all hosts
)

// Shapes lists them all.
func Shapes() []Shape {
	return []Shape{OneSeries, Hosts1, Hosts10, LastOfEach, FieldAbove, TagValues}
}

// question is one question, in nobody's language.
type question struct {
	shape       Shape
	start, stop time.Time // stop is excluded
	hosts       []string  // nil for all
	fields      []string
	aggregation string        // empty for rows
	every       time.Duration // 0 for one window
	interval    time.Duration // between rows of a series
	above       float64
}

// ask draws a question of a shape: the same number gives the same question.
func (c QueryConfig) ask(shape Shape, number int) question {
	rng := rand.New(rand.NewPCG(c.Fleet.Seed, uint64(number)))
	fields := fleet.HostFields()
	q := question{shape: shape, fields: fields[:1], interval: c.Fleet.Interval}
	end := c.Fleet.End(c.Rows)
	switch shape {
	case OneSeries:
		q.aggregation, q.every = "max", time.Minute
		q.hosts = c.hosts(rng, 1)
		q.start, q.stop = c.within(rng, end, time.Hour, time.Minute)
	case Hosts1, Hosts10:
		q.aggregation, q.every = "mean", time.Hour
		q.hosts = c.hosts(rng, 100)
		q.start, q.stop = c.within(rng, end, 12*time.Hour, time.Hour)
		if shape == Hosts10 {
			q.fields = fields
		}
	case LastOfEach:
		q.aggregation = "last"
		q.start, q.stop = c.Fleet.Start, end
	case FieldAbove:
		q.above = c.Above
		q.start, q.stop = c.within(rng, end, time.Hour, time.Minute)
	case TagValues:
		q.start, q.stop = c.Fleet.Start, end
	default:
		panic("BUG: question of shape " + string(shape))
	}
	return q
}

// hosts draws n different hosts, or as many as there are.
func (c QueryConfig) hosts(rng *rand.Rand, n int) []string {
	names := make([]string, 0, n)
	for _, i := range rng.Perm(c.Fleet.Devices)[:min(n, c.Fleet.Devices)] {
		names = append(names, "host_"+strconv.Itoa(i))
	}
	return names
}

// within draws a range of some length that starts on a whole unit and lies in
// the data; where the data is shorter it is the whole of it.
func (c QueryConfig) within(rng *rand.Rand, end time.Time, length, unit time.Duration) (start, stop time.Time) {
	first := c.Fleet.Start.Truncate(unit)
	if first.Before(c.Fleet.Start) {
		first = first.Add(unit)
	}
	room := end.Sub(first) - length
	if room < 0 {
		return c.Fleet.Start, end
	}
	start = first.Add(time.Duration(rng.Int64N(int64(room/unit)+1)) * unit)
	return start, start.Add(length)
}
