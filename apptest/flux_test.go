package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// script runs Flux and returns the answer, whatever its status.
func (s *server) script(text string) answer {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": text})
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.do(http.MethodPost, s.http+"/api/v2/query", string(body), "Content-Type: application/json")
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// rows runs Flux and returns the values of some columns, a line a row.
func (s *server) rows(text string, columns ...string) []string {
	s.t.Helper()
	a := s.script(text)
	if a.status != http.StatusOK {
		s.t.Fatalf("%d %s for\n%s", a.status, a.body, text)
	}
	return cellsOf(a.body, columns...)
}

// cellsOf returns the values of some columns of an answer, a line a row.
func cellsOf(body string, columns ...string) []string {
	var out []string
	var place []int
	for line := range strings.SplitSeq(strings.ReplaceAll(body, "\r\n", "\n"), "\n") {
		cells := strings.Split(line, ",")
		switch {
		case line == "":
			place = nil
		case place == nil:
			for _, c := range columns {
				at := -1
				for i, label := range cells {
					if label == c {
						at = i
					}
				}
				place = append(place, at)
			}
		default:
			var row []string
			for _, at := range place {
				if at < 0 {
					row = append(row, "-")
				} else {
					row = append(row, cells[at])
				}
			}
			out = append(out, strings.Join(row, " "))
		}
	}
	return out
}

// plants writes two plants with two fields, a point a minute from noon on.
func plants(s *server) {
	var b strings.Builder
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for i := range 120 {
		at := noon.Add(time.Duration(i) * time.Minute).UnixNano()
		fmt.Fprintf(&b, "plant,site=north power=%d,state=\"on\",starts=%di %d\n", i, i/60, at)
		fmt.Fprintf(&b, "plant,site=south power=%d.5 %d\n", 2*i, at)
	}
	s.write(b.String())
}

const plantRange = `from(bucket: "default") |> range(start: 2026-01-02T12:00:00Z, stop: 2026-01-02T14:00:00Z)`

// TestFlux asks the questions that dashboards ask.
func TestFlux(t *testing.T) {
	s := start(t, t.TempDir())
	plants(s)
	for _, tt := range []struct {
		script  string
		columns string
		want    []string
	}{
		{`|> filter(fn: (r) => r._measurement == "plant" and r._field == "power") |> aggregateWindow(every: 1h, fn: mean)`,
			"site _time _value", []string{"north 2026-01-02T13:00:00Z 29.5", "north 2026-01-02T14:00:00Z 89.5", "south 2026-01-02T13:00:00Z 59.5", "south 2026-01-02T14:00:00Z 179.5"}},
		{`|> filter(fn: (r) => r._field == "power" and r.site == "south") |> last()`, "_time _value", []string{"2026-01-02T13:59:00Z 238.5"}},
		{`|> filter(fn: (r) => r._field == "power") |> group() |> max()`, "site _value", []string{"south 238.5"}},
		{`|> filter(fn: (r) => r._field == "starts") |> sum()`, "_value", []string{"60"}},
		{`|> filter(fn: (r) => r._field == "state") |> limit(n: 1) |> keep(columns: ["_value", "_time"])`, "_time _value", []string{"2026-01-02T12:00:00Z on"}},
		{`|> filter(fn: (r) => r._field == "power" and r._value > 117.0 and r.site == "north") |> map(fn: (r) => ({r with _value: r._value * 2.0}))`,
			"_time _value", []string{"2026-01-02T13:58:00Z 236", "2026-01-02T13:59:00Z 238"}},
		{`|> filter(fn: (r) => r.site == "north") |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value") |> tail(n: 1)`,
			"power starts state", []string{"119 1 on"}},
		{`|> count() |> group() |> sum()`, "_value", []string{"480"}},
		{`|> filter(fn: (r) => r._field == "power") |> derivative(unit: 1m) |> mean()`, "site _value", []string{"north 1", "south 2"}},
	} {
		if got := s.rows(plantRange+tt.script, strings.Fields(tt.columns)...); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s\ngave %q\nwant %q", tt.script, got, tt.want)
		}
	}
	if got := s.rows(`buckets()`, "name"); strings.Join(got, " ") != "default" {
		t.Errorf("buckets() lists %q", got)
	}
	if got := s.rows(`import "influxdata/influxdb/schema" schema.tagValues(bucket: "default", tag: "site", start: 0)`, "_value"); strings.Join(got, " ") != "north south" {
		t.Errorf("values of the tag are %q", got)
	}
	if got := s.rows(`import "influxdata/influxdb/v1" v1.databases()`, "databaseName", "retentionPolicy", "default"); strings.Join(got, " ") != "default autogen true" {
		t.Errorf("databases are %q", got)
	}
}

