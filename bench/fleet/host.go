package fleet

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// hostFields are the fields of a host as they stand in a line. As in TSBS
// every one is a walk of its own between 0 and 100 with normal steps of
// variance 1, cut down to a whole number.
var hostFields = [...]string{
	"usage_user=", "usage_system=", "usage_idle=", "usage_nice=", "usage_iowait=",
	"usage_irq=", "usage_softirq=", "usage_steal=", "usage_guest=", "usage_guest_nice=",
}

// HostFields are the names of a host's fields.
func HostFields() []string {
	names := make([]string, len(hostFields))
	for i, f := range hostFields {
		names[i] = f[:len(f)-1]
	}
	return names
}

type hosts struct {
	rng   *rand.Rand
	heads [][]byte // measurement and tags of each host, with the blank
	state []float32
}

func newHosts(n int, rng *rand.Rand) *hosts {
	regions := []struct {
		name  string
		zones string // the letters of its datacenters
	}{
		{"us-east-1", "abce"}, {"us-west-1", "ab"}, {"us-west-2", "abc"},
		{"eu-west-1", "abc"}, {"eu-central-1", "ab"}, {"ap-southeast-1", "ab"},
		{"ap-southeast-2", "ab"}, {"ap-northeast-1", "ac"}, {"sa-east-1", "abc"},
	}
	h := &hosts{rng: rng, heads: make([][]byte, n), state: make([]float32, n*len(hostFields))}
	for i := range h.heads {
		region := regions[rng.IntN(len(regions))]
		h.heads[i] = fmt.Appendf(nil, "cpu,hostname=host_%d,region=%s,datacenter=%s%c,rack=%d,os=%s,arch=%s,team=%s,"+
			"service=%d,service_version=%d,service_environment=%s ",
			i, region.name, region.name, region.zones[rng.IntN(len(region.zones))], rng.IntN(100),
			pick(rng, []string{"Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"}),
			pick(rng, []string{"x64", "x86"}),
			pick(rng, []string{"SF", "NYC", "LON", "CHI"}),
			rng.IntN(20), rng.IntN(2),
			pick(rng, []string{"production", "staging", "test"}))
	}
	for i := range h.state {
		h.state[i] = float32(between(rng, 0, 100))
	}
	return h
}

func (h *hosts) rows() int { return len(h.heads) }

func (h *hosts) append(dst []byte, row int, gaps *gaps) ([]byte, int) {
	dst = append(dst, h.heads[row]...)
	state := h.state[row*len(hostFields):][:len(hostFields)]
	values := 0
	for i, name := range hostFields {
		state[i] = float32(clamp(float64(state[i])+h.rng.NormFloat64(), 0, 100))
		if gaps.next(values, i == len(hostFields)-1) {
			continue
		}
		if values > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, name...)
		dst = strconv.AppendUint(dst, uint64(state[i]), 10)
		dst = append(dst, 'i')
		values++
	}
	return append(dst, ' '), values
}
