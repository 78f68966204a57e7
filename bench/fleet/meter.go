package fleet

import (
	"math/rand/v2"
	"strconv"
)

// meters are many small devices. What distinguishes them is computed from
// their number, so that a million of them need no table of heads.
type meters struct {
	rng   *rand.Rand
	state []float32 // the energy counter of each meter, in kWh
}

// meterFields is the number of fields of every row.
const meterFields = 5

func newMeters(n int, rng *rand.Rand) *meters {
	m := &meters{rng: rng, state: make([]float32, n)}
	for i := range m.state {
		m.state[i] = float32(between(rng, 0, 5000))
	}
	return m
}

func (m *meters) rows() int { return len(m.state) }

func (m *meters) append(dst []byte, row int, gaps *gaps) ([]byte, int) {
	dst = append(dst, "meter,id=m_"...)
	dst = strconv.AppendUint(dst, uint64(row), 10)
	dst = append(dst, ",site=s_"...)
	dst = strconv.AppendUint(dst, mix(uint64(row))%1000, 10)
	dst = append(dst, ",phase=L"...)
	dst = append(dst, '1'+byte(row%3), ' ')
	power := between(m.rng, 0, 11)
	m.state[row] += float32(power / 360)
	values := 0
	for i := range meterFields {
		if gaps.next(values, i == meterFields-1) {
			continue
		}
		if values > 0 {
			dst = append(dst, ',')
		}
		switch i {
		case 0:
			dst = appendDecimal(append(dst, "power="...), power, 3)
		case 1:
			dst = appendDecimal(append(dst, "voltage="...), 230+3*m.rng.NormFloat64(), 1)
		case 2:
			dst = appendDecimal(append(dst, "energy="...), float64(m.state[row]), 2)
		case 3:
			dst = append(strconv.AppendUint(append(dst, "signal="...), 40+m.rng.Uint64N(60), 10), 'i')
		default:
			dst = append(dst, "ok=true"...)
		}
		values++
	}
	return append(dst, ' '), values
}
