package step

import (
	"slices"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
)

// unit is a unit of measurement: a value in it, times scale and plus offset, is
// a value in the base unit of its quantity.
type unit struct {
	quantity      string
	scale, offset float64
}

// units are those that declarations may name: the coherent ones of the SI, what
// industrial devices report beside them, and their exact ratios where they are
// defined by one (BIPM, The International System of Units, 9th edition; NIST
// SP 811, appendix B).
func units() map[string]unit {
	return map[string]unit{
		"K": {"temperature", 1, 0}, "C": {"temperature", 1, 273.15}, "°C": {"temperature", 1, 273.15},
		"F": {"temperature", 5. / 9, 459.67 * 5 / 9}, "°F": {"temperature", 5. / 9, 459.67 * 5 / 9},
		"Pa": {"pressure", 1, 0}, "hPa": {"pressure", 100, 0}, "mbar": {"pressure", 100, 0}, "kPa": {"pressure", 1e3, 0},
		"MPa": {"pressure", 1e6, 0}, "bar": {"pressure", 1e5, 0}, "psi": {"pressure", 6894.757293168361, 0},
		"atm": {"pressure", 101325, 0}, "mmHg": {"pressure", 133.322387415, 0}, "inHg": {"pressure", 3386.389, 0},
		"m": {"length", 1, 0}, "mm": {"length", 1e-3, 0}, "cm": {"length", 1e-2, 0}, "km": {"length", 1e3, 0},
		"in": {"length", 0.0254, 0}, "ft": {"length", 0.3048, 0}, "mi": {"length", 1609.344, 0},
		"m/s": {"speed", 1, 0}, "mm/s": {"speed", 1e-3, 0}, "km/h": {"speed", 1 / 3.6, 0}, "mph": {"speed", 0.44704, 0},
		"kn":   {"speed", 1852. / 3600, 0},
		"m/s2": {"acceleration", 1, 0}, "g": {"acceleration", 9.80665, 0},
		"J": {"energy", 1, 0}, "kJ": {"energy", 1e3, 0}, "Wh": {"energy", 3600, 0}, "kWh": {"energy", 3.6e6, 0}, "MWh": {"energy", 3.6e9, 0},
		"W": {"power", 1, 0}, "kW": {"power", 1e3, 0}, "MW": {"power", 1e6, 0},
		"V": {"voltage", 1, 0}, "mV": {"voltage", 1e-3, 0}, "kV": {"voltage", 1e3, 0},
		"A": {"current", 1, 0}, "mA": {"current", 1e-3, 0},
		"kg": {"mass", 1, 0}, "gram": {"mass", 1e-3, 0}, "t": {"mass", 1e3, 0}, "lb": {"mass", 0.45359237, 0},
		"L": {"volume", 1e-3, 0}, "mL": {"volume", 1e-6, 0}, "m3": {"volume", 1, 0}, "gal": {"volume", 3.785411784e-3, 0},
		"s": {"time", 1, 0}, "ms": {"time", 1e-3, 0}, "us": {"time", 1e-6, 0}, "min": {"time", 60, 0}, "h": {"time", 3600, 0},
		"B": {"data", 1, 0}, "kB": {"data", 1e3, 0}, "MB": {"data", 1e6, 0}, "KiB": {"data", 1 << 10, 0}, "MiB": {"data", 1 << 20, 0},
		"%": {"ratio", 1e-2, 0}, "ratio": {"ratio", 1, 0}, "ppm": {"ratio", 1e-6, 0},
		"Hz": {"frequency", 1, 0}, "kHz": {"frequency", 1e3, 0}, "rpm": {"frequency", 1. / 60, 0},
		"deg": {"angle", 3.14159265358979323846 / 180, 0}, "rad": {"angle", 1, 0},
	}
}

// convert turns a number into another unit.
type convert struct {
	field, into   string
	scale, offset float64
	divide        bool // by scale: keeps decimal ratios exact, as 1013.25 hPa
}

func declareConvert(s *declare.Map, key string, names *rule.Names) Step {
	m := s.Section(key)
	c := &convert{field: m.Required("field"), scale: 1}
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
		c.offset = (a.offset - b.offset) / b.scale
		if c.scale = a.scale / b.scale; b.scale > a.scale && a.scale != 0 {
			c.scale, c.divide = b.scale/a.scale, true
		}
	case scaled || shifted:
		if scaled {
			c.scale = scale
		}
		c.offset = offset
	default:
		m.Fail("", "want from and to (units), or scale and offset (numbers)")
	}
	if c.field != "" {
		known(m, "field", c.field, names)
		if names.Fields != nil {
			names.Fields[c.into] = column.Float64
		}
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
	if v.divide {
		f = f/v.scale + v.offset
	} else {
		f = f*v.scale + v.offset
	}
	r.Set(v.into, record.Float(f))
	return Changed
}
