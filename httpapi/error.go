package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Code is the kind of an error in the words of the InfluxDB 2 API; clients
// decide by it (and by the status that belongs to it) whether to try again.
type Code string

const (
	Invalid          Code = "invalid"
	Unauthorized     Code = "unauthorized"
	Forbidden        Code = "forbidden"
	NotFound         Code = "not found"
	MethodNotAllowed Code = "method not allowed"
	TooLarge         Code = "request too large"
	Unprocessable    Code = "unprocessable entity"
	Conflict         Code = "conflict"
	Internal         Code = "internal error"
	Unavailable      Code = "unavailable"
	TooMany          Code = "too many requests"
	UnsupportedMedia Code = "unsupported media type"
)

// Status returns the HTTP status that goes with c.
func (c Code) Status() int {
	switch c {
	case Invalid:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Unprocessable, Conflict: // not 409: InfluxDB's clients know 422
		return http.StatusUnprocessableEntity
	case TooMany:
		return http.StatusTooManyRequests
	case UnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Error is an error as a client sees it. Whatever is behind the API returns
// one where the client shall learn the cause; every other error is logged and
// answered as an internal error without its text.
type Error struct {
	Code    Code
	Message string
	// RetryAfter goes with Unavailable and TooMany: when trying again makes sense, 0 for
	// defaultRetryAfter.
	RetryAfter time.Duration
	Err        error // behind Message, for errors.Is; not shown
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// RetryDelay is when trying again makes sense; 0 if it does not.
func (e *Error) RetryDelay() time.Duration {
	if e.Code != Unavailable && e.Code != TooMany {
		return 0
	}
	if e.RetryAfter <= 0 {
		return defaultRetryAfter
	}
	return e.RetryAfter
}

// defaultRetryAfter is long enough for a flush to make room and short enough
// that a writer's buffer lasts.
const defaultRetryAfter = 2 * time.Second

// errUnauthorized does not say which part of the credentials was wrong.
func errUnauthorized() *Error {
	return &Error{Code: Unauthorized, Message: "unauthorized access"}
}

// describe returns err as the client shall see it. Second is false for an
// error that the log should hold, because the client is not told it.
func describe(err error) (e *Error, expected bool) {
	if errors.As(err, &e) {
		return e, true
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Unavailable, Message: "the request ran out of time", Err: err}, true
	case errors.Is(err, context.Canceled):
		return &Error{Code: Unavailable, Message: "the request was cancelled", Err: err}, true
	}
	return &Error{Code: Internal, Message: "an internal error has occurred; the server's log has the cause", Err: err}, false
}

// answerInflux writes e as the InfluxDB 2 API does.
func answerInflux(w http.ResponseWriter, e *Error) {
	h := w.Header()
	h.Set("X-Platform-Error-Code", string(e.Code))
	answerJSON(w, e, influxFault{string(e.Code), e.Message})
}

// answerDetail writes e as the service port does.
func answerDetail(w http.ResponseWriter, e *Error) {
	answerJSON(w, e, detailFault{e.Message})
}

func answerJSON(w http.ResponseWriter, e *Error, body any) {
	h := w.Header()
	retryAfter(h, e)
	h.Set("Content-Type", contentJSON)
	w.WriteHeader(e.Code.Status())
	// The client that left is the only cause of an error here, and nobody is
	// left to be told.
	_ = json.NewEncoder(w).Encode(body)
}

// retryAfter tells when to come again.
func retryAfter(h http.Header, e *Error) {
	if after := e.RetryDelay(); after > 0 {
		// Whole seconds, rounded up: 0 would mean at once.
		h.Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
}

const contentJSON = "application/json; charset=utf-8"
