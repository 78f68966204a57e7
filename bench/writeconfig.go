package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

// WriteConfig says what RunWrite does. In parentheses the flag that sets the
// field in "varve bench write".
type WriteConfig struct {
	// Targets are the servers. Each worker writes to one, in turn (--url, may
	// be repeated; --api, --org, --bucket, --db, --token hold for all;
	// --server-pid and --server-dir go with the URLs by their order).
	Targets []Target
	// Fleet is the data (--fleet, --devices, --start, --interval, --seed,
	// --late, --max-lateness, --missing-rows, --missing-fields).
	Fleet fleet.Config
	// Workers is the number of connections, each with one request at a time
	// (--workers).
	Workers int
	// BodyLines is the number of lines of a request (--body-lines).
	BodyLines int
	// Rows ends the load when so many rows were sent, rounded up to whole
	// bodies (--rows), Duration when so much time has passed (--duration):
	// one of them at least is set.
	Rows     int64
	Duration time.Duration
	// Gzip compresses the bodies, before the load begins as far as the first
	// round goes (--gzip). In later rounds the workers compress, and their
	// CPU time shows it.
	Gzip bool
	// RowsPerSecond slows the load down (--rate); 0 is as fast as possible.
	// Latencies then count from the moment when a request was due, so that a
	// server that stalls does not hide the requests that waited behind.
	RowsPerSecond float64
	// PoolBytes bounds the memory of the bodies rendered beforehand (--pool).
	// A load that is longer repeats their values with later timestamps.
	PoolBytes int64
	// RequestTimeout bounds one request (--request-timeout), MaxRetries how
	// often a body is sent again after 429, 502, 503, 504 or a broken
	// connection (--max-retries).
	RequestTimeout time.Duration
	MaxRetries     int
	// Trial is how long each change of the load is tried that might raise its
	// figures: more workers, longer bodies, compression or none (--try); 0
	// tries none.
	Trial time.Duration
	// Slice is the time over which each figure of the report's course is
	// taken.
	Slice time.Duration
	// JSON writes the report as one JSON object instead of text (--json).
	JSON bool
}

// DefaultWrite is the load of the project's own figures: 10,000-line bodies
// of a fleet from 2 workers for 30 seconds. It has no target yet.
func DefaultWrite(kind fleet.Kind) WriteConfig {
	return WriteConfig{
		Fleet:          fleet.Default(kind),
		Workers:        2,
		BodyLines:      10_000,
		Duration:       30 * time.Second,
		PoolBytes:      2 << 30,
		RequestTimeout: time.Minute,
		MaxRetries:     10,
		Slice:          10 * time.Second,
	}
}

// Validate says what is wrong with the configuration.
func (c WriteConfig) Validate() error {
	if len(c.Targets) == 0 {
		return errors.New("bench: no server to write to")
	}
	for _, t := range c.Targets {
		if err := t.Validate(); err != nil {
			return err
		}
	}
	if err := c.Fleet.Validate(); err != nil {
		return err
	}
	switch {
	case c.Workers < len(c.Targets) || c.Workers > 10_000:
		return fmt.Errorf("bench: %d workers: want one a server to 10,000", c.Workers)
	case c.Rows < 0 || c.Duration < 0 || c.Rows == 0 && c.Duration == 0:
		return errors.New("bench: say how many rows or how long")
	case !(c.RowsPerSecond >= 0):
		return fmt.Errorf("bench: rate of %v rows/s", c.RowsPerSecond)
	case c.RequestTimeout < time.Millisecond:
		return fmt.Errorf("bench: request timeout %s: want 1ms or more", c.RequestTimeout)
	case c.MaxRetries < 0:
		return fmt.Errorf("bench: %d retries", c.MaxRetries)
	case c.Trial < 0:
		return fmt.Errorf("bench: trials of %s", c.Trial)
	case c.Slice < time.Millisecond:
		return fmt.Errorf("bench: slice of %s: want 1ms or more", c.Slice)
	}
	return nil
}
