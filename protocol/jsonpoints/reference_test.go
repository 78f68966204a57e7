package jsonpoints

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
)

// reference decodes a body by encoding/json, token by token, so that keys that
// stand twice are seen. It knows nothing of limits.
func reference(body []byte, types Types, now int64) ([]row, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errors.New("not JSON")
	}
	r := &referenceReader{json.NewDecoder(bytes.NewReader(body)), types, now}
	r.dec.UseNumber()
	first, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch first {
	case json.Delim('{'):
		p, err := r.point()
		return []row{p}, err
	case json.Delim('['):
		var all []row
		for r.dec.More() {
			if t, err := r.dec.Token(); err != nil || t != json.Delim('{') {
				return nil, fmt.Errorf("%v is no point: %w", t, err)
			}
			p, err := r.point()
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
		return all, nil
	}
	return nil, errors.New("neither object nor array")
}

type referenceReader struct {
	dec   *json.Decoder
	types Types
	now   int64
}

// member is a member of an object.
type member struct {
	key   string
	value json.Token
}

func (r *referenceReader) point() (row, error) {
	out := row{Time: r.now}
	var measurement string
	var tags, fields []member
	seen := map[string]bool{}
	for r.dec.More() {
		key, err := r.dec.Token()
		if err != nil {
			return out, err
		}
		name := key.(string)
		if seen[name] {
			return out, errors.New("stands twice")
		}
		seen[name] = true
		value, err := r.dec.Token()
		if err != nil {
			return out, err
		}
		switch name {
		case "measurement":
			text, ok := value.(string)
			if !ok || !plain(text) || text[0] == '#' {
				return out, errors.New("measurement")
			}
			measurement = text
		case "tags", "fields":
			if name == "tags" && value == nil {
				continue
			}
			if value != json.Delim('{') {
				return out, errors.New(name)
			}
			members, err := r.members()
			if err != nil {
				return out, err
			}
			if name == "tags" {
				tags = members
			} else {
				fields = members
			}
		case "timestamp":
			if out.Time, err = referenceTime(value, r.now); err != nil {
				return out, err
			}
		default:
			return out, errors.New("unknown key")
		}
	}
	if _, err := r.dec.Token(); err != nil {
		return out, err
	}
	if measurement == "" {
		return out, errors.New("no measurement")
	}

	var pairs []column.Tag
	for _, m := range tags {
		if m.value == nil {
			continue
		}
		text, ok := m.value.(string)
		if !ok || !plain(m.key) || text != "" && !plain(text) {
			return out, errors.New("tag")
		}
		pairs = append(pairs, column.Tag{Key: []byte(m.key), Value: []byte(text)})
	}
	key, err := column.AppendSeriesKey(nil, pairs)
	if err != nil {
		return out, err
	}
	out.Series = measurement + "," + string(key)

	values := map[string]string{}
	for _, m := range fields {
		if !plain(m.key) {
			return out, errors.New("field key")
		}
		if values[m.key], err = r.value(measurement, m); err != nil {
			return out, err
		}
	}
	for name, text := range values {
		if text != "" {
			out.Fields += name + "=" + text + " "
		}
	}
	if out.Fields == "" {
		return out, errors.New("no fields")
	}
	return out, nil
}

func (r *referenceReader) members() ([]member, error) {
	var all []member
	for r.dec.More() {
		key, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		value, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		if _, nested := value.(json.Delim); nested {
			return nil, errors.New("nested")
		}
		all = append(all, member{key.(string), value})
	}
	_, err := r.dec.Token()
	return all, err
}

func (r *referenceReader) value(measurement string, m member) (string, error) {
	switch v := m.value.(type) {
	case nil:
		return "", nil
	case bool:
		return fmt.Sprint(v), nil
	case string:
		return fmt.Sprintf("%q", v), nil
	case json.Number:
		f, err := v.Float64()
		n := referenceWhole(string(v))
		switch r.types(measurement, m.key) {
		case column.Int64:
			if n != nil && n.IsInt64() {
				return fmt.Sprintf("%di", n), nil
			}
		case column.Uint64:
			if n != nil && n.Sign() >= 0 {
				return fmt.Sprintf("%du", n), nil
			}
		}
		return fmt.Sprintf("%vf", f), err
	}
	return "", errors.New("value")
}

