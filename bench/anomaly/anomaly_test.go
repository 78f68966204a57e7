package anomaly

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/ANOMALIES.md anew")

// The tables stand between these lines.
const (
	begin = "<!-- varve bench anomaly: begin -->\n"
	end   = "<!-- varve bench anomaly: end -->\n"
)

// TestDocumentShowsWhatIsMeasured makes the tables of the document again.
func TestDocumentShowsWhatIsMeasured(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "nab")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the labelled files of the Numenta Anomaly Benchmark are not here: %v", err)
	}
	all, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n")
	if err := Report(&b, all, Candidates()); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n")
	name := filepath.Join("..", "..", "docs", "ANOMALIES.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	was, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the tables", name)
	}
	if was == b.String() {
		return
	}
	if !*rewrite {
		t.Fatalf("%s is not what is measured; go test ./bench/anomaly -rewrite makes it anew. Measured:\n%s", name, b.String())
	}
	if err := os.WriteFile(name, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCount(t *testing.T) {
	minute := int64(time.Minute)
	s := Series{Windows: []Span{{100 * minute, 200 * minute}, {400 * minute, 410 * minute}}}
	finds := map[int64]bool{
		0: true, 30: true, // a false alarm
		95: true, 150: true, 180: true, // one alarm, 65 minutes later, that becomes true
		240: true, // another, since exactly an hour has passed
	}
	var found []bool
	for i := range int64(100) {
		s.Times = append(s.Times, 5*i*minute)
		found = append(found, finds[5*i])
	}
	got := count(&s, found)
	if got.TruePoints != 2 || got.FalsePoints != 4 || got.MissedPoints != 21-2+3 || got.QuietPoints != 100-24-4 {
		t.Errorf("points: %+v", got)
	}
	if got.Windows != 2 || got.Found != 1 || got.Alarms != 3 || got.TrueAlarms != 1 || len(got.Delays) != 1 || got.Delays[0] != 50*time.Minute {
		t.Errorf("windows: %+v", got)
	}
	want := "0.33 | 0.08 | 1 of 2 | 3, 1 | 0.33 | 0.50 | 0.8 h |"
	if cells := got.cells(); cells != want {
		t.Errorf("got %s, want %s", cells, want)
	}
}

func TestMeasure(t *testing.T) {
	var s Series
	for i := range 300 {
		v := float64(i % 7)
		if i == 250 {
			v = 1000
		}
		s.Times, s.Values = append(s.Times, int64(i)*int64(5*time.Minute)), append(s.Values, v)
	}
	s.Windows = []Span{{s.Times[248], s.Times[252]}}
	for _, c := range Candidates()[:1] {
		got, err := Measure(c, &s)
		if err != nil {
			t.Fatal(err)
		}
		if got.TruePoints != 1 || got.FalsePoints != 0 || got.Delays[0] != 10*time.Minute {
			t.Errorf("%s: %+v", c.Name, got)
		}
	}
	for text, want := range map[string]string{
		"":                                     "want one such as",
		"zscore":                               "want one such as",
		"zscore: 5":                            "want keys and values",
		"{zscore: {}, mad: {}}":                "want one such as",
		"oracle: {field: value}":               "there is no detector oracle",
		"zscore: {field: value, then: drop}":   "flag: found",
		"zscore: {feld: value, flag: found}":   "did you mean field?",
		"zscore: {field: [value, flag: found}": "detector",
	} {
		if _, err := Measure(Candidate{Declare: text}, &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "windows.json") {
		t.Errorf("an empty folder: %v", err)
	}
	write("windows.json", `{"a.csv": [["1970-01-01 00:00:01.000000", "1970-01-01 00:00:02.500000"]]}`)
	write("a.csv", "timestamp,value\n1970-01-01 00:00:01,2.5\n1970-01-01 00:00:03,-1\n")
	all, err := Load(dir)
	if err != nil || len(all) != 1 || all[0].Windows[0] != (Span{1e9, 25e8}) || all[0].Times[1] != 3e9 || all[0].Values[0] != 2.5 {
		t.Errorf("got %+v, %v", all, err)
	}
	write("a.csv", "timestamp,value\n1970-01-01 00:00:01,2.5\n1970-01-01 00:00:03,warm\n")
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("a bad value: %v", err)
	}
}
