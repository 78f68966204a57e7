package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/varvedb/varve/health"
)

// ping is GET and HEAD /ping: the server is there.
func (a *API) ping(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// healthStatus is 503 for a server that fails at something. One that only has
// to be looked after serves, and is not taken out of service for it.
func healthStatus(r *health.Report) int {
	if r.Failing() {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// influxHealth is GET /health of the points port. InfluxDB's clients know the
// words pass and fail only, so that what is not failing passes, with a message.
func (a *API) influxHealth(w http.ResponseWriter, _ *http.Request) error {
	type check struct {
		Name    string `json:"name"`
		Message string `json:"message"`
		Status  string `json:"status"`
	}
	word := func(failing bool) string {
		if failing {
			return "fail"
		}
		return "pass"
	}
	r := a.health()
	answer := struct {
		Name    string  `json:"name"`
		Message string  `json:"message"`
		Status  string  `json:"status"`
		Checks  []check `json:"checks"`
		Score   float64 `json:"score"`
		Version string  `json:"version"`
		Commit  string  `json:"commit"`
	}{"influxdb", "ready for queries and writes", word(r.Failing()), []check{}, r.Score, influxVersion, a.config.Commit}
	if reasons := r.Reasons(); len(reasons) > 0 {
		answer.Message = strings.Join(reasons, "; ")
	}
	for i := range r.Results {
		if f := &r.Results[i]; len(f.Reasons) > 0 {
			answer.Checks = append(answer.Checks, check{f.Name, strings.Join(f.Reasons, "; "), word(f.Failing)})
		}
	}
	return writeJSON(w, healthStatus(&r), answer)
}

// ready is GET /ready: the server accepts requests only after recovery, so
// that whoever can ask gets this answer, until the server is told to stop.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) error {
	if a.stopping != nil && a.stopping() {
		return &Error{Code: Unavailable, Message: "the server is stopping"}
	}
	return writeJSON(w, http.StatusOK, struct {
		Status  string `json:"status"`
		Started string `json:"started"`
		Up      string `json:"up"`
	}{"ready", a.started.UTC().Format(time.RFC3339Nano), a.now().Sub(a.started).String()})
}

// serviceHealth is GET /health of the service port.
func (a *API) serviceHealth(w http.ResponseWriter, _ *http.Request) error {
	r := a.health()
	status := "healthy"
	switch {
	case r.Failing():
		status = "unhealthy"
	case r.Score < 100:
		status = "degraded"
	}
	return writeJSON(w, healthStatus(&r), struct {
		Status    string   `json:"status"`
		Timestamp string   `json:"timestamp"`
		Score     float64  `json:"score"`
		Reasons   []string `json:"reasons,omitempty"`
	}{status, a.now().UTC().Format(time.RFC3339Nano), r.Score, r.Reasons()})
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}
