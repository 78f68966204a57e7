// Package fleet makes line protocol of simulated fleets from a seed: the same
// configuration gives the same bytes. The values follow the Time Series
// Benchmark Suite (TSBS): hosts as in its devops use case, trucks as in iot.
//
// A Generator streams lines in time order, interval by interval and within an
// interval device by device. A Pool holds the bodies of some intervals
// rendered beforehand, and hands them out round after round with their
// timestamps moved on, so that a load of any length costs its loader next to
// nothing. Neither is safe for concurrent use, but Pool.Take is.
package fleet

import (
	"math"
	"math/rand/v2"
	"time"
)

// Row is what a caller may want to know about a line.
type Row struct {
	Time   int64 // nanoseconds since 1970
	Values int   // number of fields
	Step   int64 // the interval in which it was sent, 0 for the first
	Late   bool
}

// model renders the rows of one kind of fleet.
type model interface {
	// rows is the number of rows of one interval.
	rows() int
	// append writes line number row of the interval without its timestamp:
	// measurement, tags, blank, fields, blank. It moves the values on.
	append(dst []byte, row int, gaps *gaps) (out []byte, values int)
}

// Generator makes the lines of a fleet one after another.
type Generator struct {
	cfg    Config
	model  model
	gaps   gaps
	rng    *rand.Rand
	period int64 // intervals after which the pattern of withheld rows repeats
	maxLag int64 // intervals
	late   uint64
	step   int64
	row    int
}

// New returns the generator of the fleet.
func New(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return newGenerator(cfg, math.MaxInt64), nil
}

func newGenerator(cfg Config, period int64) *Generator {
	// Values and gaps draw from streams of their own, so that the same seed
	// gives the same walks with and without gaps.
	values := rand.New(rand.NewPCG(cfg.Seed, 0x76617276652d7631))
	gapped := rand.New(rand.NewPCG(cfg.Seed, 0x76617276652d6731))
	g := &Generator{
		cfg:    cfg,
		gaps:   gaps{rng: gapped, share: cfg.MissingFields},
		rng:    gapped,
		period: period,
		maxLag: int64(cfg.MaxLateness / cfg.Interval),
		late:   uint64(cfg.LateFraction * math.MaxUint64),
	}
	switch cfg.Kind {
	case Host:
		g.model = newHosts(cfg.Devices, values)
	case Truck:
		g.model = newTrucks(cfg.Devices, values)
	case Meter:
		g.model = newMeters(cfg.Devices, values)
	default:
		panic("BUG: fleet of kind " + string(cfg.Kind))
	}
	return g
}

// Step is the interval of the line that comes next.
func (g *Generator) Step() int64 { return g.step }

// Append appends the next line, its newline included.
func (g *Generator) Append(dst []byte) ([]byte, Row) {
	r := Row{Step: g.step}
	at := g.step
	if g.late > 0 && g.withheld(g.row, g.step) {
		at, r.Late = g.origin(g.row, g.step), true
	}
	r.Time = g.cfg.Start.UnixNano() + at*int64(g.cfg.Interval)
	dst, r.Values = g.model.append(dst, g.row, &g.gaps)
	dst = appendStamp(dst, r.Time)
	g.advance()
	return append(dst, '\n'), r
}

// advance goes on to the next row that is not missing.
func (g *Generator) advance() {
	for {
		if g.row++; g.row == g.model.rows() {
			g.row = 0
			g.step++
		}
		if g.cfg.MissingRows == 0 || g.rng.Float64() >= g.cfg.MissingRows {
			return
		}
	}
}

// withheld says whether the row of that interval does not arrive in its time.
func (g *Generator) withheld(row int, step int64) bool {
	if step %= g.period; step < 0 {
		step += g.period
	}
	return mix(g.cfg.Seed^mix(uint64(row)<<32^uint64(step))) < g.late
}

// origin picks the interval whose row arrives now instead: one that was
// withheld. The tries are bounded for the sake of fleets where hardly any row
// is late: at 1 % one row in ten thousand runs out of them, and then repeats a
// point that was sent.
func (g *Generator) origin(row int, step int64) int64 {
	at := step
	for range 1000 {
		if at = step - 1 - g.rng.Int64N(g.maxLag); g.withheld(row, at) {
			break
		}
	}
	return at
}

// mix is the finaliser of SplitMix64: a bijection whose every output bit
// depends on every input bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// gaps decides which fields a row lacks.
type gaps struct {
	rng   *rand.Rand
	share float64
}

// next says whether the next field is missing. The last field of a row is
// there when all before it are missing.
func (g *gaps) next(written int, last bool) bool {
	if g.share == 0 || g.rng.Float64() >= g.share {
		return false
	}
	return written > 0 || !last
}

// End is the time after the last row of the given number of rows of a fleet
// without gaps, rounded up to whole intervals.
func (c Config) End(rows int64) time.Time {
	per := int64(c.Devices)
	if c.Kind == Truck {
		per *= 2
	}
	return c.Start.Add(time.Duration((rows+per-1)/per) * c.Interval)
}
