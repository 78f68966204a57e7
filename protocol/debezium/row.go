package debezium

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/protocol/jsontape"
	"github.com/varvedb/varve/protocol/rowmap"
)

// placeholders stand for values that the database did not log, because they
// are kept out of the row and were not changed. The second is the first as
// bytes.
const (
	placeholder      = "__debezium_unavailable_value"
	placeholderBytes = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="
)

// row adds the columns of object i to r.
func (d *Decoder) row(t *jsontape.Tape, i int, s *schema, r *rowmap.Row) {
	for v := range t.Members(i) {
		name := t.Key(v)
		var c columnSchema
		if s != nil {
			c = s.columns[name]
		}
		if value := columnValue(t, v, c); value.Kind != rowmap.Absent {
			r.Add(name, value)
		}
	}
}

// columnValue returns what stands at node i.
func columnValue(t *jsontape.Tape, i int, c columnSchema) rowmap.Value {
	switch t.Kind(i) {
	case jsontape.Null:
		return rowmap.Value{Kind: rowmap.Null}
	case jsontape.True:
		return rowmap.Value{Kind: rowmap.Bool, Int: 1}
	case jsontape.False:
		return rowmap.Value{Kind: rowmap.Bool}
	case jsontape.Number:
		return number(t.View(i), c.meaning)
	case jsontape.Text:
		s := t.Text(i)
		switch {
		case s == placeholder || s == placeholderBytes:
			return rowmap.Value{}
		case c.meaning == decimalBytes:
			return decimal(s, c.scale)
		}
		return rowmap.Value{Kind: rowmap.Text, Text: s}
	case jsontape.Object:
		// io.debezium.data.VariableScaleDecimal
		if scale, value := t.Get(i, "scale"), t.Get(i, "value"); t.Kind(scale) == jsontape.Number && t.Kind(value) == jsontape.Text {
			return decimal(t.Text(value), decimalScale(t.View(scale)))
		}
	case jsontape.Array:
		if e := t.Only(i); t.Text(e) == placeholder {
			return rowmap.Value{}
		}
	}
	return rowmap.Value{Kind: rowmap.Text, Text: t.View(i)}
}

// number returns a number of a column that means m.
func number(text string, m meaning) rowmap.Value {
	unit := int64(1)
	switch m {
	case dateDays:
		unit = int64(24 * time.Hour)
	case wallMillis:
		unit = int64(time.Millisecond)
	case wallMicros:
		unit = int64(time.Microsecond)
	case wallNanos:
	default:
		return rowmap.Value{Kind: rowmap.Number, Text: text}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > math.MaxInt64/unit || n < math.MinInt64/unit {
		// Beyond the years that can be stored, which the mapping says.
		return rowmap.Value{Kind: rowmap.Text, Text: text}
	}
	return rowmap.Value{Kind: rowmap.Wall, Int: n * unit}
}

// decimalScale reads how many digits stand behind the point. What is no number
// becomes a scale that rowmap.Decimal refuses.
func decimalScale(text string) int {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return math.MaxInt32
	}
	return int(n)
}

// decimal returns the number of bytes in base 64; the text if it is none.
func decimal(text string, scale int) rowmap.Value {
	s, problem := rowmap.Decimal(text, scale)
	if problem != "" {
		return rowmap.Value{Kind: rowmap.Text, Text: text}
	}
	return rowmap.Value{Kind: rowmap.Number, Text: s}
}

// blank reports whether v is what Debezium's connector of PostgreSQL gives for a
// column that was not logged: null, or, where the column must not be null, the
// nothing of its type.
func blank(v rowmap.Value) bool {
	switch v.Kind {
	case rowmap.Number:
		return strings.Trim(v.Text, "-0.") == ""
	case rowmap.Text:
		return v.Text == "" || v.Text == "1970-01-01T00:00:00Z" || v.Text == "AA=="
	case rowmap.Bool, rowmap.Instant, rowmap.Wall:
		return v.Int == 0
	}
	return true
}

// logsKeys reports whether nothing but the key seems to be known of the row
// before a change: a table of PostgreSQL without REPLICA IDENTITY FULL.
func logsKeys(before, key *rowmap.Row) bool {
	if len(key.Columns) == 0 || len(before.Columns) <= len(key.Columns) {
		return false
	}
	for _, c := range before.Columns {
		if !blank(c.Value) && !slices.ContainsFunc(key.Columns, func(k rowmap.Column) bool { return k.Name == c.Name }) {
			return false
		}
	}
	return true
}

// keyOnly drops from r what the database does not log of a row before its
// change: all but the columns of names, or of key if there are none.
func keyOnly(r *rowmap.Row, names []string, key *rowmap.Row) {
	kept := r.Columns[:0]
	for _, c := range r.Columns {
		is := slices.Contains(names, c.Name)
		if len(names) == 0 {
			is = slices.ContainsFunc(key.Columns, func(k rowmap.Column) bool { return k.Name == c.Name })
		}
		if is {
			kept = append(kept, c)
		}
	}
	r.Columns, r.Complete = kept, false
}

// below reports whether path stands in what the path top names.
func below(path, top string) bool {
	return strings.HasPrefix(path, top) && (len(path) == len(top) || path[len(top)] == '.')
}
