package bench

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

// QueryAPI names the language in which a server is asked.
type QueryAPI string

// The query APIs.
const (
	// Varve is POST /query on the service port, JSON.
	Varve QueryAPI = "varve"
	// Victoria is VictoriaMetrics' /api/v1/query_range, MetricsQL. Its series
	// are named measurement_field, as it names what the write API brings.
	Victoria QueryAPI = "victoria"
	// Influx is InfluxDB 1.x's /query, InfluxQL.
	Influx QueryAPI = "influx"
	// Flux is POST /api/v2/query, of Varve's points port or of InfluxDB 2.
	Flux QueryAPI = "flux"
)

// QueryTarget is a server to ask.
type QueryTarget struct {
	// URL is the root of the port that answers questions.
	URL string
	API QueryAPI
	// Bucket goes to Varve unless empty, Database to InfluxDB.
	Bucket, Database string
	// Token is sent as "Authorization: Token" unless it is empty.
	Token string
}

// Validate says what is wrong with the target.
func (t QueryTarget) Validate() error {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil:
		return fmt.Errorf("target: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("target: %q is not like http://127.0.0.1:8000", t.URL)
	case t.API != Varve && t.API != Victoria && t.API != Influx && t.API != Flux:
		return fmt.Errorf("target: query API %q is none of varve, victoria, influx, flux", t.API)
	case t.API == Influx && t.Database == "":
		return errors.New("target: InfluxQL needs a database")
	}
	return nil
}

// QueryConfig says what RunQuery does. In parentheses the flag that sets the
// field in "varve bench query".
type QueryConfig struct {
	// Targets are asked one after another, all the same questions; answers
	// are compared with those of the first (--url, --api, --bucket, --db,
	// --token, each may be repeated).
	Targets []QueryTarget
	// Fleet is the host fleet that was written to all of them (--devices,
	// --start, --interval, --seed), Rows how much of it (--rows).
	Fleet fleet.Config
	Rows  int64
	// Shapes are the questions (--shape, may be repeated).
	Shapes []Shape
	// Repeat is the number of timed questions of each shape (--repeat), after
	// Warm that are not timed (--warm). TimeLimit ends a shape sooner
	// (--time-limit); one question is always timed.
	Repeat, Warm int
	TimeLimit    time.Duration
	// Clients is the number of questions at a time (--clients).
	Clients int
	// Check is the number of questions of each shape whose answers are
	// compared between the servers (--check).
	Check int
	// Above is what a field is to exceed in shape Above (--above).
	Above float64
	// RequestTimeout bounds one question (--request-timeout).
	RequestTimeout time.Duration
	// JSON writes the report as one JSON object instead of text (--json).
	JSON bool
}

// DefaultQuery asks 100 questions of every shape, one at a time. It has no
// targets yet, and wants to know how many rows were written.
func DefaultQuery() QueryConfig {
	return QueryConfig{
		Fleet:     fleet.Default(fleet.Host),
		Shapes:    Shapes(),
		Repeat:    100,
		Warm:      5,
		TimeLimit: 15 * time.Second,
		Clients:   1,
		Check:     3,
		// Of walks between 0 and 100 that stop at the walls, 98 leaves one
		// value in fifty.
		Above:          98,
		RequestTimeout: time.Minute,
	}
}

// Validate says what is wrong with the configuration.
func (c QueryConfig) Validate() error {
	if len(c.Targets) == 0 {
		return errors.New("bench: no server to ask")
	}
	for _, t := range c.Targets {
		if err := t.Validate(); err != nil {
			return err
		}
	}
	if err := c.Fleet.Validate(); err != nil {
		return err
	}
	for _, s := range c.Shapes {
		if !slices.Contains(Shapes(), s) {
			return fmt.Errorf("bench: no shape %q: there are %v", s, Shapes())
		}
	}
	switch {
	case c.Fleet.Kind != fleet.Host:
		return fmt.Errorf("bench: questions are about hosts, not fleet %q", c.Fleet.Kind)
	case c.Rows < 1:
		return errors.New("bench: say how many rows were written")
	case len(c.Shapes) == 0:
		return errors.New("bench: no shape of question")
	case c.Repeat < 1 || c.Warm < 0 || c.Check < 0:
		return fmt.Errorf("bench: %d questions, %d to warm up, %d to compare", c.Repeat, c.Warm, c.Check)
	case c.Clients < 1 || c.Clients > 1000:
		return fmt.Errorf("bench: %d clients: want 1 to 1,000", c.Clients)
	case c.TimeLimit < time.Millisecond || c.RequestTimeout < time.Millisecond:
		return errors.New("bench: time limits of less than 1ms")
	}
	return nil
}
