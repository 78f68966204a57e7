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

// influxHealthAnswer is the answer of GET /health of the points port.
type influxHealthAnswer struct {
	Name    string        `json:"name" enum:"influxdb"`
	Message string        `json:"message"`
	Status  string        `json:"status" enum:"pass,fail"`
	Checks  []healthCheck `json:"checks" nullable:"false"`
	Score   float64       `json:"score" doc:"0 to 100"`
	Version string        `json:"version" doc:"of the InfluxDB API"`
	Commit  string        `json:"commit"`
}

// healthCheck is what one check found.
type healthCheck struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Status  string `json:"status" enum:"pass,fail"`
}

// influxHealth is GET /health of the points port. InfluxDB's clients know the
// words pass and fail only, so that what is not failing passes, with a message.
func (a *API) influxHealth(w http.ResponseWriter, _ *http.Request) error {
	word := func(failing bool) string {
		if failing {
			return "fail"
		}
		return "pass"
	}
	r := a.health()
	answer := influxHealthAnswer{"influxdb", "ready for queries and writes", word(r.Failing()), []healthCheck{}, r.Score, influxVersion, a.config.Commit}
	if reasons := r.Reasons(); len(reasons) > 0 {
		answer.Message = strings.Join(reasons, "; ")
	}
	for i := range r.Results {
		if f := &r.Results[i]; len(f.Reasons) > 0 {
			answer.Checks = append(answer.Checks, healthCheck{f.Name, strings.Join(f.Reasons, "; "), word(f.Failing)})
		}
	}
	return writeJSON(w, healthStatus(&r), answer)
}

// readyAnswer is the answer of GET /ready.
type readyAnswer struct {
	Status  string `json:"status" enum:"ready"`
	Started string `json:"started" format:"date-time"`
	Up      string `json:"up"`
}

// ready is GET /ready: the server accepts requests only after recovery, so
// that whoever can ask gets this answer, until the server is told to stop.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) error {
	if a.stopping != nil && a.stopping() {
		return &Error{Code: Unavailable, Message: "the server is stopping"}
	}
	return writeJSON(w, http.StatusOK, readyAnswer{"ready", a.started.UTC().Format(time.RFC3339Nano), a.now().Sub(a.started).String()})
}

// healthAnswer is the answer of GET /health of the service port.
type healthAnswer struct {
	Status    string   `json:"status" enum:"healthy,degraded,unhealthy"`
	Timestamp string   `json:"timestamp" format:"date-time"`
	Score     float64  `json:"score" doc:"0 to 100"`
	Reasons   []string `json:"reasons,omitempty" doc:"what takes points off the score"`
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
	return writeJSON(w, healthStatus(&r), healthAnswer{status, a.now().UTC().Format(time.RFC3339Nano), r.Score, r.Reasons()})
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