// referenceWhole returns a number that is whole, nil if it is not, or beyond 64
// bits and a sign.
func referenceWhole(s string) *big.Int {
	mantissa, exponent := cutExponent(s)
	if strings.Trim(mantissa, "-.0") == "" {
		return new(big.Int)
	}
	if e, err := strconv.Atoi(exponent); exponent != "" && (err != nil || max(e, -e) > 9999) {
		return nil // no body here has so many digits
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || !r.IsInt() || !new(big.Int).Abs(r.Num()).IsUint64() {
		return nil
	}
	return r.Num()
}

func referenceTime(t json.Token, now int64) (int64, error) {
	switch v := t.(type) {
	case nil:
		return now, nil
	case string:
		return Time([]byte(v)) // FuzzTime is about it
	case json.Number:
		if n := referenceWhole(string(v)); n != nil {
			at, ok := Since1970(n.Int64())
			if !n.IsInt64() || !ok || !inRange(at) {
				return 0, errors.New("range")
			}
			return at, nil
		}
		f, err := v.Float64()
		if err != nil || math.Abs(f) >= 1e11 || !strings.ContainsAny(string(v), ".eE") {
			return 0, errors.New("time")
		}
		micros := math.Round(f * 1e6)
		if math.Abs(micros) > math.MaxInt64/1000 {
			return 0, errors.New("range")
		}
		return int64(micros) * 1000, nil
	}
	return 0, errors.New("time")
}

// plain reports whether line protocol can carry a name.
func plain(name string) bool {
	return name != "" && !strings.HasSuffix(name, `\`) && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// byOrder sorts the words of Fields, and rows by measurement, without changing
// the order within one.
func byOrder(all []row) []row {
	for i := range all {
		// A value holds no space unless it is quoted; quoted ones are kept whole
		// by sorting characters, which is enough to compare.
		c := []rune(all[i].Fields)
		slices.Sort(c)
		all[i].Fields = string(c)
	}
	slices.SortStableFunc(all, func(a, b row) int { return strings.Compare(measurementOf(a), measurementOf(b)) })
	return all
}

func measurementOf(r row) string {
	m, _, _ := strings.Cut(r.Series, ",")
	return m
}

// FuzzParse holds the decoder against encoding/json.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"measurement":"m","tags":{"a":"1"},"fields":{"f":1.5,"i":3,"u":4,"s":"x","b":true},"timestamp":"2026-01-02T15:04:05Z"}`,
		`[{"measurement":"m","fields":{"f":1}},{"measurement":"m","fields":{"f":"x"}},{"measurement":"n","fields":{"f":2}}]`,
		`[{"timestamp":1700000000.5,"fields":{"i":-9223372036854775808,"u":1e3},"measurement":"\u00e9\ud83d\ude00","tags":null}]`,
		`{"measurement":"m","fields":{"f":null,"g":-0.0,"f":1E+2},"timestamp":1700000000123}`,
		`{"measurement":"m","fields":{"a":[{"x":"]}"}]}}`, `[]`, `{}`, `{"measurement":"m","tags":{"a":"b"],"fields":{"f":1}}`,
		`{"measurement":"m","fields":{"i":9007199254740991.4,"u":1.00000000000000000001},"timestamp":1.767366245e18}`,
		`{"measurement":"m","fields":{"i":-4503599627370497.25,"u":0.99999999999999999999},"timestamp":1.00000000000000000001}`,
		`{"measurement":"m","fields":{"i":900719925474099.0,"u":1e-400}}`,
	} {
		f.Add([]byte(s))
	}
	types := func(_, field string) column.Type {
		return map[string]column.Type{"i": column.Int64, "u": column.Uint64, "s": column.String}[field]
	}
	c := Default()
	c.MaxNulls = 3
	reused := NewDecoder(c)
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantErr := reference(body, types, arrival)
		got, err := reused.Parse(body, types, arrival)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: error %v, encoding/json says %v", body, err, wantErr)
		}
		if err != nil {
			return
		}
		for _, table := range got.Tables {
			for i := range table.Fields {
				if n := table.Fields[i].Len(); n != len(table.Time) {
					t.Fatalf("%q: field %q has %d of %d rows", body, table.Fields[i].Name, n, len(table.Time))
				}
			}
			for i := range table.Series.Len() {
				if err := column.CheckSeriesKey(table.Series.Key(i)); err != nil || table.Series.Hash[i] != column.HashSeries(table.Measurement, table.Series.Key(i)) {
					t.Fatalf("%q: series %d: %v", body, i, err)
				}
			}
		}
		if d := cmp.Diff(byOrder(want), byOrder(rows(got))); d != "" {
			t.Fatalf("%q:\n%s", body, d)
		}
	})
}
