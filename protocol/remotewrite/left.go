package remotewrite

import (
	"math"
	"strconv"

	"github.com/varvedb/varve/protocol/rows"
)

// Left returns the samples and histograms that the last Decode left out, until the
// next one.
func (d *Decoder) Left() []rows.Left { return d.left.All() }

// describe appends samples of the present series, or the present histogram if there
// are none, for people to read; times are milliseconds.
//
//	"up"{"instance"="a:9100"} 1@1767366245000 0@1767366260000
func (d *Decoder) describe(dst []byte, samples []sample, enough int) []byte {
	dst = strconv.AppendQuote(dst, string(d.name))
	dst = append(dst, '{')
	for _, l := range d.labels {
		if len(dst) >= enough {
			break
		}
		dst = rows.AppendTag(dst, d.message[l.Name:l.NameEnd], d.message[l.Value:l.ValueEnd])
	}
	dst = append(dst, '}')
	number := func(name string, f float64) { dst = strconv.AppendFloat(append(dst, name...), f, 'g', -1, 64) }
	at := func(millis int64) { dst = strconv.AppendInt(append(dst, '@'), millis, 10) }
	for _, s := range samples {
		if len(dst) >= enough {
			return dst
		}
		number(" ", math.Float64frombits(s.value))
		at(s.at)
	}
	if h := &d.native; len(samples) == 0 {
		number(" count=", h.Count)
		number(" sum=", math.Float64frombits(h.sum))
		number(" zero_count=", h.ZeroCount)
		dst = strconv.AppendInt(append(dst, " schema="...), h.schema, 10)
		at(h.at)
	}
	return dst
}
