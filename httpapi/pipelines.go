package httpapi

import (
	"encoding/json"
	"net/http"
)

// Pipelines are those that the server runs: package pipeline.
type Pipelines interface {
	// Pipelines returns how they fare.
	Pipelines() PipelinesAnswer
	// Reload reads their file again. An error says what is wrong with it; they then
	// stay as they were.
	Reload() error
}

// PipelinesAnswer is how all pipelines fare.
type PipelinesAnswer struct {
	File      string           `json:"file" doc:"where they are declared; empty: nowhere"`
	Loaded    string           `json:"loaded,omitempty" doc:"when the file was read that they run by, RFC 3339"`
	Trouble   string           `json:"trouble,omitempty" doc:"what is wrong with the file as it is now; the pipelines run by an earlier one"`
	Pipelines []PipelineStatus `json:"pipelines"`
}

// PipelineStatus is how a pipeline fares. Counts are since the start of the server.
type PipelineStatus struct {
	Name      string         `json:"name"`
	Source    string         `json:"source" doc:"kind of the source"`
	Connected bool           `json:"connected"`
	Trouble   string         `json:"trouble,omitempty" doc:"what is in the way of the source"`
	Notice    string         `json:"notice,omitempty" doc:"what a person should know of the source although it goes on"`
	Lag       int64          `json:"lag" doc:"messages that wait at the broker; -1: not known"`
	Messages  uint64         `json:"messages"`
	Records   uint64         `json:"records" doc:"that were made of the messages"`
	Stored    uint64         `json:"stored" doc:"records that went through all sinks"`
	Dropped   uint64         `json:"dropped" doc:"records that were left out on purpose"`
	Refused   uint64         `json:"refused" doc:"messages and records that were refused and kept with their reason"`
	Failures  uint64         `json:"failures" doc:"how often messages could not be taken and were handed over again"`
	Steps     []PipelineStep `json:"steps"`
}

// PipelineStep is what the decoder, a step or a sink did.
type PipelineStep struct {
	Name    string            `json:"name"`
	Passed  uint64            `json:"passed"`
	Changed uint64            `json:"changed"`
	Dropped uint64            `json:"dropped"`
	Refused uint64            `json:"refused"`
	Reasons map[string]uint64 `json:"reasons,omitempty" doc:"dropped and refused, by reason"`
}

// pipelinesStatus is GET /api/v1/pipelines.
func (a *API) pipelinesStatus(w http.ResponseWriter, r *http.Request) error {
	if err := a.operator(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentJSON)
	return json.NewEncoder(w).Encode(a.pipelines.Pipelines())
}

// pipelinesReload is POST /api/v1/pipelines/reload.
func (a *API) pipelinesReload(w http.ResponseWriter, r *http.Request) error {
	if err := a.operator(r); err != nil {
		return err
	}
	if err := a.pipelines.Reload(); err != nil {
		return &Error{Code: Invalid, Message: "the pipelines stay as they were: " + err.Error(), Err: err}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
