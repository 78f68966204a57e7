package rowmap

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
)

// Mapping says which tables become which points.
type Mapping struct {
	Tables []Table
	// SkipOthers leaves out changes of tables that are not named; otherwise
	// they are refused.
	SkipOthers bool
}

// Table says how the rows of a table, or the documents of a collection, become
// points.
type Table struct {
	Name        string // as in schema.table of PostgreSQL, database.table of others
	Measurement string
	Time        Time
	Tags        []Tag
	Fields      []Field
	// KeepDeleted keeps the point of a row that is deleted.
	KeepDeleted bool
	Truncate    Emptying
	// KeyOnly says that of a row before its change no more than Key can be
	// believed, because the database logs no more.
	KeyOnly bool
	Key     []string // columns; none: those of the message's key
}

// Emptying is what happens to the points of a table that TRUNCATE empties.
type Emptying uint8

const (
	RefuseEmptying Emptying = iota // the change is refused, the points stay
	IgnoreEmptying                 // the points stay
	DeletePoints                   // all points of the measurement go
)

// Origin is where a time comes from.
type Origin uint8

const (
	OfColumn  Origin = iota // of the row
	OfChange                // when the change was committed
	OfArrival               // when the change was received
	Refused                 // for rows whose time is null only: the change is refused
	Skipped                 // the same: the row is no point
)

// Time is the time of a row's point.
type Time struct {
	Origin  Origin // OfColumn, OfChange or OfArrival
	Column  string // of OfColumn
	Missing Origin // of OfColumn: what takes the place of null; not OfColumn
	// Unit is what a number counts since 1970; 0 if the column is no number.
	Unit time.Duration
	// Zone is where the clock stands that a time without a zone, or a number,
	// was read from.
	Zone *time.Location
}

// Tag is a tag, and the column whose text it is.
type Tag struct{ Key, Column string }

// Field is a field, and the column that it is from.
type Field struct {
	Name, Column string
	Type         column.Type
	// Scale, if Scaled, is how many digits of a decimal that comes as bytes
	// stand behind the point.
	Scale  int
	Scaled bool
}

var (
	units = map[string]time.Duration{
		"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": 1, "days": 24 * time.Hour,
	}
	types = map[string]column.Type{
		"float": column.Float64, "int": column.Int64, "uint": column.Uint64, "bool": column.Bool, "string": column.String,
	}
	emptyings = map[string]Emptying{"refuse": RefuseEmptying, "ignore": IgnoreEmptying, "delete": DeletePoints}
	origins   = map[string]Origin{
		"column": OfColumn, "change": OfChange, "arrival": OfArrival, "refuse": Refused, "skip": Skipped,
	}
)

// Declare reads the keys tables and others of a section.
func Declare(s *declare.Map) Mapping {
	return Mapping{Tables: DeclareTables(s), SkipOthers: s.Choice("others", "refuse", "refuse", "skip") == "skip"}
}

// DeclareTables reads the key tables of a section, for sources that receive
// changes of no others.
func DeclareTables(s *declare.Map) (all []Table) {
	tables := s.Section("tables")
	names := tables.Keys()
	if len(names) == 0 {
		s.Fail("tables", "want at least one table")
	}
	for _, name := range names {
		t := tables.Section(name)
		all = append(all, declareTable(t, name))
		for i := range all {
			a, b := &all[i], &all[len(all)-1]
			if a != b && a.Measurement == b.Measurement && (a.Truncate == DeletePoints || b.Truncate == DeletePoints) {
				t.Fail("measurement", "%s is that of table %s too, so that neither can say truncate: delete", b.Measurement, a.Name)
			}
		}
		tables.Add(t.Err())
	}
	s.Add(tables.Err())
	return all
}

func declareTable(s *declare.Map, name string) Table {
	t := Table{
		Name:        name,
		Measurement: s.Text("measurement", name),
		Time:        declareTime(s),
		Truncate:    emptyings[s.Choice("truncate", "refuse", "refuse", "ignore", "delete")],
		KeyOnly:     s.Choice("before", "full", "full", "key") == "key",
		Key:         s.Strings("key"),
	}
	if t.Measurement == "" {
		s.Fail("measurement", "is empty")
	}
	// Nothing tells at which time the point of a row stands that has none.
	deletes := "remove"
	if t.Time.Origin != OfColumn {
		deletes = "keep"
	}
	t.KeepDeleted = s.Choice("deletes", deletes, "remove", "keep") == "keep"
	if !t.KeepDeleted && t.Time.Origin != OfColumn {
		s.Fail("deletes", "a deleted row's point cannot be found unless its time is a column: want keep")
	}
	if len(t.Key) > 0 && !t.KeyOnly {
		s.Fail("key", "is of use with before: key only")
	}
	declareTags(s, &t)
	declareFields(s, &t)
	for _, f := range t.Fields {
		if slices.ContainsFunc(t.Tags, func(g Tag) bool { return g.Key == f.Name }) {
			s.Fail("fields", "%s is a tag already", f.Name)
		}
	}
	return t
}

