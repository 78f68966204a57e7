package jsondoc

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// TestAppendText: each text says of itself what it was.
func TestAppendText(t *testing.T) {
	all := make([]byte, 0x80)
	for i := range all {
		all[i] = byte(i)
	}
	for _, s := range []string{"", "plain", `"`, `\"\`, "a\nb\x00", string(all), "é😀\u2028<&>"} {
		doc := AppendText([]byte(`[`), s)
		var got []string
		if err := json.Unmarshal(append(doc, ']'), &got); err != nil || got[0] != s {
			t.Errorf("%q becomes %s: %v", s, doc, err)
		}
	}
	if got := AppendText(nil, "\xff\n"); string(got) != "\"\xff\\u000a\"" {
		t.Errorf("what is not UTF-8 becomes %q", got)
	}
}

func TestAppendValues(t *testing.T) {
	for want, got := range map[string][]byte{
		"1":                                AppendFloat(nil, 1, 64),
		"0.1":                              AppendFloat(nil, float64(float32(0.1)), 32),
		"0.10000000149011612":              AppendFloat(nil, float64(float32(0.1)), 64),
		"-1e+300":                          AppendFloat(nil, -1e300, 64),
		"[null":                            AppendFloat([]byte("["), math.NaN(), 64),
		"{null":                            AppendFloat([]byte("{"), math.Inf(-1), 32),
		`"AP8="`:                           AppendBytes(nil, []byte{0, 255}),
		`"2026-01-02T15:04:05.000000001Z"`: AppendTime(nil, time.Date(2026, 1, 3, 0, 4, 5, 1, time.FixedZone("", 9*3600))),
	} {
		if string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
