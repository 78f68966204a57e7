package jsonpoints

import "fmt"

const (
	// maxKeyBytes bounds measurement, tags and field key of a value together,
	// as line protocol does, so that what is stored here can be exported there.
	maxKeyBytes = 65535
	// fieldSeparatorBytes is what InfluxDB puts between tags and field key when
	// it counts them.
	fieldSeparatorBytes = 4
	// maxBodyBytes keeps every offset in a batch within 32 bits: escaping can
	// at most double a key.
	maxBodyBytes = 1 << 30
	// maxQuoted bounds what an error quotes of a body.
	maxQuoted = 64
)

// Config sets the limits of a Decoder.
type Config struct {
	// MaxPointBytes refuses longer points.
	MaxPointBytes int
	// MaxTags and MaxFields refuse points with more of them.
	MaxTags   int
	MaxFields int
	// MaxTables and MaxColumns refuse bodies with more tables, or more field
	// and tag keys of all tables. A table is a measurement; it is continued in
	// another one where a field changes its type or nulls become too many.
	MaxTables  int
	MaxColumns int
	// MaxNulls is how many absent values a batch may hold besides eight for
	// every present one, before a table is continued in another.
	MaxNulls int
	// KeepBytes is how much memory is kept from one Parse to the next.
	KeepBytes int
}

// Default returns the limits that the server starts with: those of line
// protocol.
func Default() Config {
	return Config{
		MaxPointBytes: 128 << 10, // a row must fit into a record of the log, which holds 256 KiB
		MaxTags:       1024,
		MaxFields:     8192,
		MaxTables:     1 << 16,
		MaxColumns:    1 << 16,
		MaxNulls:      1 << 20, // 8 MiB
		KeepBytes:     16 << 20,
	}
}

// Validate reports the first limit that makes no sense.
func (c Config) Validate() error {
	for _, l := range []struct {
		name  string
		value int
		min   int
	}{
		{"MaxPointBytes", c.MaxPointBytes, 1},
		{"MaxTags", c.MaxTags, 0},
		{"MaxFields", c.MaxFields, 1},
		{"MaxTables", c.MaxTables, 1},
		{"MaxColumns", c.MaxColumns, 1},
		{"MaxNulls", c.MaxNulls, 0},
		{"KeepBytes", c.KeepBytes, 0},
	} {
		if l.value < l.min {
			return fmt.Errorf("json points: %s is %d, want at least %d", l.name, l.value, l.min)
		}
	}
	return nil
}
