package step

import (
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
)

// set gives fields values.
type set []assignment

type assignment struct {
	name string
	rule *rule.Rule
}

// assignments reads names and their expressions, in the order of the text: later
// ones see what earlier ones set.
func assignments(s *declare.Map, key string, names *rule.Names, note func(name string, r *rule.Rule)) []assignment {
	var all []assignment
	m := s.Section(key)
	for _, name := range m.Keys() {
		if r := expression(m, name, m.Text(name, ""), rule.Expression, *names); r != nil {
			note(name, r)
			all = append(all, assignment{name, r})
		}
	}
	s.Add(m.Err())
	if len(all) == 0 && m.Err() == nil {
		s.Fail(key, "want names and expressions, such as {fahrenheit: value * 1.8 + 32}")
	}
	return all
}

func declareSet(s *declare.Map, key string, names *rule.Names) Step {
	return set(assignments(s, key, names, func(name string, r *rule.Rule) {
		mayName(s, key, name, names, false)
		names.Fields[name] = r.TypeOf()
	}))
}

// Apply implements Step.
func (all set) Apply(c *Context, r *record.Record) Outcome {
	for i := range all {
		v, err := all[i].rule.Value(c.Scratch, r)
		if err != nil {
			return c.refuse(reasonRule, all[i].name+": "+err.Error())
		}
		r.Set(all[i].name, v)
	}
	return Changed
}

// setTag gives tags values.
type setTag []assignment

func declareSetTag(s *declare.Map, key string, names *rule.Names) Step {
	return setTag(assignments(s, key, names, func(name string, _ *rule.Rule) {
		mayName(s, key, name, names, true)
		if !slices.Contains(names.Tags, name) {
			names.Tags = append(names.Tags, name)
		}
	}))
}

// Apply implements Step.
func (all setTag) Apply(c *Context, r *record.Record) Outcome {
	for i := range all {
		v, err := all[i].rule.Value(c.Scratch, r)
		if err != nil {
			return c.refuse(reasonRule, all[i].name+": "+err.Error())
		}
		r.SetTag(all[i].name, v.Text())
	}
	return Changed
}

// measurement names the measurement.
type measurement struct{ rule *rule.Rule }

func declareMeasurement(s *declare.Map, key string, names *rule.Names) Step {
	return &measurement{expression(s, key, s.Text(key, ""), rule.Expression, *names)}
}

// Apply implements Step.
func (m *measurement) Apply(c *Context, r *record.Record) Outcome {
	v, err := m.rule.Value(c.Scratch, r)
	if err != nil {
		return c.refuse(reasonRule, err.Error())
	}
	name := v.Text()
	if name == "" {
		return c.refuse("no_measurement", m.rule.Text()+" gives no name")
	}
	r.Measurement = name
	return Changed
}

// rename gives tags and fields other names.
type rename [][2]string

func declareRename(s *declare.Map, key string, names *rule.Names) Step {
	var all rename
	sometimes := s.Peek("when") != nil
	for _, p := range s.Pairs(key) {
		known(s, key, p.Key, names, aColumn)
		wrong := func(format string, args ...any) {
			s.Add(declare.At(p.Node, s.Path(key)+"."+p.Key, format, args...))
		}
		_, taken := names.Fields[p.Value]
		switch taken = taken || slices.Contains(names.Tags, p.Value); {
		case p.Value == "":
			wrong("the new name is empty")
		case p.Value == nameTime:
			wrong("time is the time of the reading, and no tag or field can be called so: choose another name")
		case taken && !sometimes:
			wrong("records may have %s already, and are refused then: remove it before, or write when: %s == nil", p.Value, p.Value)
		}
		if i := slices.Index(names.Tags, p.Key); i >= 0 {
			names.Tags[i] = p.Value
		} else if t, ok := names.Fields[p.Key]; ok {
			delete(names.Fields, p.Key)
			names.Fields[p.Value] = t
		} else if names.Open {
			names.Fields[p.Value] = 0
		}
		all = append(all, [2]string{p.Key, p.Value})
	}
	if len(all) == 0 {
		s.Fail(key, "want old and new names, such as {temp: temperature}")
	}
	return all
}

// Apply implements Step.
func (all rename) Apply(c *Context, r *record.Record) Outcome {
	out := Pass
	for _, n := range all {
		if r.Field(n[0]).Type == 0 && r.Tag(n[0]) == "" {
			continue
		}
		if r.Field(n[1]).Type != 0 || r.Tag(n[1]) != "" {
			return c.refuse("name_taken", n[0]+" cannot be called "+n[1]+", which the record has")
		}
		for i := range r.Fields {
			if r.Fields[i].Name == n[0] {
				r.Fields[i].Name = n[1]
			}
		}
		for i := range r.Tags {
			if r.Tags[i].Key == n[0] {
				r.Tags[i].Key = n[1]
			}
		}
		out = Changed
	}
	return out
}

// remove takes tags and fields away.
type remove []string

func declareRemove(s *declare.Map, key string, names *rule.Names) Step {
	all := remove(s.Strings(key))
	if len(all) == 0 {
		s.Fail(key, "want names of tags and fields")
	}
	for _, name := range all {
		known(s, key, name, names, aColumn)
		delete(names.Fields, name)
		names.Tags = slices.DeleteFunc(names.Tags, func(t string) bool { return t == name })
	}
	return all
}

// Apply implements Step.
func (all remove) Apply(_ *Context, r *record.Record) Outcome {
	n := len(r.Fields) + len(r.Tags)
	for _, name := range all {
		r.Set(name, record.Value{})
		r.SetTag(name, "")
	}
	if len(r.Fields)+len(r.Tags) == n {
		return Pass
	}
	return Changed
}

// keep takes all other fields away.
type keep []string

func declareKeep(s *declare.Map, key string, names *rule.Names) Step {
	all := keep(s.Strings(key))
	if len(all) == 0 {
		s.Fail(key, "want names of fields")
	}
	fields := map[string]column.Type{}
	for _, name := range all {
		if name == nameTime || slices.Contains(names.Tags, name) {
			s.FailIn(key, name, "keep is for fields: the time and tags stay in any case, so leave %s out", name)
		} else {
			known(s, key, name, names, aField)
		}
		fields[name] = names.Fields[name]
	}
	names.Fields, names.Open = fields, false
	return all
}

// Apply implements Step.
func (all keep) Apply(_ *Context, r *record.Record) Outcome {
	n := len(r.Fields)
	r.Fields = slices.DeleteFunc(r.Fields, func(f record.Field) bool { return !slices.Contains(all, f.Name) })
	if len(r.Fields) == n {
		return Pass
	}
	return Changed
}
