package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/tombstone"
)

// maxRequestBytes bounds bodies that are a request and not data.
const maxRequestBytes = 1 << 20

// deleteRequest is the body of POST /api/v2/delete.
type deleteRequest struct {
	Start     string `json:"start" format:"date-time" doc:"first time to delete, RFC 3339"`
	Stop      string `json:"stop" format:"date-time" doc:"last time to delete, RFC 3339"`
	Predicate string `json:"predicate,omitempty" doc:"comparisons of _measurement, _field and tags with values, joined by AND, OR and parentheses: city=\"Kyiv\" AND _field=\"temperature\""`
}

// delete is POST /api/v2/delete.
func (a *API) delete(w http.ResponseWriter, r *http.Request) error {
	p, err := a.principal(r, headerOnly)
	if err != nil {
		return err
	}
	var req deleteRequest
	if err := readRequest(r, &req); err != nil {
		return err
	}
	start, err := deleteTime("start", req.Start)
	if err != nil {
		return err
	}
	stop, err := deleteTime("stop", req.Stop)
	if err != nil {
		return err
	}
	if stop < start {
		return &Error{Code: Invalid, Message: "invalid request; stop is before start"}
	}
	c, err := parseCondition(req.Predicate)
	if err != nil {
		return &Error{Code: Invalid, Message: "invalid request; error parsing predicate: " + err.Error(), Err: err}
	}
	t, err := a.target(r, p)
	if err != nil {
		return err
	}
	if err := mayWrite(p, t, "to delete"); err != nil {
		return err
	}
	ts := &tombstone.Tombstone{Bucket: t.bucket, Measurement: c.Measurement, Min: start, Max: stop, Where: c.Where}
	if c.Field != "" {
		ts.Fields = []string{c.Field}
	}
	if err := a.deleter.Delete(r.Context(), ts); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readRequest reads a JSON object from the body of r.
func readRequest(r *http.Request, into any) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil {
		return unreadable(err)
	}
	if len(text) > maxRequestBytes {
		return &Error{Code: TooLarge, Message: "request is too large"}
	}
	if err := json.Unmarshal(text, into); err != nil {
		var known *Error
		if errors.As(err, &known) {
			return known
		}
		return &Error{Code: Invalid, Message: "invalid request; error parsing request json: " + err.Error(), Err: err}
	}
	return nil
}

// deleteTime reads a bound of a delete; both are inclusive.
func deleteTime(field, text string) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, &Error{Code: Invalid, Message: "invalid RFC3339Nano for field " + field +
			", please format your time with RFC3339Nano format, example: 2009-01-02T23:00:00Z", Err: err}
	}
	first, last := time.Unix(0, column.MinTime).UTC(), time.Unix(0, column.MaxTime).UTC()
	if t.Before(first) || t.After(last) {
		return 0, &Error{Code: Invalid, Message: "invalid " + field + " time, it must lie between " +
			first.Format(time.RFC3339Nano) + " and " + last.Format(time.RFC3339Nano)}
	}
	return t.UnixNano(), nil
}
