package apptest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/source/postgres/pgtest"
)

// captureTable is what is captured, and the statements that change it. They
// mean the same to PostgreSQL and MariaDB.
const captureTable = `CREATE TABLE readings (id BIGINT PRIMARY KEY, at %s, device VARCHAR(20), value DOUBLE PRECISION, n INT, note TEXT, price DECIMAL(10,2))`

// captureTime is a time of the table, in seconds after 2026-01-01.
func captureTime(seconds int) string {
	return time.Date(2026, 1, 1, 0, 0, seconds, 0, time.UTC).Format("2006-01-02 15:04:05")
}

// captureRows returns an insert of rows.
func captureRows(from, to int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO readings VALUES ")
	for i := from; i < to; i++ {
		if i > from {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d, '%s', 'd%d', %g, %d, 'note %d', %d.25)", i, captureTime(i), i%7, float64(i)/4, i, i, i)
	}
	return b.String()
}

// captureChanges returns statements that do something of each kind to some of
// rows.
func captureChanges(rng *rand.Rand, rows int) []string {
	at, some := rng.IntN(rows), 1+rng.IntN(40)
	between := fmt.Sprintf(" WHERE id BETWEEN %d AND %d", at, at+some)
	return []string{
		"UPDATE readings SET value = value + 1, price = price + 0.5" + between,
		"UPDATE readings SET note = CASE WHEN note IS NULL THEN 'again' END" + between,
		fmt.Sprintf("UPDATE readings SET device = 'e%d'", rng.IntN(9)) + between,
		fmt.Sprintf("UPDATE readings SET at = at + INTERVAL '%d' DAY", 400*(1+rng.IntN(3))) + between,
		fmt.Sprintf("DELETE FROM readings WHERE id BETWEEN %d AND %d", at+some, at+some+10),
		fmt.Sprintf("UPDATE readings SET id = id + %d WHERE id BETWEEN %d AND %d", 1_000_000+rng.IntN(1e9), at-3, at-1),
	}
}

// captureQuery lists the rows as their points should be.
const captureQuery = `SELECT id, %s, device, value, n, note, price FROM readings`

// captureWant returns the points of rows of captureQuery, whose time is in
// microseconds.
func captureWant(t *testing.T, rows [][]string) (all []string) {
	t.Helper()
	for _, r := range rows {
		micros, err := strconv.ParseInt(r[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		point := capturePoint{time.UnixMicro(micros).UTC(), map[string]string{"id": r[0], "device": r[2]}, map[string]string{}}
		for i, name := range []string{"value", "n", "note", "price"} {
			if v := r[3+i]; v != "" && v != "NULL" {
				point.fields[name] = v
			}
		}
		all = append(all, point.String())
	}
	slices.Sort(all)
	return all
}

type capturePoint struct {
	at           time.Time
	tags, fields map[string]string
}

func (p capturePoint) String() string {
	s := p.at.Format(time.RFC3339Nano)
	for _, m := range []map[string]string{p.tags, p.fields} {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			v := m[key]
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				v = strconv.FormatFloat(f, 'g', -1, 64)
			}
			s += " " + key + "=" + v
		}
	}
	return s
}

// captured returns the points of a measurement.
func captured(s *server, measurement string) (all []string) {
	points := map[string]*capturePoint{}
	for _, v := range s.query(fmt.Sprintf(`{"measurement":%q,"start":"2000-01-01T00:00:00Z","stop":"2100-01-01T00:00:00Z"}`, measurement)) {
		key := fmt.Sprint(v.Time.UnixNano(), v.Tags)
		p := points[key]
		if p == nil {
			p = &capturePoint{v.Time.UTC(), v.Tags, map[string]string{}}
			points[key] = p
		}
		switch x := v.Value.(type) {
		case json.Number:
			p.fields[v.Field] = x.String()
		default:
			p.fields[v.Field] = fmt.Sprint(x)
		}
	}
	for _, p := range points {
		all = append(all, p.String())
	}
	slices.Sort(all)
	return all
}

// captureCompare waits until the points of a measurement are want, and checks
// that nothing was refused.
func captureCompare(t *testing.T, s *server, measurement string, want []string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		got := captured(s, measurement)
		if slices.Equal(got, want) {
			break
		}
		if time.Now().After(deadline) {
			status := s.must(200, http.MethodGet, s.service+"/api/v1/pipelines", "").body
			t.Fatalf("the points of %s are not the rows:\n%s\n%s", measurement, cmp.Diff(want, got), status)
		}
		time.Sleep(200 * time.Millisecond)
	}
	// The bucket is made when something is refused.
	a, err := s.do(http.MethodPost, s.service+"/query", `{"bucket":"dead-letter","measurement":"refused","start":"2000-01-01T00:00:00Z","stop":"2100-01-01T00:00:00Z"}`)
	if err != nil || a.status != 404 {
		t.Fatalf("refused: %v %s", err, a.body)
	}
}

