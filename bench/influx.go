package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// influxDialect asks in InfluxQL.
type influxDialect struct{}

func (influxDialect) request(t QueryTarget, q question) (*http.Request, error) {
	form := url.Values{"db": {t.Database}, "epoch": {"ns"}, "q": {influxQL(q)}}
	return post(t, "/query", formType, form.Encode())
}

func influxQL(q question) string {
	if q.shape == TagValues {
		return `SHOW TAG VALUES FROM "cpu" WITH KEY = "hostname"`
	}
	var columns []string
	for _, f := range q.fields {
		if q.aggregation == "" {
			columns = append(columns, strconv.Quote(f))
		} else {
			columns = append(columns, fmt.Sprintf(`%s("%s") AS "%s"`, q.aggregation, f, f))
		}
	}
	where := []string{
		fmt.Sprintf("time >= %d", q.start.UnixNano()),
		fmt.Sprintf("time < %d", q.stop.UnixNano()),
	}
	if q.hosts != nil {
		var any []string
		for _, h := range q.hosts {
			any = append(any, fmt.Sprintf(`"hostname" = '%s'`, h))
		}
		where = append(where, "("+strings.Join(any, " OR ")+")")
	}
	if q.shape == FieldAbove {
		where = append(where, fmt.Sprintf(`"%s" > %v`, q.fields[0], q.above))
	}
	text := fmt.Sprintf(`SELECT %s FROM "cpu" WHERE %s GROUP BY `,
		strings.Join(columns, ", "), strings.Join(where, " AND "))
	if q.every > 0 {
		return text + fmt.Sprintf(`time(%s), "hostname" fill(none)`, seconds(q.every))
	}
	return text + `"hostname"`
}

func (influxDialect) cells(q question, answer []byte) ([]cell, error) {
	var a struct {
		Results []struct {
			Error  string `json:"error"`
			Series []struct {
				Tags    map[string]string   `json:"tags"`
				Columns []string            `json:"columns"`
				Values  [][]json.RawMessage `json:"values"`
			} `json:"series"`
		} `json:"results"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(a.Results) != 1 {
		return nil, fmt.Errorf("read answer: %d results", len(a.Results))
	}
	if text := a.Results[0].Error; text != "" {
		return nil, errors.New(text)
	}
	var cells []cell
	for _, s := range a.Results[0].Series {
		for _, row := range s.Values {
			if len(row) != len(s.Columns) || len(row) < 2 {
				return nil, fmt.Errorf("read answer: row of %d columns", len(row))
			}
			if q.shape == TagValues {
				var value string
				if err := json.Unmarshal(row[1], &value); err != nil {
					return nil, fmt.Errorf("read answer: %w", err)
				}
				cells = append(cells, cell{group: value})
				continue
			}
			at, err := strconv.ParseFloat(string(row[0]), 64)
			if err != nil {
				return nil, fmt.Errorf("read answer: time: %w", err)
			}
			for i, column := range s.Columns[1:] {
				if string(row[i+1]) == "null" {
					continue
				}
				value, err := strconv.ParseFloat(string(row[i+1]), 64)
				if err != nil {
					return nil, fmt.Errorf("read answer: value: %w", err)
				}
				cells = append(cells, cell{column + " " + s.Tags["hostname"], at, value})
			}
		}
	}
	return cells, nil
}
