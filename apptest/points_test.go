package apptest

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// TestData writes JSON points as the platform's clients do and asks for them.
func TestData(t *testing.T) {
	s := start(t, t.TempDir())
	data := func(status int, body string) answer { return s.must(status, http.MethodPost, s.service+"/data", body) }
	before := time.Now()
	data(200, `{"measurement":"weather","tags":{"city":"Kyiv"},"fields":{"temperature":21,"sunny":true,"note":"a \"quote\""},"timestamp":"2026-01-02T15:04:05"}`)
	data(200, `[{"measurement":"weather","tags":{"city":"Lviv"},"fields":{"temperature":19.5}},
		{"measurement":"weather","tags":{"city":"Kyiv"},"fields":{"temperature":22.25,"sunny":null},"timestamp":1767366300}]`)
	got := s.query(`{"measurement":"weather","start":"2026-01-01","fields":["temperature"],"filters":{"city":"Kyiv"},"order":"asc"}`)
	if len(got) != 2 || got[0].Value != json.Number("21") || got[1].Value != json.Number("22.25") ||
		got[0].Time.Format(time.RFC3339) != "2026-01-02T15:04:05Z" || got[1].Time.Unix() != 1767366300 {
		t.Errorf("got %+v", got)
	}
	got = s.query(`{"measurement":"weather","start":"-1h","filters":{"city":"Lviv"},"stop":"now+1h"}`)
	if len(got) != 1 || got[0].Time.Before(before.Add(-time.Second)) || got[0].Time.After(time.Now().Add(time.Second)) {
		t.Errorf("without a timestamp came %+v", got)
	}
	got = s.query(`{"measurement":"weather","start":"2026-01-01","fields":["note","sunny"],"filters":{"city":"Kyiv"}}`)
	if len(got) != 2 || got[0].Value != `a "quote"` || got[1].Value != true {
		t.Errorf("text and boolean are %+v", got)
	}

	// A whole number is what its field is: an integer where line protocol made
	// it one, to the last digit.
	s.write("typed i=1i,u=2u,f=3 1767366000000000000")
	data(200, `{"measurement":"typed","fields":{"i":9007199254740993,"u":18446744073709551615,"f":7},"timestamp":1767366001}`)
	got = s.query(`{"measurement":"typed","start":"2026-01-02T15:00:01Z"}`)
	if len(got) != 3 || got[0].Value != json.Number("7") || got[1].Value != json.Number("9007199254740993") || got[2].Value != json.Number("18446744073709551615") {
		t.Errorf("typed fields are %+v", got)
	}
	// What contradicts the schema is refused, the rest of the body is stored.
	a := data(422, `[{"measurement":"typed","fields":{"i":1.5}},{"measurement":"typed","fields":{"f":"text"}},{"measurement":"typed","fields":{"f":8},"timestamp":1767366002}]`)
	var e struct{ Detail string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Detail != `2 of 3 points were refused, the others are stored: field type conflict: input field "i" on measurement "typed" is type float, already exists as type integer` {
		t.Errorf("partial write says %q, %v", e.Detail, err)
	}
	if got = s.query(`{"measurement":"typed","start":"2026-01-02T15:00:02Z","stop":"2026-01-02T15:00:03Z"}`); len(got) != 1 || got[0].Value != json.Number("8") {
		t.Errorf("beside refused points came %+v", got)
	}

	// Acknowledged means durable.
	s.kill()
	s = start(t, s.dir)
	if got = s.query(`{"measurement":"typed","start":"2026-01-02T15:00:02Z","stop":"2026-01-02T15:00:03Z"}`); len(got) != 1 {
		t.Errorf("after kill -9 came %+v", got)
	}
}
