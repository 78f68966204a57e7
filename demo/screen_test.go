package demo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestScreenOfTerminal(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, live: true, width: 30}
	for i := range 40 {
		s.progress(float64(i), "12:00:00  1 points/s")
	}
	last := out.String()[strings.LastIndex(out.String(), eraseLine)+len(eraseLine):]
	if n := utf8.RuneCountInString(last); n > 30 || !strings.HasSuffix(last, "█") {
		t.Errorf("progress is %q, %d characters on a line of 30", last, n)
	}
	if strings.Contains(out.String(), "\n") {
		t.Error("progress leaves its line")
	}
	s.line("an answer")
	if !strings.HasSuffix(out.String(), eraseLine+"an answer\n") {
		t.Errorf("a line does not take the place of progress: %q", out.String())
	}
	s.progress(1, strings.Repeat("x", 50))
	s.settle()
	if got := out.String()[strings.LastIndex(out.String(), eraseLine)+len(eraseLine):]; len(got) > 30 || !strings.HasSuffix(got, "\n") {
		t.Errorf("a long line of progress ends as %q", got)
	}
}

func TestScreenOfFile(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, width: 30}
	s.progress(1, "one")
	s.progress(2, "two")
	s.settle()
	if out.String() != "one\ntwo\n" {
		t.Errorf("a file has %q", out.String())
	}
}

func TestBars(t *testing.T) {
	if got := bars([]float64{0, 50, 99, 100, 12.4}); got != "▁▅██▁" {
		t.Errorf("bars are %s", got)
	}
	if got := bars([]float64{0, 0}); got != "▁▁" {
		t.Errorf("bars of nothing are %s", got)
	}
}

func TestAnswersInWords(t *testing.T) {
	var rows []row
	for name, v := range map[string]json.Number{"a": "1", "b": "30.25", "c": "2", "d": "3"} {
		rows = append(rows, row{Tags: map[string]string{"name": name}, Value: v})
	}
	if got := highest(rows, "name"); got != "b 30.2, d 3.0, c 2.0 (of 4)" {
		t.Errorf("the highest are %s", got)
	}
	var out strings.Builder
	s := &screen{out: &out, width: 60}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := s.plot(time.Second, []row{
		{Time: at, Field: "usage_user", Value: "1"}, {Time: at, Field: "usage_system", Value: "5"},
		{Time: at.Add(time.Second), Field: "usage_user", Value: "2"},
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "user") || !strings.Contains(out.String(), "system") {
		t.Errorf("the plot has no legend:\n%s", &out)
	}
}
