package apptest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A question that needs what is damaged is told which file and place that is
// and what to do; health tells it too, and other questions are answered.
func TestDamageIsNamed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	for _, m := range []string{"m", "other"} {
		s.write(m + " x=1 1\n" + m + " x=2 2")
	}
	s.must(204, http.MethodPost, s.service+"/api/v1/settle", "")
	names, err := filepath.Glob(filepath.Join(dir, "store/shard-0/segments/*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments are %q, %v", names, err)
	}
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const at = 12 // within the first block of the first measurement
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}

	s.must(200, http.MethodGet, s.service+"/health", "")
	a := s.must(500, http.MethodPost, s.service+"/query", `{"measurement":"m","start":0,"stop":1}`)
	for _, want := range []string{filepath.Base(names[0]), "corrupt at offset ", "varve check"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the answer does not say %q: %s", want, a.body)
		}
	}
	if got := s.query(`{"measurement":"other","start":0,"stop":1}`); len(got) != 2 {
		t.Errorf("the other measurement has %+v", got)
	}
	for range 2 { // once is enough, however often it is met
		s.must(500, http.MethodPost, s.service+"/query", `{"measurement":"m","start":0,"stop":1}`)
	}
	a = s.must(503, http.MethodGet, s.service+"/health", "")
	if strings.Count(a.body, filepath.Base(names[0])) != 1 || !strings.Contains(a.body, "corrupt at offset ") {
		t.Errorf("health is %s", a.body)
	}
	if n := strings.Count(s.stderr.String(), "a segment is damaged"); n != 1 {
		t.Errorf("the log tells of the damage %d times, want once", n)
	}
}
