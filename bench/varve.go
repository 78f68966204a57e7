package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// varveDialect asks the service port.
type varveDialect struct{}

// varveQuestion is the body of POST /query.
type varveQuestion struct {
	Bucket      string              `json:"bucket,omitempty"`
	Start       string              `json:"start"`
	Stop        string              `json:"stop"`
	Measurement string              `json:"measurement"`
	Filters     map[string][]string `json:"filters,omitempty"`
	Where       []varveCondition    `json:"where,omitempty"`
	Aggregation string              `json:"aggregation,omitempty"`
	Fields      []string            `json:"fields"`
	Every       string              `json:"every,omitempty"`
	GroupBy     []string            `json:"group_by,omitempty"`
}

// varveCondition holds for rows whose field compares so with the value.
type varveCondition struct {
	Field string  `json:"field"`
	Op    string  `json:"op"`
	Value float64 `json:"value"`
}

func (varveDialect) request(t QueryTarget, q question) (*http.Request, error) {
	if q.shape == TagValues {
		r, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(t.URL, "/")+"/tags/hostname/values", nil)
		if err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
		t.authorise(r)
		return r, nil
	}
	v := varveQuestion{
		Bucket:      t.Bucket,
		Start:       q.start.UTC().Format(time.RFC3339Nano),
		Stop:        q.stop.UTC().Format(time.RFC3339Nano),
		Measurement: "cpu",
		Aggregation: q.aggregation,
		Fields:      q.fields,
	}
	if q.hosts != nil {
		v.Filters = map[string][]string{"hostname": q.hosts}
	}
	if q.every > 0 {
		v.Every = seconds(q.every)
	}
	if q.aggregation != "" {
		v.GroupBy = []string{"hostname"}
	}
	if q.shape == FieldAbove {
		v.Where = []varveCondition{{q.fields[0], ">", q.above}}
	}
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	return post(t, "/query", "application/json", string(body))
}

func (varveDialect) cells(q question, answer []byte) ([]cell, error) {
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
		Data []struct {
			Time  time.Time         `json:"time"`
			Field string            `json:"field"`
			Value float64           `json:"value"`
			Tags  map[string]string `json:"tags"`
		} `json:"data"`
		Count *int `json:"count"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if a.Count == nil || *a.Count != len(a.Data) {
		return nil, fmt.Errorf("read answer: %d rows do not match its count", len(a.Data))
	}
	cells := make([]cell, 0, len(a.Data))
	for _, d := range a.Data {
		cells = append(cells, cell{d.Field + " " + d.Tags["hostname"], float64(d.Time.UnixNano()), d.Value})
	}
	return cells, nil
}

func tagCells(values []string) []cell {
	cells := make([]cell, 0, len(values))
	for _, v := range values {
		cells = append(cells, cell{group: v})
	}
	return cells
}

// seconds writes a duration of whole seconds as every server reads it.
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }
