package step

import (
	"math"
	"slices"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
)

// unit is a unit of measurement: a value in it, plus shift, times up and divided
// by down, is a value in the base unit of its quantity. The ratio is two numbers so
// that what people expect comes out: 212 °F are 100 °C, not a little more.
type unit struct {
	quantity        string
	shift, up, down float64
}

// units are those that declarations may name: the coherent ones of the SI, what
// industrial devices report beside them, and their exact ratios where they are
// defined by one (BIPM, The International System of Units, 9th edition; NIST
// SP 811, appendix B).
func units() map[string]unit {
	return map[string]unit{
		"C": {"temperature", 0, 1, 1}, "°C": {"temperature", 0, 1, 1}, "K": {"temperature", -273.15, 1, 1},
		"F": {"temperature", -32, 5, 9}, "°F": {"temperature", -32, 5, 9},
		"Pa": {"pressure", 0, 1, 1}, "hPa": {"pressure", 0, 100, 1}, "mbar": {"pressure", 0, 100, 1}, "kPa": {"pressure", 0, 1e3, 1},
		"MPa": {"pressure", 0, 1e6, 1}, "bar": {"pressure", 0, 1e5, 1}, "psi": {"pressure", 0, 6894.757293168361, 1},
		"atm": {"pressure", 0, 101325, 1}, "mmHg": {"pressure", 0, 133.322387415, 1}, "inHg": {"pressure", 0, 3386.389, 1},
		"m": {"length", 0, 1, 1}, "mm": {"length", 0, 1, 1e3}, "cm": {"length", 0, 1, 100}, "km": {"length", 0, 1e3, 1},
		"in": {"length", 0, 254, 1e4}, "ft": {"length", 0, 3048, 1e4}, "mi": {"length", 0, 1609344, 1e3},
		"m/s": {"speed", 0, 1, 1}, "mm/s": {"speed", 0, 1, 1e3}, "km/h": {"speed", 0, 5, 18}, "mph": {"speed", 0, 44704, 1e5},
		"kn":   {"speed", 0, 1852, 3600},
		"m/s2": {"acceleration", 0, 1, 1}, "g": {"acceleration", 0, 980665, 1e5},
		"J": {"energy", 0, 1, 1}, "kJ": {"energy", 0, 1e3, 1}, "Wh": {"energy", 0, 3600, 1}, "kWh": {"energy", 0, 3.6e6, 1}, "MWh": {"energy", 0, 3.6e9, 1},
		"W": {"power", 0, 1, 1}, "kW": {"power", 0, 1e3, 1}, "MW": {"power", 0, 1e6, 1},
		"V": {"voltage", 0, 1, 1}, "mV": {"voltage", 0, 1, 1e3}, "kV": {"voltage", 0, 1e3, 1},
		"A": {"current", 0, 1, 1}, "mA": {"current", 0, 1, 1e3},
		"kg": {"mass", 0, 1, 1}, "gram": {"mass", 0, 1, 1e3}, "t": {"mass", 0, 1e3, 1}, "lb": {"mass", 0, 45359237, 1e8},
		"m3": {"volume", 0, 1, 1}, "L": {"volume", 0, 1, 1e3}, "mL": {"volume", 0, 1, 1e6}, "gal": {"volume", 0, 3785411784, 1e12},
		"s": {"time", 0, 1, 1}, "ms": {"time", 0, 1, 1e3}, "us": {"time", 0, 1, 1e6}, "min": {"time", 0, 60, 1}, "h": {"time", 0, 3600, 1},
		"B": {"data", 0, 1, 1}, "kB": {"data", 0, 1e3, 1}, "MB": {"data", 0, 1e6, 1}, "KiB": {"data", 0, 1 << 10, 1}, "MiB": {"data", 0, 1 << 20, 1},
		"ratio": {"ratio", 0, 1, 1}, "%": {"ratio", 0, 1, 100}, "ppm": {"ratio", 0, 1, 1e6},
		"Hz": {"frequency", 0, 1, 1}, "kHz": {"frequency", 0, 1e3, 1}, "rpm": {"frequency", 0, 1, 60},
		"rad": {"angle", 0, 1, 1}, "deg": {"angle", 0, math.Pi, 180},
	}
}

// convert turns a number into another unit, or scales it.
type convert struct {
	field, into string
	from, to    unit
}

func declareConvert(s *declare.Map, key string, names *rule.Names) Step {
	m := s.Section(key)
	c := &convert{field: m.Required("field"), from: unit{up: 1, down: 1}, to: unit{up: 1, down: 1}}
	c.into = m.Text("into", c.field)
	from, to := m.Text("from", ""), m.Text("to", "")
	scale, scaled := m.Float("scale")
	offset, shifted := m.Float("offset")
	all := units()
	switch {
	case (from != "" || to != "") && (scaled || shifted):
		m.Fail("", "want from and to, or scale and offset, not both")
	case from != "" || to != "":
		a, okA := all[from]
		b, okB := all[to]
		var names []string
		for u := range all {
			names = append(names, u)
		}
		slices.Sort(names)
		switch {
		case !okA:
			m.Fail("from", "unknown unit %q; known are %s", from, strings.Join(names, " "))
		case !okB:
			m.Fail("to", "unknown unit %q; known are %s", to, strings.Join(names, " "))
		case a.quantity != b.quantity:
			m.Fail("to", "%s is a unit of %s, %s one of %s", to, b.quantity, from, a.quantity)
		}
		c.from, c.to = a, b
	case !finite(scale):
		m.Fail("scale", "want a finite number")
	case !finite(offset):
		m.Fail("offset", "want a finite number")
	case scaled || shifted:
		if scaled {
			c.from.up = scale
		}
		c.to.shift = -offset
	default:
		m.Fail("", "want from and to (units), or scale and offset (numbers)")
	}
	if c.field != "" {
		known(m, "field", c.field, names, aNumber)
		if c.into != c.field {
			mayName(m, "into", c.into, names, false)
		}
		names.Fields[c.into] = column.Float64
	}
	s.Add(m.Err())
	return c
}

// Apply implements Step.
func (v *convert) Apply(c *Context, r *record.Record) Outcome {
	have := r.Field(v.field)
	if have.Type == 0 {
		return Pass
	}
	f, ok := have.Number()
	if !ok {
		return c.refuse("wrong_type", v.field+" is not a number")
	}
	if !finite(f) {
		return Pass // such as the staleness marker of Prometheus, which is in no unit
	}
	f = (f + v.from.shift) * v.from.up / v.from.down
	f = f*v.to.down/v.to.up - v.to.shift
	if !finite(f) {
		return c.refuse("not_finite", v.field+" is "+have.Text()+", which is too large to be converted")
	}
	r.Set(v.into, record.Float(f))
	return Changed
}

func finite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }
