package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// ping is GET and HEAD /ping: the server is there.
func (a *API) ping(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// influxHealth is GET /health of the points port.
func (a *API) influxHealth(w http.ResponseWriter, _ *http.Request) error {
	type check struct {
		Name    string `json:"name"`
		Message string `json:"message"`
		Status  string `json:"status"`
	}
	answer := struct {
		Name    string  `json:"name"`
		Message string  `json:"message"`
		Status  string  `json:"status"`
		Checks  []check `json:"checks"`
		Version string  `json:"version"`
		Commit  string  `json:"commit"`
	}{"influxdb", "ready for queries and writes", "pass", []check{}, influxVersion, a.config.Commit}
	status := http.StatusOK
	if ailments := a.ailments(); len(ailments) > 0 {
		status, answer.Status, answer.Message = http.StatusServiceUnavailable, "fail", strings.Join(ailments, "; ")
		for _, s := range ailments {
			answer.Checks = append(answer.Checks, check{"store", s, "fail"})
		}
	}
	return writeJSON(w, status, answer)
}

// ready is GET /ready: the server accepts requests only after recovery, so
// that whoever can ask gets this answer.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, struct {
		Status  string `json:"status"`
		Started string `json:"started"`
		Up      string `json:"up"`
	}{"ready", a.started.UTC().Format(time.RFC3339Nano), a.now().Sub(a.started).String()})
}

// serviceHealth is GET /health of the service port.
func (a *API) serviceHealth(w http.ResponseWriter, _ *http.Request) error {
	answer := struct {
		Status    string   `json:"status"`
		Timestamp string   `json:"timestamp"`
		Reasons   []string `json:"reasons,omitempty"`
	}{Status: "healthy", Timestamp: a.now().UTC().Format(time.RFC3339Nano)}
	status := http.StatusOK
	if ailments := a.ailments(); len(ailments) > 0 {
		status, answer.Status, answer.Reasons = http.StatusServiceUnavailable, "unhealthy", ailments
	}
	return writeJSON(w, status, answer)
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
