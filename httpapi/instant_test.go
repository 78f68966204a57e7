package httpapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
)

func TestInstant(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2026-01-02T03:04:05Z"`:           time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		`"2026-01-02T03:04:05.000000006Z"`: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		`"2026-01-02T03:04:05+02:00"`:      time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		`"2026-01-02T03:04:05"`:            time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		`"2026-01-02 03:04:05.5"`:          time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC),
		`"2026-01-02"`:                     time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		`"now"`:                            now,
		`"-1h"`:                            now.Add(-time.Hour),
		`"now-1h30m"`:                      now.Add(-90 * time.Minute),
		`"+1d"`:                            now.Add(24 * time.Hour),
		`"-1w"`:                            now.Add(-7 * 24 * time.Hour),
		`"-1mo"`:                           now.AddDate(0, -1, 0),
		`"-1y"`:                            now.AddDate(-1, 0, 0),
		`1700000000`:                       time.Unix(1700000000, 0),
		`"1700000000"`:                     time.Unix(1700000000, 0),
		`1700000000.25`:                    time.Unix(1700000000, 25e7),
		`1700000000123`:                    time.UnixMilli(1700000000123),
		`1700000000123456`:                 time.UnixMicro(1700000000123456),
		`1700000000123456789`:              time.Unix(0, 1700000000123456789),
		`-5`:                               time.Unix(-5, 0),
		`"0001-01-01T00:00:00Z"`:           time.Unix(0, column.MinTime),
		`"9999-01-01T00:00:00Z"`:           time.Unix(0, column.MaxTime),
	} {
		var in instant
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := in.nanos(now)
		if err != nil || got != want.UnixNano() {
			t.Errorf("%s: %s, %v; want %s", text, time.Unix(0, got).UTC(), err, want.UTC())
		}
	}
	for _, text := range []string{"", "yesterday", "-1", "-h", "-1x", "1h", "now-", "2026-13-01", "NaN", "1e300", "-99999999999w", "-12001mo"} {
		if text == "-1" {
			continue // seconds before 1970
		}
		if got, err := instant(text).nanos(now); err == nil {
			t.Errorf("%q: no error but %s", text, time.Unix(0, got).UTC())
		}
	}
}
