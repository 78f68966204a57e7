package lineproto

import (
	"fmt"
	"math"
)

// Precision is the unit of the timestamps of a body, in nanoseconds.
type Precision int64

// The units of the write API of InfluxDB 2, and the two that only version 1
// has.
const (
	Nanosecond  Precision = 1
	Microsecond Precision = 1e3
	Millisecond Precision = 1e6
	Second      Precision = 1e9
	Minute      Precision = 60e9
	Hour        Precision = 3600e9
)

// Times that InfluxDB stores; the two ends of the range of int64 are
// sentinels there, and so nothing exchanged with it may hold them.
const (
	MinTime = math.MinInt64 + 2
	MaxTime = math.MaxInt64 - 1
)

const (
	// maxKeyBytes bounds measurement, tags and field key of a value together,
	// as InfluxDB does, so that what is stored here can be taken there.
	maxKeyBytes = 65535
	// fieldSeparatorBytes is what InfluxDB puts between tags and field key
	// when it counts them.
	fieldSeparatorBytes = 4
	// maxBodyBytes keeps every offset in a batch within 32 bits: escaping can
	// at most double a key.
	maxBodyBytes = 1 << 30
)

// Config sets the limits of a Parser.
type Config struct {
	// MaxLineBytes refuses longer lines.
	MaxLineBytes int
	// MaxTags and MaxFields refuse lines with more of them.
	MaxTags   int
	MaxFields int
	// MaxTables and MaxColumns refuse the lines of a body that go beyond so
	// many measurements, or field and tag keys of all measurements. A column
	// costs some hundred bytes, whatever little text named it.
	MaxTables  int
	MaxColumns int
	// MaxNulls is how many absent values a batch may hold besides eight for
	// every present one. A table that would go beyond is continued in another
	// Table of the same measurement.
	MaxNulls int
	// CacheBytes is what is kept from one Parse to the next: known series,
	// and buffers of measurements that the last body did not have. Within one
	// Parse more is used if the body has more series than that.
	CacheBytes int
	// MaxErrors and MaxErrorText bound a ParseError: lines that it lists, and
	// bytes that it quotes of each.
	MaxErrors    int
	MaxErrorText int
	// MaxLeft is how many of the rows that contradict others Left has, 24 bytes
	// each.
	MaxLeft int
	// SkipBadLines makes Parse return the good lines of a body together with
	// the error; otherwise one bad line refuses the body.
	SkipBadLines bool
}

// Default returns the limits that the server starts with.
func Default() Config {
	return Config{
		MaxLineBytes: 128 << 10, // a row must fit into a record of the log, which holds 256 KiB
		MaxTags:      1024,
		MaxFields:    8192,
		MaxTables:    1 << 16,
		MaxColumns:   1 << 16,
		MaxNulls:     1 << 20, // 8 MiB
		CacheBytes:   16 << 20,
		MaxErrors:    1000,
		MaxErrorText: 1 << 10,
		MaxLeft:      1 << 21, // all lines of the largest body of a write, if they have 25 bytes
	}
}

// Validate reports the first limit that makes no sense.
func (c Config) Validate() error {
	for _, l := range []struct {
		name  string
		value int
		min   int
	}{
		{"MaxLineBytes", c.MaxLineBytes, 1},
		{"MaxTags", c.MaxTags, 0},
		{"MaxFields", c.MaxFields, 1},
		{"MaxTables", c.MaxTables, 1},
		{"MaxColumns", c.MaxColumns, 1},
		{"MaxNulls", c.MaxNulls, 0},
		{"CacheBytes", c.CacheBytes, 0},
		{"MaxErrors", c.MaxErrors, 1},
		{"MaxErrorText", c.MaxErrorText, 0},
		{"MaxLeft", c.MaxLeft, 0},
	} {
		if l.value < l.min {
			return fmt.Errorf("line protocol: %s is %d, want at least %d", l.name, l.value, l.min)
		}
	}
	return nil
}
