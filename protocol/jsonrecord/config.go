package jsonrecord

import (
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
)

// Mapping says where in a document a value is.
type Mapping struct {
	Name string // of the tag or field
	Path Path
	Root bool        // the path begins at the document, not at the reading
	Type column.Type // of a field; 0: what the text suggests
}

// Config says which value of a document is what.
type Config struct {
	// Each is where the readings are, an array or a single object; the empty
	// path is the document.
	Each Path
	// Measurement is the name of all readings, or of those that have none at
	// MeasurementAt.
	Measurement   string
	MeasurementAt *Mapping
	// Time is where the time is, nil if readings have none. A number is in Unit;
	// 0 takes the unit that its size suggests. A text without a zone is in Zone,
	// nil for UTC.
	Time *Mapping
	Unit time.Duration
	Zone *time.Location
	Tags []Mapping
	// Fields are those that are wanted. Rest takes all other values as fields
	// too, those deep in the document under their keys joined by dots.
	Fields []Mapping
	Rest   bool

	names map[string]bool // paths that the mapping names, for Rest
}

// Types of fields as a declaration names them.
var typeNames = []string{"float", "int", "uint", "string", "bool"}

// ParseType returns the type of a name: float, int, uint, string or bool.
func ParseType(name string) (column.Type, bool) {
	switch name {
	case "float":
		return column.Float64, true
	case "int":
		return column.Int64, true
	case "uint":
		return column.Uint64, true
	case "string":
		return column.String, true
	case "bool":
		return column.Bool, true
	}
	return 0, false
}

func typeName(t column.Type) string {
	switch t {
	case column.Float64:
		return "a number"
	case column.Int64:
		return "a whole number of 64 bits"
	case column.Uint64:
		return "a whole number of 64 bits from 0"
	case column.String:
		return "a text"
	case column.Bool:
		return "true or false"
	}
	return "a single value"
}

// Declare reads a mapping:
//
//	json:
//	  each: readings            # optional: where the array of readings is
//	  measurement: sensor_data  # or measurement_path: kind
//	  time: timestamp           # a path; or {path: ts, unit: ms, zone: Asia/Seoul}
//	  tags: [sensor_type, location]           # or {site: $.site.name}
//	  fields: {value: float, quality: float}  # or {value: {path: data.v, type: float}}
//	  rest: fields              # values that are not named become fields too
//
// A path that begins with $. begins at the document, others at the reading.
func Declare(s *declare.Map) Config {
	c := Config{Measurement: s.Text("measurement", ""), names: map[string]bool{}}
	if text := s.Text("each", ""); text != "" {
		c.Each = c.path(s, "each", text).Path
	}
	if text := s.Text("measurement_path", ""); text != "" {
		m := c.path(s, "measurement_path", text)
		c.MeasurementAt = &m
	}
	c.time(s)
	c.tags(s)
	c.fields(s)
	switch rest := s.Choice("rest", "", "fields", "ignore"); {
	case rest == "fields", rest == "" && !s.Has("fields"):
		c.Rest = true
	}
	return c
}

// path reads a path and notes that it is named.
func (c *Config) path(s *declare.Map, key, text string) Mapping {
	m := Mapping{}
	if len(text) > 1 && text[:2] == "$." {
		m.Root, text = true, text[2:]
	}
	p, err := ParsePath(text)
	if err != nil {
		s.Fail(key, "%s", err)
	}
	m.Path = p
	if name, ok := p.top(); ok {
		c.names[name] = true
	} else {
		c.names[dotted(p)] = true
	}
	return m
}

// dotted returns a path as Rest names what is there.
func dotted(p Path) string {
	var b []byte
	for i, s := range p.steps {
		if i > 0 {
			b = append(b, '.')
		}
		if s.array {
			b = strconv.AppendInt(b, int64(s.index), 10)
		} else {
			b = append(b, s.key...)
		}
	}
	return string(b)
}

