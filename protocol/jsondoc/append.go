// Package jsondoc appends values to a document of JSON: what decoders of messages
// with a schema make of them (protocol/avro, protocol/protobuf), for
// protocol/jsonrecord to find records in. What they have in common is here, so that
// a value reads alike whichever way it came. All functions are pure.
package jsondoc

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
)

// AppendText appends a text. What is not UTF-8 stays as it is, and the message is
// refused for it by whoever reads the document.
func AppendText(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		if c < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// AppendFloat appends the shortest number that stands for f among those of so many
// bits, 32 or 64; null for NaN and infinities, which JSON does not have.
func AppendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// AppendBytes appends bytes as a text of base64.
func AppendBytes(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// AppendTime appends a time as RFC 3339 has it, in UTC.
func AppendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}
