package otlp

import (
	"math"
	"strconv"

	"github.com/varvedb/varve/protocol/rows"
)

// Left returns the data points that the last Decode left out, until the next one.
func (d *Decoder) Left() []rows.Left { return d.left.All() }

// describe appends the present data point for people to read, as far as it can be:
//
//	"requests"{"service.name"="shop"} count=3 sum=2.5 bounds=[1 2] counts=[1 1 1] time=1767366245000000000
func (d *Decoder) describe(dst []byte, enough int) []byte {
	p := &d.point
	dst = strconv.AppendQuote(dst, string(d.name))
	dst = append(dst, '{')
	for _, t := range d.scope {
		if len(dst) >= enough {
			break
		}
		dst = rows.AppendTag(dst, t.Key, t.Value)
	}
	var text []byte
	for _, message := range p.attributes {
		if len(dst) >= enough {
			break
		}
		key, value, err := keyValue(message)
		if err == nil {
			text, err = d.appendValue(text[:0], value, 0)
		}
		if err != nil {
			text = append(text[:0], "(cannot be read)"...)
		}
		dst = rows.AppendTag(dst, key, text)
	}
	dst = append(dst, '}')
	number := func(name string, f float64) { dst = appendFloat(append(dst, name...), f) }
	list := func(name string, all []float64) {
		if len(all) == 0 {
			return
		}
		dst = append(dst, name...)
		for i, f := range all {
			if len(dst) >= enough {
				break
			}
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = appendFloat(dst, f)
		}
		dst = append(dst, ']')
	}
	if p.has&hasValue != 0 {
		number(" value=", math.Float64frombits(p.value))
	} else {
		number(" count=", p.count)
		if p.has&hasSum != 0 {
			number(" sum=", p.sum)
		}
		if p.has&hasMin != 0 {
			number(" min=", p.min)
		}
		if p.has&hasMax != 0 {
			number(" max=", p.max)
		}
		if h := &p.exponential; h.Scale != 0 || len(h.Positive.Counts)+len(h.Negative.Counts) > 0 {
			number(" scale=", float64(h.Scale))
			number(" zero_count=", h.ZeroCount)
			list(" positive=[", h.Positive.Counts)
			list(" negative=[", h.Negative.Counts)
		} else {
			list(" bounds=[", p.bounds)
			list(" counts=[", p.counts)
		}
	}
	return strconv.AppendUint(append(dst, " time="...), p.time, 10)
}
