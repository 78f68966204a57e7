package lineproto

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/varvedb/varve/column"
)

// AppendLines appends the rows of b as line protocol with times in
// nanoseconds. Rows without a value are left out. What line protocol cannot
// carry is an error: NaN and infinities, a newline in a name or tag, a name or
// tag value that ends in a backslash, a measurement or field name that begins
// like a comment or with white space.
func AppendLines(dst []byte, b *column.Batch) ([]byte, error) {
	var r renderer
	for _, t := range b.Tables {
		var err error
		if dst, err = r.table(dst, t); err != nil {
			return dst, fmt.Errorf("render line protocol of %q: %w", t.Measurement, err)
		}
	}
	return dst, nil
}

// renderer holds what the lines of a table share.
type renderer struct {
	keys   []byte // measurement and tags of each series, one behind the other
	ends   []int
	fields []string // names with their equals sign
}

func (r *renderer) table(dst []byte, t *column.Table) ([]byte, error) {
	if err := r.prepare(t); err != nil {
		return dst, err
	}
	for row, at := range t.Time {
		start := len(dst)
		s := t.Row[row]
		from := 0
		if s > 0 {
			from = r.ends[s-1]
		}
		dst = append(dst, r.keys[from:r.ends[s]]...)
		sep := byte(' ')
		for i := range t.Fields {
			f := &t.Fields[i]
			if !f.Valid.Get(row) {
				continue
			}
			dst = append(dst, sep)
			sep = ','
			dst = append(dst, r.fields[i]...)
			var err error
			if dst, err = appendValue(dst, f, row); err != nil {
				return dst[:start], err
			}
		}
		if sep == ' ' {
			dst = dst[:start]
			continue
		}
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, at, 10)
		dst = append(dst, '\n')
	}
	return dst, nil
}

func (r *renderer) prepare(t *column.Table) error {
	r.keys, r.ends, r.fields = r.keys[:0], r.ends[:0], r.fields[:0]
	if err := CheckMeasurement(t.Measurement); err != nil {
		return err
	}
	name := appendEscaped(nil, t.Measurement, ", ")
	for i := range t.Series.Len() {
		r.keys = append(r.keys, name...)
		for k, v := range column.Tags(t.Series.Key(i)) {
			if err := CheckName("tag key", k); err != nil {
				return err
			}
			if err := CheckName("tag value", v); err != nil {
				return err
			}
			r.keys = append(r.keys, ',')
			r.keys = appendEscaped(r.keys, k, ", =")
			r.keys = append(r.keys, '=')
			r.keys = appendEscaped(r.keys, v, ", =")
		}
		r.ends = append(r.ends, len(r.keys))
	}
	for i := range t.Fields {
		if err := CheckFieldName(t.Fields[i].Name); err != nil {
			return err
		}
		r.fields = append(r.fields, string(appendEscaped(nil, t.Fields[i].Name, ", ="))+"=")
	}
	return nil
}

func appendValue(dst []byte, f *column.Field, row int) ([]byte, error) {
	switch f.Type {
	case column.Float64:
		v := f.Floats()[row]
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return dst, fmt.Errorf("field %q is %v, which line protocol cannot carry", f.Name, v)
		}
		return strconv.AppendFloat(dst, v, 'g', -1, 64), nil
	case column.Int64:
		return append(strconv.AppendInt(dst, f.Ints()[row], 10), 'i'), nil
	case column.Uint64:
		return append(strconv.AppendUint(dst, f.Words[row], 10), 'u'), nil
	case column.Bool:
		return strconv.AppendBool(dst, f.Words[row] != 0), nil
	case column.String:
		dst = append(dst, '"')
		for _, c := range f.Str(row) {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		return append(dst, '"'), nil
	}
	return dst, fmt.Errorf("field %q has the unknown type %v", f.Name, f.Type)
}

// appendEscaped puts a backslash before each character of special. Other
// backslashes stand for themselves in line protocol.
func appendEscaped[S string | []byte](dst []byte, s S, special string) []byte {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(special, s[i]) >= 0 {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}

// CheckMeasurement reports why line protocol cannot carry a measurement.
func CheckMeasurement(name string) error {
	if err := CheckName("measurement", name); err != nil {
		return err
	}
	if name[0] == '#' {
		return fmt.Errorf("measurement %q begins like a comment of line protocol", name)
	}
	return checkStart("measurement", name)
}

// CheckFieldName reports why line protocol cannot carry the name of a field.
func CheckFieldName(name string) error {
	if err := CheckName("field name", name); err != nil {
		return err
	}
	return checkStart("field name", name)
}

// checkStart reports a name that begins with what line protocol skips between
// its parts, and has no escape for.
func checkStart(what, name string) error {
	if strings.IndexByte("\x00\t\r", name[0]) >= 0 {
		return fmt.Errorf("%s %q begins with %q, which line protocol skips", what, name, name[0])
	}
	return nil
}

// CheckName reports why line protocol cannot carry a name or tag value; what
// says in the error which of them it is. There is no escape for a backslash, so one before a separator would swallow it.
func CheckName[S string | []byte](what string, s S) error {
	switch {
	case len(s) == 0:
		return fmt.Errorf("%s is empty", what)
	case s[len(s)-1] == '\\':
		return fmt.Errorf("%s %q ends in a backslash, which line protocol cannot carry", what, s)
	case bytes.IndexByte([]byte(s), '\n') >= 0:
		return fmt.Errorf("%s %q holds a newline, which line protocol cannot carry", what, s)
	}
	return nil
}
