package fleet

import (
	"fmt"
	"time"
)

// Kind names a fleet.
type Kind string

// The fleets.
const (
	// Host is a fleet of computers: measurement cpu, 10 tags, 10 integer
	// fields that walk between 0 and 100, about 344 bytes a line.
	Host Kind = "host"
	// Truck is a fleet of lorries: readings with positions and consumption,
	// diagnostics with fuel, load and state, 8 tags, about 240 bytes a line;
	// two rows an interval for each truck.
	Truck Kind = "truck"
	// Meter is a fleet of many small devices: 3 tags, 5 fields, every series
	// new at its first row. With a million of them it is the test of what a
	// new series costs.
	Meter Kind = "meter"
)

// Config says which data a Generator makes. Two generators of equal
// configurations make the same bytes.
type Config struct {
	Kind Kind
	// Devices is the number of hosts, trucks or meters.
	Devices int
	// Start is the time of the first interval. Every line carries a
	// timestamp of 19 digits, so it lies between September 2001 and 2262.
	Start time.Time
	// Interval is the time between two rows of a series.
	Interval time.Duration
	Seed     uint64

	// LateFraction is the share of rows that arrive late, 0 to 1. The late
	// row takes the place of the row that was due, and carries an older
	// timestamp, whose own row had been withheld in its time: so late rows
	// fill gaps and hardly ever repeat a point.
	LateFraction float64
	// MaxLateness bounds how late they are; the lateness is spread evenly
	// over the intervals up to it.
	MaxLateness time.Duration
	// MissingRows is the share of rows that never arrive.
	MissingRows float64
	// MissingFields is the share of fields that a row lacks. A row keeps at
	// least one field.
	MissingFields float64
}

// Default returns the usual configuration of a fleet: 4,000 devices (a
// million meters) every ten seconds from the start of 2024. Hosts and meters
// report in order and completely; of the trucks' rows some are late by up to
// ten minutes, some are missing, and some lack a field.
func Default(kind Kind) Config {
	c := Config{
		Kind:     kind,
		Devices:  4000,
		Start:    time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
		Interval: 10 * time.Second,
		Seed:     1,
	}
	switch kind {
	case Truck:
		c.LateFraction, c.MaxLateness = 0.02, 10*time.Minute
		c.MissingRows, c.MissingFields = 0.02, 0.02
	case Meter:
		c.Devices = 1_000_000
	}
	return c
}

// The first and last times in nanoseconds whose decimal form has 19 digits.
const (
	minStamp = 1_000_000_000_000_000_000
	maxStamp = 1<<63 - 1
)

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch c.Kind {
	case Host, Truck, Meter:
	default:
		return fmt.Errorf("fleet: kind %q is not one of host, truck, meter", c.Kind)
	}
	if c.Devices < 1 || c.Devices > 50_000_000 {
		return fmt.Errorf("fleet: %d devices: want 1 to 50,000,000", c.Devices)
	}
	if c.Interval < time.Millisecond || c.Interval > 24*time.Hour {
		return fmt.Errorf("fleet: interval %s: want 1ms to 24h", c.Interval)
	}
	for _, f := range []struct {
		name  string
		value float64
		max   float64
	}{
		// A fleet whose rows are nearly all late or missing has none left to
		// withhold or to send.
		{"late fraction", c.LateFraction, 0.9},
		{"missing rows", c.MissingRows, 0.9},
		{"missing fields", c.MissingFields, 0.9},
	} {
		if !(f.value >= 0 && f.value <= f.max) {
			return fmt.Errorf("fleet: %s %v: want 0 to %v", f.name, f.value, f.max)
		}
	}
	if c.LateFraction > 0 && c.MaxLateness < c.Interval {
		return fmt.Errorf("fleet: max lateness %s is less than the interval %s", c.MaxLateness, c.Interval)
	}
	if c.MaxLateness < 0 || c.MaxLateness > 10*365*24*time.Hour {
		return fmt.Errorf("fleet: max lateness %s: want 0 to ten years", c.MaxLateness)
	}
	earliest := time.Unix(0, minStamp).Add(c.MaxLateness)
	if c.Start.Before(earliest) || c.Start.Year() > 2200 {
		return fmt.Errorf("fleet: start %s: want %s to the year 2200, for timestamps of 19 digits",
			c.Start.Format(time.RFC3339), earliest.UTC().Format(time.RFC3339))
	}
	return nil
}
