package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

// Mapping says what the columns of a CSV file mean. Columns are named as in
// the header.
type Mapping struct {
	// Comma separates cells; 0 means a comma.
	Comma rune
	// Comment begins lines to skip; 0 means that none are.
	Comment rune
	// Names of the columns of a file without a header.
	Names []string
	// Time is the column of the timestamp, TimeFormat its form (see
	// NewTimeFormat), Zone that of times that do not name theirs; nil means
	// UTC.
	Time       string
	TimeFormat string
	Zone       *time.Location
	// Measurement is the name of all rows, or MeasurementColumn has it.
	Measurement       string
	MeasurementColumn string
	// Tags are columns, FixedTags the same for all rows.
	Tags      []TagColumn
	FixedTags map[string]string
	// Fields are columns. Without any, all that are not mentioned elsewhere
	// are fields of type auto. Skip are columns to leave out of those.
	Fields []FieldColumn
	Skip   []string
	// Nulls are cells that mean that there is no value, besides the empty one,
	// for instance NaN.
	Nulls []string
}

// TagColumn makes a tag of a column.
type TagColumn struct {
	Column string
	Key    string // empty: as the column
}

// FieldColumn makes a field of a column.
type FieldColumn struct {
	Column string
	Name   string // empty: as the column
	Type   FieldType
}

// FieldType is how to read cells.
type FieldType string

// The types. Auto looks at the first rows: numbers are floats, since a later
// one may have a point though the first have none; true and false are
// booleans; everything else is a string.
const (
	Auto   FieldType = "auto" // the empty string means it too
	Float  FieldType = "float"
	Int    FieldType = "int"
	Uint   FieldType = "uint"
	String FieldType = "string"
	Bool   FieldType = "bool"
)

// columnType returns the type that a column has in the store, 0 for auto.
func (t FieldType) columnType() (column.Type, error) {
	switch t {
	case Auto, "":
		return 0, nil
	case Float:
		return column.Float64, nil
	case Int:
		return column.Int64, nil
	case Uint:
		return column.Uint64, nil
	case String:
		return column.String, nil
	case Bool:
		return column.Bool, nil
	}
	return 0, fmt.Errorf("unknown type %q: want auto, float, int, uint, string or bool", string(t))
}

// layout is a Mapping applied to a header.
type layout struct {
	columns     int
	time        int
	measurement int // column, -1: fixed
	fixed       string
	tags        []layoutTag
	fixedTags   []column.Tag
	fields      []layoutField
}

type layoutTag struct {
	at  int
	key []byte
}

type layoutField struct {
	at   int
	name string
	typ  column.Type // 0: not known yet
}

// layout finds the columns of m in a header.
func (m *Mapping) layout(header []string) (*layout, error) {
	if dup := duplicate(header); dup != "" {
		return nil, fmt.Errorf("column %q stands twice in the header", dup)
	}
	used := map[string]bool{}
	var missing []string
	find := func(name string) int {
		used[name] = true
		i := slices.Index(header, name)
		if i < 0 {
			missing = append(missing, name)
		}
		return i
	}
	l := &layout{columns: len(header), measurement: -1, fixed: m.Measurement}
	switch {
	case m.Time == "":
		return nil, errors.New("no column is mapped to the time")
	case (m.Measurement == "") == (m.MeasurementColumn == ""):
		return nil, errors.New("want a measurement, or the column that holds it, and not both")
	}
	l.time = find(m.Time)
	if m.MeasurementColumn != "" {
		l.measurement = find(m.MeasurementColumn)
	} else if err := lineproto.CheckMeasurement(m.Measurement); err != nil {
		return nil, err
	}
	for _, t := range m.Tags {
		key := t.Key
		if key == "" {
			key = t.Column
		}
		l.tags = append(l.tags, layoutTag{find(t.Column), []byte(key)})
	}
	for k, v := range m.FixedTags {
		if err := lineproto.CheckName("tag value", v); err != nil {
			return nil, err
		}
		l.fixedTags = append(l.fixedTags, column.Tag{Key: []byte(k), Value: []byte(v)})
	}
	for _, f := range m.Fields {
		typ, err := f.Type.columnType()
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Column, err)
		}
		name := f.Name
		if name == "" {
			name = f.Column
		}
		l.fields = append(l.fields, layoutField{find(f.Column), name, typ})
	}
	for _, name := range m.Skip {
		find(name)
	}
	if len(missing) > 0 {
		return nil, &MissingColumnError{missing, header}
	}
	if len(m.Fields) == 0 {
		for i, name := range header {
			if !used[name] {
				l.fields = append(l.fields, layoutField{at: i, name: name})
			}
		}
	}
	return l, l.check()
}

// MissingColumnError says that a mapping names columns that are not there.
type MissingColumnError struct {
	Missing []string
	Have    []string
}

func (e *MissingColumnError) Error() string {
	return fmt.Sprintf("the file has no column %q; it has %q", e.Missing, e.Have)
}

// check looks at the names that the store will see.
func (l *layout) check() error {
	if len(l.fields) == 0 {
		return errors.New("no column is left to be a field")
	}
	var names []string
	for _, t := range l.tags {
		names = append(names, string(t.key))
	}
	for _, t := range l.fixedTags {
		names = append(names, string(t.Key))
	}
	for _, f := range l.fields {
		if err := lineproto.CheckFieldName(f.name); err != nil {
			return err
		}
		names = append(names, f.name)
	}
	for _, name := range names {
		if err := lineproto.CheckName("name of a tag or field", name); err != nil {
			return err
		}
		if name == "time" {
			return errors.New(`a tag or field cannot be called "time": give it another name`)
		}
	}
	if dup := duplicate(names); dup != "" {
		return fmt.Errorf("two tags or fields are called %q", dup)
	}
	return nil
}

func duplicate(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return sorted[i]
		}
	}
	return ""
}

// infer sets the types that are open by the rows of a sample, as far as it
// has values.
func (l *layout) infer(sample []csvRow, null func(string) bool) {
	for i := range l.fields {
		f := &l.fields[i]
		if f.typ != 0 {
			continue
		}
		for _, row := range sample {
			if f.typ == column.String {
				break
			}
			if row.err != nil || f.at >= len(row.cells) || null(row.cells[f.at]) {
				continue
			}
			if f.typ == 0 {
				f.typ = guessType(row.cells[f.at])
			} else if f.typ != guessType(row.cells[f.at]) {
				f.typ = column.String
			}
		}
	}
}

func guessType(cell string) column.Type {
	if _, err := parseFloat(cell); err == nil {
		return column.Float64
	}
	if strings.EqualFold(cell, "true") || strings.EqualFold(cell, "false") {
		return column.Bool
	}
	return column.String
}
