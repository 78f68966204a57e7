package rowmap

import (
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

// Kind says what a Value is.
type Kind uint8

const (
	Absent  Kind = iota // nothing is known of the column: never overwrites
	Null                // the column has no value
	Bool                // Int is 0 or 1
	Number              // Text as the source wrote it, any precision
	Text                // Text
	Instant             // Int in nanoseconds since 1970
	Wall                // Int as if the clock on the wall, which has no zone, showed UTC
)

// Value is a value of a column as a decoder found it. Text may share memory
// with a message.
type Value struct {
	Kind Kind
	Int  int64
	Text string
}

const (
	// maxQuoted bounds what a reason quotes of a value.
	maxQuoted = 64
	// maxDecimalBytes bounds a decimal that comes as bytes: 1,000 digits, as
	// PostgreSQL's widest declared numeric.
	maxDecimalBytes = 416
	// maxScale is the largest number of digits behind the point of a decimal.
	maxScale = 16383
)

func (v Value) quoted() string {
	s := v.text()
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return strconv.Quote(s)
}

// text returns v as people write it, "" if there is none.
func (v Value) text() string {
	switch v.Kind {
	case Bool:
		return strconv.FormatBool(v.Int != 0)
	case Number, Text:
		return v.Text
	case Instant:
		return time.Unix(0, v.Int).UTC().Format(time.RFC3339Nano)
	case Wall:
		return time.Unix(0, v.Int).UTC().Format("2006-01-02T15:04:05.999999999")
	}
	return ""
}

// field returns v, which is neither Absent nor Null, as a value of a type, and
// "" or what is wrong.
func (v Value) field(f *Field) (record.Value, string) {
	if f.Scaled && v.Kind == Text {
		s, problem := Decimal(v.Text, f.Scale)
		if problem != "" {
			return record.Value{}, problem
		}
		v = Value{Kind: Number, Text: s}
	}
	switch f.Type {
	case column.Float64:
		if v.Kind != Number && v.Kind != Text {
			break
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(v.Text), 64)
		if err != nil {
			break
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return record.Value{}, "is not finite"
		}
		return record.Float(x), ""
	case column.Int64:
		switch v.Kind {
		case Number, Text:
			if i, err := strconv.ParseInt(whole(v.Text), 10, 64); err == nil {
				return record.Int(i), ""
			}
		case Instant, Wall, Bool:
			return record.Int(v.Int), ""
		}
	case column.Uint64:
		switch v.Kind {
		case Number, Text:
			if u, err := strconv.ParseUint(whole(v.Text), 10, 64); err == nil {
				return record.Uint(u), ""
			}
		case Bool:
			return record.Uint(uint64(v.Int)), ""
		}
	case column.Bool:
		switch {
		case v.Kind == Bool:
			return record.Bool(v.Int != 0), ""
		case v.Kind != Number && v.Kind != Text:
		case v.Text == "1" || v.Text == "t" || v.Text == "true":
			return record.Bool(true), ""
		case v.Text == "0" || v.Text == "f" || v.Text == "false":
			return record.Bool(false), ""
		}
	case column.String:
		return record.String(v.text()), ""
	}
	return record.Value{}, "is not " + article(f.Type)
}

// whole returns the text of a number without the zeros behind its point, so
// that 12.00 of a numeric column is an integer.
func whole(s string) string {
	s = strings.TrimSpace(s)
	if dot := strings.IndexByte(s, '.'); dot > 0 && strings.Trim(s[dot+1:], "0") == "" {
		return s[:dot]
	}
	return s
}

func article(t column.Type) string {
	switch t {
	case column.Float64:
		return "a number"
	case column.Int64:
		return "a whole number of 64 bits"
	case column.Uint64:
		return "a whole number of 64 bits from 0 on"
	case column.Bool:
		return "true or false"
	}
	return "a text"
}

// Decimal returns the number that Debezium writes as the bytes of its unscaled
// value, in base 64, and the problem with them or "".
func Decimal(text string, scale int) (number, problem string) {
	b, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return "", "is not a decimal: its bytes are not base 64"
	case len(b) == 0 || len(b) > maxDecimalBytes:
		return "", "is not a decimal of 1 to 1000 digits"
	case scale < -maxScale || scale > maxScale:
		return "", "is not a decimal: its scale is beyond 16383"
	}
	n := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 { // two's complement
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	digits, sign := new(big.Int).Abs(n).String(), ""
	if n.Sign() < 0 {
		sign = "-"
	}
	if scale <= 0 {
		if n.Sign() == 0 {
			return "0", ""
		}
		return sign + digits + strings.Repeat("0", -scale), ""
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:], ""
}
