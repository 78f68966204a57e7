package jsonpoints

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/varvedb/varve/column"
)

// AppendLines appends each row of b that has a value as a JSON object and a
// line break:
//
//	{"time":"2026-01-02T15:04:05Z","measurement":"weather","tags":{"city":"Kyiv"},"fields":{"temperature":21.5}}
//
// NaN and infinities, for which JSON has no word, become null, and bytes that
// are no UTF-8 the replacement character. What the rows of a series have in
// common is rendered once.
func AppendLines(dst []byte, b *column.Batch) []byte {
	var r renderer
	for _, t := range b.Tables {
		dst = r.table(dst, t)
	}
	return dst
}

// renderer holds what the lines of a table share.
type renderer struct {
	heads []byte // of each series, one behind the other: measurement and tags
	ends  []int
	names []byte // of each field, with its colon
	cuts  []int
	at    int64
	clock []byte // at as text; empty: there was none
}

func (r *renderer) prepare(t *column.Table) {
	r.heads, r.ends = r.heads[:0], r.ends[:0]
	var measurement []byte
	measurement = AppendText(measurement, []byte(t.Measurement))
	for s := range t.Series.Len() {
		r.heads = append(append(append(r.heads, `,"measurement":`...), measurement...), `,"tags":`...)
		r.heads = AppendTags(r.heads, t.Series.Key(s))
		r.heads = append(r.heads, `,"fields":{`...)
		r.ends = append(r.ends, len(r.heads))
	}
	r.names, r.cuts = r.names[:0], r.cuts[:0]
	for i := range t.Fields {
		r.names = append(AppendText(r.names, []byte(t.Fields[i].Name)), ':')
		r.cuts = append(r.cuts, len(r.names))
	}
}

func (r *renderer) table(dst []byte, t *column.Table) []byte {
	r.prepare(t)
	for row, at := range t.Time {
		start := len(dst)
		if at != r.at || len(r.clock) == 0 {
			r.at, r.clock = at, time.Unix(0, at).UTC().AppendFormat(r.clock[:0], time.RFC3339Nano)
		}
		dst = append(append(append(dst, `{"time":"`...), r.clock...), '"')
		s := int(t.Row[row])
		dst = append(dst, part(r.heads, r.ends, s)...)
		fields := len(dst)
		for i := range t.Fields {
			f := &t.Fields[i]
			if !f.Valid.Get(row) {
				continue
			}
			if len(dst) > fields {
				dst = append(dst, ',')
			}
			dst = AppendValue(append(dst, part(r.names, r.cuts, i)...), &f.Vector, row)
		}
		if len(dst) == fields {
			dst = dst[:start]
			continue
		}
		dst = append(dst, '}', '}', '\n')
	}
	return dst
}

// part returns piece i of those that end at ends.
func part(all []byte, ends []int, i int) []byte {
	from := 0
	if i > 0 {
		from = ends[i-1]
	}
	return all[from:ends[i]]
}

// AppendTags appends the tags of a series key as a JSON object.
func AppendTags(dst, key []byte) []byte {
	dst = append(dst, '{')
	first := true
	for k, v := range column.Tags(key) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(AppendText(dst, k), ':')
		dst = AppendText(dst, v)
	}
	return append(dst, '}')
}

// AppendValue appends value i of v, which is not null, as JSON.
func AppendValue(dst []byte, v *column.Vector, i int) []byte {
	switch v.Type {
	case column.Int64:
		return strconv.AppendInt(dst, int64(v.Words[i]), 10)
	case column.Uint64:
		return strconv.AppendUint(dst, v.Words[i], 10)
	case column.Bool:
		return strconv.AppendBool(dst, v.Words[i] != 0)
	case column.String:
		return AppendText(dst, v.Str(i))
	}
	f := math.Float64frombits(v.Words[i])
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...) // JSON has no word for them
	}
	// As encoding/json: an exponent only where plain digits would be many.
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// AppendText appends a JSON string; bytes that are no UTF-8 become the
// replacement character.
func AppendText(dst, s []byte) []byte {
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == '<' || c == '>' || c == '&' {
			b, err := json.Marshal(string(s))
			if err != nil {
				panic("BUG: a string has no JSON: " + err.Error())
			}
			return append(dst, b...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
