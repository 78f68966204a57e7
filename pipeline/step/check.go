package step

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/protocol/jsonrecord"
)

// require refuses a record that lacks one of some tags or fields.
type require struct {
	names []string
	time  string // what the decoder calls the time
}

func declareRequire(s *declare.Map, key string, names *rule.Names) Step {
	r := &require{names: s.Strings(key), time: names.Time}
	if len(r.names) == 0 {
		s.Fail(key, "want the names of tags or fields")
	}
	for _, name := range r.names {
		known(s, key, name, names, anyName)
	}
	return r
}

// Apply implements Step.
func (q *require) Apply(c *Context, r *record.Record) Outcome {
	for _, name := range q.names {
		if r.Field(name).Type != 0 || r.Tag(name) != "" {
			continue
		}
		// The time of the message is not what the sender was asked for: a Kafka
		// record always has one.
		if (name == nameTime || name == q.time) && r.Timed && !r.Lent {
			continue
		}
		return c.refuse("missing_"+word(name), name+" is missing")
	}
	return Pass
}

// word makes of a name a word for metrics.
func word(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '_'
	}, name)
}

// hasType refuses a record whose field has another type. A number that the type
// can hold is made one of it.
type hasType struct {
	name   string
	want   column.Type
	called string // the type, in the declaration
}

type types []hasType

func declareType(s *declare.Map, key string, names *rule.Names) Step {
	var all types
	for _, p := range s.Pairs(key) {
		t, ok := jsonrecord.ParseType(p.Value)
		if !ok {
			s.Add(declare.At(p.Node, s.Path(key)+"."+p.Key, "%q: want float, int, uint, string or bool", p.Value))
		}
		if have := names.Fields[p.Key]; known(s, key, p.Key, names, aField) && ok && have != 0 && have != t && !(numeric(have) && numeric(t)) {
			s.Add(declare.At(p.Node, s.Path(key)+"."+p.Key, "records that have %s are refused, because it is %s, and only numbers change their type: decode it as %s", p.Key, typeWords(have), p.Value))
		}
		names.Fields[p.Key] = t
		all = append(all, hasType{p.Key, t, p.Value})
	}
	if len(all) == 0 {
		s.Fail(key, "want fields and their types, such as {value: float}")
	}
	return all
}

// Apply implements Step.
func (all types) Apply(c *Context, r *record.Record) Outcome {
	out := Pass
	for i := range all {
		t := &all[i]
		for j := range r.Fields {
			f := &r.Fields[j]
			if f.Name != t.name || f.Type == t.want {
				continue
			}
			v, ok := f.Value.As(t.want)
			if !ok {
				return c.refuse("wrong_type", fmt.Sprintf("%s is %s, want %s", f.Name, f.Text(), t.called))
			}
			f.Value = v
			out = Changed
		}
	}
	return out
}

// within refuses a record whose field lies outside of bounds. A record without
// the field passes.
type within struct {
	field    string
	min, max float64
	has      [2]bool // min, max
	reason   string
}

func declareRange(s *declare.Map, key string, names *rule.Names) Step {
	m := s.Section(key)
	w := &within{field: m.Required("field")}
	w.min, w.has[0] = m.Float("min")
	w.max, w.has[1] = m.Float("max")
	w.reason = word(m.Text("reason", w.field+"_out_of_range"))
	switch {
	case w.field != "" && !w.has[0] && !w.has[1]:
		m.Fail("", "want min, max or both")
	case w.has[0] && w.has[1] && w.min > w.max:
		m.Fail("min", "%g is above max, %g", w.min, w.max)
	}
	if w.field != "" {
		known(m, "field", w.field, names, aNumber)
	}
	s.Add(m.Err())
	return w
}

// Apply implements Step.
func (w *within) Apply(c *Context, r *record.Record) Outcome {
	for i := range r.Fields {
		if r.Fields[i].Name != w.field {
			continue
		}
		f, ok := r.Fields[i].Number()
		if !ok {
			return c.refuse("wrong_type", w.field+" is not a number")
		}
		if w.has[0] && !(f >= w.min) || w.has[1] && !(f <= w.max) {
			return c.refuse(w.reason, fmt.Sprintf("%s is %s, want %s", w.field, r.Fields[i].Text(), w.bounds()))
		}
		return Pass
	}
	return Pass
}

func (w *within) bounds() string {
	format := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	switch {
	case !w.has[0]:
		return "at most " + format(w.max)
	case !w.has[1]:
		return "at least " + format(w.min)
	}
	return format(w.min) + " to " + format(w.max)
}

// holds refuses a record for which an expression does not hold.
type holds struct {
	rule   *rule.Rule
	reason string
	detail string
}

func declareRule(s *declare.Map, key string, names *rule.Names) Step {
	h := &holds{reason: "rule"}
	if n := s.Node(key); n.Kind == yaml.MappingNode {
		m := s.Section(key)
		if text := m.Required("that"); text != "" {
			h.rule = expression(m, "that", text, rule.Condition, *names)
		}
		h.reason, h.detail = word(m.Text("reason", h.reason)), m.Text("detail", "")
		s.Add(m.Err())
	} else {
		h.rule = expression(s, key, s.Text(key, ""), rule.Condition, *names)
	}
	return h
}

// Apply implements Step.
func (h *holds) Apply(c *Context, r *record.Record) Outcome {
	yes, err := h.rule.Holds(c.Scratch, r)
	if err != nil {
		return c.refuse(reasonRule, err.Error())
	}
	if yes {
		return Pass
	}
	if h.detail != "" {
		return c.refuse(h.reason, h.detail)
	}
	return c.refuse(h.reason, "does not hold: "+h.rule.Text())
}

// dropped leaves records out on purpose.
type dropped struct{ rule *rule.Rule }

func declareDrop(s *declare.Map, key string, names *rule.Names) Step {
	return &dropped{expression(s, key, s.Text(key, ""), rule.Condition, *names)}
}

// Apply implements Step.
func (d *dropped) Apply(c *Context, r *record.Record) Outcome {
	yes, err := d.rule.Holds(c.Scratch, r)
	if err != nil {
		return c.refuse(reasonRule, err.Error())
	}
	if !yes {
		return Pass
	}
	c.Reason, c.Detail = "rule", d.rule.Text()
	return Drop
}
