package fleet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// The fields of a truck as they stand in a line.
var (
	readingFields = [...]string{
		"latitude=", "longitude=", "elevation=", "velocity=", "heading=", "grade=", "fuel_consumption=",
	}
	diagnosticFields = [...]string{"fuel_state=", "current_load=", "status="}
)

// loadChange is the chance that a truck loads or unloads in an interval, and
// so takes a new load; else its load stays.
const loadChange = 0.05

type trucks struct {
	rng         *rand.Rand
	readings    [][]byte // measurement and tags of each truck, with the blank
	diagnostics [][]byte
	reading     [][len(readingFields)]float64
	diagnostic  [][len(diagnosticFields)]float64
}

func newTrucks(n int, rng *rand.Rand) *trucks {
	models := []string{
		"model=F-150,device_version=%s,load_capacity=2000,fuel_capacity=200,nominal_fuel_consumption=15 ",
		"model=G-2000,device_version=%s,load_capacity=5000,fuel_capacity=300,nominal_fuel_consumption=19 ",
		"model=H-2,device_version=%s,load_capacity=1500,fuel_capacity=150,nominal_fuel_consumption=12 ",
	}
	t := &trucks{
		rng:         rng,
		readings:    make([][]byte, n),
		diagnostics: make([][]byte, n),
		reading:     make([][len(readingFields)]float64, n),
		diagnostic:  make([][len(diagnosticFields)]float64, n),
	}
	for i := range n {
		tags := fmt.Sprintf(",name=truck_%d,fleet=%s,driver=%s,", i,
			pick(rng, []string{"East", "West", "North", "South"}),
			pick(rng, []string{"Derek", "Rodney", "Albert", "Andy", "Seth", "Trish"}))
		tags += fmt.Sprintf(pick(rng, models), pick(rng, []string{"v1.0", "v1.5", "v2.0", "v2.3"}))
		t.readings[i] = []byte("readings" + tags)
		t.diagnostics[i] = []byte("diagnostics" + tags)
		t.reading[i] = [...]float64{
			between(rng, 0, 90), between(rng, 0, 180), between(rng, 0, 500), 0, between(rng, 0, 360), 0, 25,
		}
		t.diagnostic[i] = [...]float64{1, 0, 0}
	}
	return t
}

func (t *trucks) rows() int { return 2 * len(t.readings) }

// append writes the readings of all trucks, then the diagnostics of all.
func (t *trucks) append(dst []byte, row int, gaps *gaps) ([]byte, int) {
	if row < len(t.readings) {
		return t.appendReading(append(dst, t.readings[row]...), &t.reading[row], gaps)
	}
	row -= len(t.readings)
	return t.appendDiagnostic(append(dst, t.diagnostics[row]...), &t.diagnostic[row], gaps)
}

func (t *trucks) appendReading(dst []byte, s *[len(readingFields)]float64, gaps *gaps) ([]byte, int) {
	s[0] = clamp(s[0]+between(t.rng, -0.005, 0.005), -90, 90)
	s[1] = clamp(s[1]+between(t.rng, -0.005, 0.005), -180, 180)
	s[2] = clamp(s[2]+between(t.rng, -10, 10), 0, 5000)
	s[3] = clamp(s[3]+between(t.rng, -10, 10), 0, 100)
	s[4] = clamp(s[4]+between(t.rng, -5, 5), 0, 360)
	s[5] = clamp(s[5]+between(t.rng, -5, 5), 0, 100)
	s[6] = clamp(s[6]+between(t.rng, -5, 5), 0, 50)
	values := 0
	for i, name := range readingFields {
		if gaps.next(values, i == len(readingFields)-1) {
			continue
		}
		if values > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, name...)
		switch i {
		case 0, 1:
			dst = appendDecimal(dst, s[i], 5)
		case len(readingFields) - 1:
			dst = appendDecimal(dst, s[i], 1)
		default:
			dst = appendDecimal(dst, s[i], 0)
		}
		values++
	}
	return append(dst, ' '), values
}

func (t *trucks) appendDiagnostic(dst []byte, s *[len(diagnosticFields)]float64, gaps *gaps) ([]byte, int) {
	if s[0] -= between(t.rng, 0, 0.001); s[0] <= 0 {
		s[0] = 1 // filled up
	}
	if t.rng.Float64() < loadChange {
		s[1] = between(t.rng, 0, 5000)
	}
	s[2] = clamp(s[2]+t.rng.NormFloat64(), 0, 5)
	values := 0
	for i, name := range diagnosticFields {
		if gaps.next(values, i == len(diagnosticFields)-1) {
			continue
		}
		if values > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, name...)
		switch i {
		case 0:
			dst = appendDecimal(dst, s[0], 1)
		case 1:
			dst = appendDecimal(dst, s[1], 0)
		default:
			dst = append(strconv.AppendUint(dst, uint64(s[2]), 10), 'i')
		}
		values++
	}
	return append(dst, ' '), values
}

// appendDecimal writes x rounded to some decimals, without trailing zeros:
// the shortest text of the rounded number, as a client would send it.
func appendDecimal(dst []byte, x float64, decimals int) []byte {
	scale := uint64(1)
	for range decimals {
		scale *= 10
	}
	n := math.Round(x * float64(scale))
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	whole, rest := uint64(n)/scale, uint64(n)%scale
	dst = strconv.AppendUint(dst, whole, 10)
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for rest > 0 {
		scale /= 10
		dst = append(dst, '0'+byte(rest/scale))
		rest %= scale
	}
	return dst
}
