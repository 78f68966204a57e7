package pipeline

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

// append appends a record as a flat JSON object: its time, tags and fields, in
// the order in which they came, and when it was passed on. NaN and infinities,
// which JSON lacks, are null.
func (e *encoding) append(dst []byte, r *record.Record, at, now int64) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, e.time)
	dst = append(dst, ':')
	dst = appendTime(dst, at)
	for i := range r.Tags {
		dst = append(dst, ',')
		dst = appendText(dst, r.Tags[i].Key)
		dst = append(dst, ':')
		dst = appendText(dst, r.Tags[i].Value)
	}
	for i := range r.Fields {
		dst = append(dst, ',')
		dst = appendText(dst, r.Fields[i].Name)
		dst = append(dst, ':')
		dst = appendValue(dst, r.Fields[i].Value)
	}
	if r.Delete {
		dst = append(dst, `,"deleted":true`...)
	}
	if e.processed != "" {
		dst = append(dst, ',')
		dst = appendText(dst, e.processed)
		dst = append(dst, ':')
		dst = appendTime(dst, now)
	}
	return append(dst, '}')
}

// appendTime appends a time as RFC 3339 in UTC, with as many digits as it has.
func appendTime(dst []byte, at int64) []byte {
	dst = append(dst, '"')
	dst = time.Unix(0, at).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

func appendValue(dst []byte, v record.Value) []byte {
	switch v.Type {
	case column.Float64:
		f := math.Float64frombits(v.Word)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(dst, "null"...)
		}
		if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
			return strconv.AppendFloat(dst, f, 'e', -1, 64)
		}
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	case column.Int64:
		return strconv.AppendInt(dst, int64(v.Word), 10)
	case column.Uint64:
		return strconv.AppendUint(dst, v.Word, 10)
	case column.Bool:
		return strconv.AppendBool(dst, v.Word != 0)
	case column.String:
		return appendText(dst, v.Str)
	}
	return append(dst, "null"...)
}

const hex = "0123456789abcdef"

// appendText appends a string of JSON. What is not UTF-8 becomes the replacement
// character.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[from:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[from:i]...)
			dst = append(dst, "\ufffd"...)
			from = i + n
		}
		i += n
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