func (c *Config) time(s *declare.Map) {
	n := s.Node("time")
	if n == nil {
		return
	}
	if n.Kind == yaml.ScalarNode {
		m := c.path(s, "time", s.Text("time", ""))
		c.Time = &m
	} else {
		t := s.Section("time")
		m := c.path(t, "path", t.Required("path"))
		c.Time = &m
		switch t.Choice("unit", "auto", "auto", "s", "ms", "us", "ns") {
		case "s":
			c.Unit = time.Second
		case "ms":
			c.Unit = time.Millisecond
		case "us":
			c.Unit = time.Microsecond
		case "ns":
			c.Unit = time.Nanosecond
		}
		if zone := t.Text("zone", "UTC"); zone != "UTC" {
			z, err := time.LoadLocation(zone)
			if err != nil {
				t.Fail("zone", "%q: want a time zone such as UTC or Asia/Seoul", zone)
			}
			c.Zone = z
		}
		s.Add(t.Err())
	}
	c.Time.Name = c.Time.Path.String()
}

func (c *Config) tags(s *declare.Map) {
	n := s.Node("tags")
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		for _, name := range s.Strings("tags") {
			m := c.path(s, "tags", name)
			m.Name = last(m.Path)
			c.addTag(s, m, name)
		}
		return
	}
	for _, p := range s.Pairs("tags") {
		m := c.path(s, "tags", p.Value)
		m.Name = p.Key
		c.addTag(s, m, p.Key)
	}
}

// timeName is what no tag or field can be called, because the time of a point is.
const timeName = "time"

// addTag adds a tag that the declaration calls as.
func (c *Config) addTag(s *declare.Map, m Mapping, as string) {
	if m.Name == timeName {
		s.FailIn("tags", as, "time is the time of the reading, and no tag can be called so: give it another name, as in {sent: time}, or leave it out")
	}
	for _, have := range c.Tags {
		if have.Name == m.Name {
			s.FailIn("tags", as, "tag %q stands twice", m.Name)
		}
	}
	c.Tags = append(c.Tags, m)
}

func (c *Config) fields(s *declare.Map) {
	n := s.Node("fields")
	if n == nil {
		return
	}
	add := func(m Mapping, as string) {
		if m.Name == timeName {
			s.FailIn("fields", as, "time is the time of the reading, and no field can be called so: give it another name, as in {sent: {path: time, type: string}}, or leave it out")
		}
		for _, have := range c.Fields {
			if have.Name == m.Name {
				s.FailIn("fields", as, "field %q stands twice", m.Name)
			}
		}
		for _, have := range c.Tags {
			if have.Name == m.Name {
				s.FailIn("fields", as, "%q is a tag, and cannot be a field too: leave it out, or give one of them another name", m.Name)
			}
		}
		c.Fields = append(c.Fields, m)
	}
	if n.Kind != yaml.MappingNode {
		for _, name := range s.Strings("fields") {
			m := c.path(s, "fields", name)
			m.Name = last(m.Path)
			add(m, name)
		}
		return
	}
	f := s.Section("fields")
	for _, name := range f.Keys() {
		v := f.Node(name)
		if v.Kind == yaml.MappingNode {
			one := f.Section(name)
			m := c.path(one, "path", one.Text("path", name))
			m.Name = name
			m.Type, _ = ParseType(one.Choice("type", "", typeNames...))
			s.Add(one.Err())
			add(m, name)
			continue
		}
		m := c.path(f, name, name)
		m.Name = name
		m.Type, _ = ParseType(f.Choice(name, "", typeNames...))
		add(m, name)
	}
	s.Add(f.Err())
}

// last returns the last key of a path: what a value is called that is given no
// other name.
func last(p Path) string {
	for i := len(p.steps) - 1; i >= 0; i-- {
		if !p.steps[i].array {
			return p.steps[i].key
		}
	}
	return p.text
}
