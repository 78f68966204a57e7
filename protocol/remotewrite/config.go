package remotewrite

import (
	"errors"

	"github.com/varvedb/varve/protocol/rows"
)

// Layout says what becomes of the name of a metric.
type Layout uint8

const (
	// ByMetric makes it the measurement, with the value in the field "value".
	ByMetric Layout = iota
	// ByField makes it a field of one measurement for all.
	ByField
)

// Mapping says what series become.
type Mapping struct {
	Layout Layout
	// Measurement is that of ByField.
	Measurement string
}

// DefaultMeasurement is what Telegraf calls it.
const DefaultMeasurement = "prometheus_remote_write"

// Validate reports a mapping that makes no sense.
func (m Mapping) Validate() error {
	if m.Layout == ByField && m.Measurement == "" {
		return errors.New("metrics become fields, but of no measurement")
	}
	return nil
}

// Config sets the limits of a Decoder.
type Config struct {
	Rows rows.Limits
	// MaxBuckets is how many buckets a native histogram may have.
	MaxBuckets int
}

// Default returns the limits that the server starts with.
func Default() Config {
	// Libraries keep to 160 buckets unasked.
	return Config{Rows: rows.Default(), MaxBuckets: 2048}
}