func declareTime(s *declare.Map) Time {
	t := Time{Missing: Refused, Zone: time.UTC}
	n := s.Node("time")
	switch {
	case n == nil:
		s.Fail("time", "is missing: name the column, or say {from: change} or {from: arrival}")
		return t
	case n.Kind == yaml.ScalarNode:
		t.Column = s.Required("time")
		return t
	}
	m := s.Section("time")
	t.Origin = origins[m.Choice("from", "column", "column", "change", "arrival")]
	if t.Origin == OfColumn {
		t.Column = m.Required("column")
		t.Missing = origins[m.Choice("missing", "refuse", "refuse", "skip", "change", "arrival")]
		t.Unit = units[m.Choice("unit", "", "s", "ms", "us", "ns", "days")]
		if name := m.Text("zone", "UTC"); name != "UTC" {
			zone, err := time.LoadLocation(name)
			if err != nil || name == "" || name == "Local" {
				m.Fail("zone", "%q: want the name of a time zone such as Asia/Seoul", name)
			} else {
				t.Zone = zone
			}
		}
	}
	s.Add(m.Err())
	return t
}

// declareTags reads a list of columns, or tags with their columns.
func declareTags(s *declare.Map, t *Table) {
	if n := s.Node("tags"); n != nil && n.Kind == yaml.MappingNode {
		for _, p := range s.Pairs("tags") {
			t.Tags = append(t.Tags, Tag{p.Key, p.Value})
		}
	} else {
		for _, c := range s.Strings("tags") {
			t.Tags = append(t.Tags, Tag{c, c})
		}
	}
	seen := map[string]bool{}
	for _, g := range t.Tags {
		switch {
		case g.Key == "" || g.Column == "":
			s.Fail("tags", "a name is empty")
		case seen[g.Key]:
			s.Fail("tags", "%s is given already", g.Key)
		}
		seen[g.Key] = true
	}
}

// declareFields reads fields with their types, or with columns and types.
func declareFields(s *declare.Map, t *Table) {
	fields := s.Section("fields")
	for _, name := range fields.Keys() {
		f := Field{Name: name, Column: name}
		if n := fields.Node(name); n.Kind == yaml.MappingNode {
			m := fields.Section(name)
			f.Column = m.Text("column", name)
			f.Type = types[m.Choice("type", "", "float", "int", "uint", "bool", "string")]
			if f.Type == 0 && !m.Has("type") {
				m.Fail("type", "is missing: want one of float, int, uint, bool, string")
			}
			if f.Scaled = m.Has("scale"); f.Scaled {
				f.Scale = m.Int("scale", 0, 0)
			}
			fields.Add(m.Err())
		} else {
			f.Type = types[fields.Choice(name, "", "float", "int", "uint", "bool", "string")]
		}
		if name == "" || f.Column == "" {
			s.Fail("fields", "a name is empty")
		}
		t.Fields = append(t.Fields, f)
	}
	if len(t.Fields) == 0 {
		s.Fail("fields", "want at least one field with its type, such as {value: float}")
	}
	s.Add(fields.Err())
}

// Columns returns the columns that t is made of, none twice.
func (t *Table) Columns() []string {
	var all []string
	add := func(c string) {
		if c != "" && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	add(t.Time.Column)
	for _, g := range t.Tags {
		add(g.Column)
	}
	for _, f := range t.Fields {
		add(f.Column)
	}
	return all
}

// Place returns the columns that tell where a row's point stands: its time and
// tags.
func (t *Table) Place() []string {
	var all []string
	if t.Time.Column != "" {
		all = append(all, t.Time.Column)
	}
	for _, g := range t.Tags {
		if !slices.Contains(all, g.Column) {
			all = append(all, g.Column)
		}
	}
	return all
}
