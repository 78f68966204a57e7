package bench

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fluxDialect asks in Flux, as InfluxDB 2 and the points port answer it.
type fluxDialect struct{}

func (fluxDialect) request(t QueryTarget, q question) (*http.Request, error) {
	bucket := t.Bucket
	if bucket == "" {
		bucket = "default"
	}
	body, err := json.Marshal(map[string]string{"query": fluxScript(bucket, q), "type": "flux"})
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	return post(t, "/api/v2/query", "application/json", string(body))
}

// fluxScript asks as dashboards do.
func fluxScript(bucket string, q question) string {
	var b strings.Builder
	if q.shape == TagValues {
		fmt.Fprintf(&b, "import \"influxdata/influxdb/schema\"\nschema.tagValues(bucket: %q, tag: \"hostname\", start: %s, stop: %s)",
			bucket, q.start.UTC().Format(time.RFC3339Nano), q.stop.UTC().Format(time.RFC3339Nano))
		return b.String()
	}
	fmt.Fprintf(&b, "from(bucket: %q)\n  |> range(start: %s, stop: %s)\n", bucket,
		q.start.UTC().Format(time.RFC3339Nano), q.stop.UTC().Format(time.RFC3339Nano))
	b.WriteString("  |> filter(fn: (r) => r._measurement == \"cpu\")\n")
	fmt.Fprintf(&b, "  |> filter(fn: (r) => %s)\n", oneOf("_field", q.fields))
	if q.hosts != nil {
		fmt.Fprintf(&b, "  |> filter(fn: (r) => %s)\n", oneOf("hostname", q.hosts))
	}
	if q.shape == FieldAbove {
		fmt.Fprintf(&b, "  |> filter(fn: (r) => r._value > %s)\n", fluxFloat(q.above))
	}
	if q.aggregation != "" {
		// Series of the fleet have ten tags, of which the host tells them apart:
		// the others are dropped, so that the answer says no more than those of
		// other servers.
		b.WriteString("  |> group(columns: [\"_field\", \"hostname\"])\n")
		if q.every > 0 {
			fmt.Fprintf(&b, "  |> aggregateWindow(every: %s, fn: %s, createEmpty: false)\n", seconds(q.every), q.aggregation)
		} else {
			fmt.Fprintf(&b, "  |> %s()\n", q.aggregation)
		}
	}
	b.WriteString("  |> keep(columns: [\"_time\", \"_value\", \"_field\", \"hostname\"])")
	return b.String()
}

func oneOf(column string, values []string) string {
	terms := make([]string, len(values))
	for i, v := range values {
		terms[i] = fmt.Sprintf("r.%s == %q", column, v)
	}
	return strings.Join(terms, " or ")
}

// fluxFloat writes a number so that Flux takes it for a float.
func fluxFloat(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// cells reads CSV without annotations: a header before each run of tables with
// the same columns, and empty lines between.
func (fluxDialect) cells(q question, answer []byte) ([]cell, error) {
	r := csv.NewReader(strings.NewReader(string(answer)))
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	var cells []cell
	place := map[string]int{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return cells, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if slices.Contains(row, "_value") || slices.Contains(row, "error") {
			clear(place)
			for i, name := range row {
				place[strings.Clone(name)] = i
			}
			continue
		}
		if i, failed := place["error"]; failed {
			return nil, errors.New(row[i])
		}
		at, ok := place["_value"]
		if !ok || at >= len(row) {
			return nil, errors.New("read answer: a row without a header")
		}
		if q.shape == TagValues {
			cells = append(cells, cell{group: strings.Clone(row[at])})
			continue
		}
		if row[at] == "" {
			continue
		}
		value, err := strconv.ParseFloat(row[at], 64)
		if err != nil {
			return nil, fmt.Errorf("read answer: value: %w", err)
		}
		when, err := time.Parse(time.RFC3339Nano, row[place["_time"]])
		if err != nil {
			return nil, fmt.Errorf("read answer: time: %w", err)
		}
		cells = append(cells, cell{row[place["_field"]] + " " + row[place["hostname"]], float64(when.UnixNano()), value})
	}
}