// TestFluxErrors: what is wrong with a script is told, with its place.
func TestFluxErrors(t *testing.T) {
	s := start(t, t.TempDir())
	plants(s)
	for script, want := range map[string]struct {
		status int
		text   string
	}{
		`from(bucket: "default"`:                       {400, `@1:`},
		"x = 1\ny = nope":                              {400, `error @2:5-2:9: undefined identifier \"nope\"`},
		`from(bucket: "default")`:                      {400, `unbounded read`},
		`from(bucket: "elsewhere") |> range(start: 0)`: {404, `could not find bucket \"elsewhere\"`},
		plantRange + `|> filter(fn: (r) => r._field == "power") |> map(fn: (r) => ({x: 1 / 0}))`: {400, `cannot divide by zero`},
		`import "nothing/here"`: {400, `nothing/here`},
	} {
		if a := s.script(script); a.status != want.status || !strings.Contains(a.body, want.text) {
			t.Errorf("%s\ngave %d %s: want %d and %q in it", script, a.status, a.body, want.status, want.text)
		}
	}
}

// TestFluxMemory: a script that wants more than it may have is told so, and
// others go on.
func TestFluxMemory(t *testing.T) {
	s := start(t, t.TempDir(), "--query-memory-limit", "8MiB")
	var b strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&b, "m,host=h%d v=%d %d\n", i%10, i, i*1_000_000_000)
		if i%10_000 == 9_999 {
			s.write(b.String())
			b.Reset()
		}
	}
	all := `from(bucket: "default") |> range(start: 0)`
	for _, tail := range []string{`|> group() |> sort(columns: ["_value"])`, `|> pivot(rowKey: ["_time"], columnKey: ["host"], valueColumn: "_value")`,
		`|> map(fn: (r) => ({r with k: string(v: r._value)})) |> group(columns: ["k"]) |> sort()`} {
		a := s.script(all + tail)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "8") || !strings.Contains(a.body, "memory") {
			t.Errorf("%s gave %d %.300s", tail, a.status, a.body)
		}
		if got := s.rows(all+`|> count() |> group() |> sum()`, "_value"); strings.Join(got, "") != "200000" {
			t.Errorf("after it the count is %q", got)
		}
	}
}

// TestFluxCancel: a client that goes away stops the work within 100 ms.
func TestFluxCancel(t *testing.T) {
	s := start(t, t.TempDir())
	endless := `f = (g, n) => if n == 0 then 0 else g(g: g, n: n - 1) + g(g: g, n: n - 1) f(g: f, n: 300)`
	body, _ := json.Marshal(map[string]any{"query": endless})
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.http+"/api/v2/query", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+s.token)
	go func() {
		time.Sleep(300 * time.Millisecond)
		cancel()
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("an endless script was answered: %s", text)
	}
	busy := s.processorTime()
	time.Sleep(100 * time.Millisecond)
	from := s.processorTime()
	time.Sleep(time.Second)
	if used := s.processorTime() - from; used > 300*time.Millisecond {
		t.Errorf("100 ms after the client left the server still works: %v in a second (%v before)", used, busy)
	}
}

// processorTime returns how long the server has worked, over all processors.
func (s *server) processorTime() time.Duration {
	s.t.Helper()
	text := string(read(s.t, fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid)))
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