// TestCapturePostgres follows a table of PostgreSQL while its rows change, the
// server is killed and the database stopped and killed: at the end the points
// are the rows. `make test-cdc` runs it.
func TestCapturePostgres(t *testing.T) {
	db := pgtest.Start(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 3))
	const rows = 5000
	db.Exec(fmt.Sprintf(captureTable, "timestamptz"), "ALTER TABLE readings REPLICA IDENTITY FULL", captureRows(0, rows))
	file := pipelineFile(t, "", fmt.Sprintf(`
pipelines:
  capture:
    source:
      postgres:
        url: %s
        tables:
          public.readings:
            measurement: readings
            time: at
            tags: [id, device]
            fields: {value: float, n: int, note: string, price: float}
    sinks: [{store: {}}]
`, db.URL()))
	dir := t.TempDir()
	args := []string{"--pipelines-file", file, "--log-level", "warn"}
	want := func() []string {
		return captureWant(t, db.Query(fmt.Sprintf(captureQuery, "(extract(epoch from at) * 1000000)::int8")))
	}
	s := start(t, dir, args...)
	for round := range 10 {
		for range 6 {
			db.Exec(captureChanges(rng, rows)...)
		}
		time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond)
		switch round % 3 {
		case 0:
			s.kill()
			s = start(t, dir, args...)
		case 1:
			db.Kill()
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			db.Run()
		case 2:
			db.Stop()
			db.Run()
		}
		if round%4 == 3 {
			captureCompare(t, s, "readings", want())
		}
	}
	db.Exec(captureChanges(rng, rows)...)
	captureCompare(t, s, "readings", want())
	s.kill()
	s = start(t, dir, args...)
	captureCompare(t, s, "readings", want())
}

// TestCaptureEvents: change events that lie in a folder become points: rows that
// change, move and go, in one batch and over a restart with a flush between.
func TestCaptureEvents(t *testing.T) {
	inbox := t.TempDir()
	file := pipelineFile(t, "", fmt.Sprintf(`
pipelines:
  capture:
    source: {folder: {path: %q, format: ndjson}}
    decode:
      debezium:
        tables:
          shop.readings: {measurement: readings, time: {column: at, unit: s}, truncate: delete, tags: [id], fields: {v: float, w: string}}
    sinks: [{store: {}}]
`, inbox))
	dir := t.TempDir()
	s := start(t, dir, "--pipelines-file", file)
	event := func(op, before, after string) string {
		return fmt.Sprintf(`{"op":%q,"before":%s,"after":%s,"source":{"connector":"mariadb","db":"shop","table":"readings","ts_ms":1}}`, op, before, after)
	}
	row := func(id, at int, v, w string) string {
		return fmt.Sprintf(`{"id":%d,"at":%d,"v":%s,"w":%s}`, id, 1767225600+at, v, w)
	}
	hand := func(name string, events ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(inbox, "."+name), []byte(strings.Join(events, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(inbox, "."+name), filepath.Join(inbox, name)); err != nil {
			t.Fatal(err)
		}
	}
	var first []string
	for id := range 200 {
		first = append(first, event("r", "null", row(id, id, fmt.Sprint(id), `"x"`)))
	}
	first = append(first,
		event("u", row(1, 1, "1", `"x"`), row(1, 1, "10", "null")),        // a field goes
		event("u", row(2, 2, "2", `"x"`), row(2, 1002, "2", `"x"`)),       // the time changes
		event("u", row(2, 1002, "2", `"x"`), row(1002, 1002, "2", `"x"`)), // and a tag
		event("d", row(3, 3, "3", `"x"`), "null"))
	hand("1.ndjson", first...)
	want := func() (all []string) {
		for id := range 200 {
			at := time.Unix(int64(1767225600+id), 0).UTC().Format(time.RFC3339)
			switch {
			case id == 1:
				all = append(all, at+" id=1 v=10")
			case id == 2:
				all = append(all, "2026-01-01T00:16:42Z id=1002 v=2 w=x")
			case id != 3:
				all = append(all, fmt.Sprintf("%s id=%d v=%d w=x", at, id, id))
			}
		}
		slices.Sort(all)
		return all
	}
	captureCompare(t, s, "readings", want())
	s.kill()
	s = start(t, dir, "--pipelines-file", file)
	captureCompare(t, s, "readings", want())
	s.must(204, http.MethodPost, s.service+"/api/v1/settle", "")
	captureCompare(t, s, "readings", want())
	var second []string
	for id := 100; id < 200; id++ {
		second = append(second, event("d", row(id, id, fmt.Sprint(id), `"x"`), "null"))
	}
	hand("2.ndjson", second...)
	left := slices.DeleteFunc(want(), func(p string) bool {
		var id int
		_, err := fmt.Sscanf(strings.Fields(p)[1], "id=%d", &id)
		return err == nil && id >= 100 && id < 200
	})
	captureCompare(t, s, "readings", left)
	s.kill()
	s = start(t, dir, "--pipelines-file", file)
	captureCompare(t, s, "readings", left)
	s.must(204, http.MethodPost, s.service+"/api/v1/settle", "")
	captureCompare(t, s, "readings", left)
	if a := s.must(200, http.MethodPost, s.service+"/api/v1/check", ""); a.body != "{\"problems\":0}\n" {
		t.Errorf("check: %s", a.body)
	}
	// TRUNCATE takes all, but for what comes after it.
	hand("3.ndjson", event("c", "null", row(500, 0, "1", "null")), event("t", "null", "null"), event("c", "null", row(501, 0, "2", "null")))
	captureCompare(t, s, "readings", []string{"2026-01-01T00:00:00Z id=501 v=2"})
}
