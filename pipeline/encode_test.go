package pipeline

import (
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/varvedb/varve/pipeline/record"
)

// FuzzEncode: what is passed on is JSON, and says what the record says.
func FuzzEncode(f *testing.F) {
	f.Add("name", "text", 1.5, int64(5))
	f.Add("a\"b\\", "\x00\u2028é\xff", math.Inf(1), int64(-1))
	f.Add("", "\n\t", 1e300, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, name, text string, number float64, at int64) {
		e := encoding{time: "time", processed: "processed_at"}
		r := &record.Record{Tags: []record.Tag{{Key: "tag " + name, Value: text}}}
		r.Set("text "+name, record.String(text))
		r.Set("number", record.Float(number))
		r.Set("int", record.Int(at))
		out := e.append(nil, r, at, 0)
		var got map[string]any
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(text) {
			return
		}
		if got["tag "+name] != text || got["text "+name] != text {
			t.Fatalf("%s has not %q", out, text)
		}
		if f, ok := got["number"].(float64); ok && f != number || !ok && !math.IsNaN(number) && !math.IsInf(number, 0) {
			t.Fatalf("%s has not %v", out, number)
		}
		if got["processed_at"] != "1970-01-01T00:00:00Z" {
			t.Fatalf("%s", out)
		}
	})
}
