package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// victoriaDialect asks in MetricsQL. A window [d] at time t covers (t-d, t],
// Varve's covers [t, t+d): so windows are asked for one millisecond, which is
// VictoriaMetrics' resolution, before their end. Its cache of answers is left
// out (nocache), because it would otherwise move the windows to whole steps.
type victoriaDialect struct{}

func (victoriaDialect) request(t QueryTarget, q question) (*http.Request, error) {
	if q.shape == TagValues {
		form := url.Values{"start": {unixSeconds(q.start)}, "end": {unixSeconds(q.stop)}}
		return post(t, "/api/v1/label/hostname/values", formType, form.Encode())
	}
	name := "cpu_" + q.fields[0]
	var labels []string
	if len(q.fields) > 1 {
		name = ""
		labels = append(labels, `__name__=~"cpu_(`+strings.Join(q.fields, "|")+`)"`)
	}
	switch {
	case len(q.hosts) == 1:
		labels = append(labels, `hostname="`+q.hosts[0]+`"`)
	case q.hosts != nil:
		labels = append(labels, `hostname=~"`+strings.Join(q.hosts, "|")+`"`)
	}
	series := name
	if len(labels) > 0 {
		series += "{" + strings.Join(labels, ",") + "}"
	}
	window, function := q.every, map[string]string{"max": "max", "mean": "avg", "last": "last", "": "last"}[q.aggregation]
	switch {
	case q.aggregation == "":
		window = q.interval // one row each
	case window == 0:
		window = q.stop.Sub(q.start)
	}
	query := fmt.Sprintf("%s_over_time(%s[%s])", function, series, seconds(window))
	if len(q.fields) > 1 {
		query += " keep_metric_names"
	}
	if q.shape == FieldAbove {
		query += " > " + strconv.FormatFloat(q.above, 'g', -1, 64)
	}
	form := url.Values{
		"query":   {query},
		"start":   {unixSeconds(q.start.Add(window - time.Millisecond))},
		"end":     {unixSeconds(q.stop.Add(-time.Millisecond))},
		"step":    {seconds(window)},
		"nocache": {"1"},
	}
	return post(t, "/api/v1/query_range", formType, form.Encode())
}

// unixSeconds writes a time in seconds with three decimals.
func unixSeconds(t time.Time) string {
	return fmt.Sprintf("%d.%03d", t.Unix(), t.Nanosecond()/1e6)
}

func (victoriaDialect) cells(q question, answer []byte) ([]cell, error) {
	if q.shape == TagValues {
		var a struct {
			Data []string `json:"data"`
		}
		if err := json.Unmarshal(answer, &a); err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		return tagCells(a.Data), nil
	}
	var a struct {
		Data struct {
			Result []struct {
				Metric map[string]string    `json:"metric"`
				Values [][2]json.RawMessage `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	var cells []cell
	for _, s := range a.Data.Result {
		// A function of a single metric drops its name.
		field := q.fields[0]
		if name, ok := s.Metric["__name__"]; ok {
			field = strings.TrimPrefix(name, "cpu_")
		}
		for _, v := range s.Values {
			at, err := strconv.ParseFloat(string(v[0]), 64)
			if err != nil {
				return nil, fmt.Errorf("read answer: time: %w", err)
			}
			value, err := strconv.ParseFloat(strings.Trim(string(v[1]), `"`), 64)
			if err != nil {
				return nil, fmt.Errorf("read answer: value: %w", err)
			}
			cells = append(cells, cell{field + " " + s.Metric["hostname"], at, value})
		}
	}
	return cells, nil
}
