package otlp

import "github.com/varvedb/varve/protocol/rows"

// Mapping says what of a message becomes tags.
type Mapping struct {
	// Resource lists the attributes of a resource that become tags; nil: all.
	Resource []string
	// NoScope leaves out name, version and attributes of the instrumentation.
	NoScope bool
}

// Config sets the limits of a Decoder.
type Config struct {
	Rows rows.Limits
	// MaxBuckets is how many buckets a data point may have, of one sign, and
	// MaxQuantiles how many quantiles.
	MaxBuckets   int
	MaxQuantiles int
	// MaxDepth is how deep lists and maps in the value of an attribute may lie.
	MaxDepth int
}

// Default returns the limits that the server starts with.
func Default() Config {
	// Libraries keep to 160 buckets unasked; the JSON of an attribute that is
	// deeper than this is nothing that anybody groups by.
	return Config{Rows: rows.Default(), MaxBuckets: 2048, MaxQuantiles: 128, MaxDepth: 8}
}
