package lineproto

import (
	"fmt"

	"github.com/varvedb/varve/column"
)

// ConflictKind says what was wrong with rows that are well written.
type ConflictKind uint8

const (
	// TypeConflict: the field has another type in an earlier row.
	TypeConflict ConflictKind = iota + 1
	// NameConflict: the name is a tag and a field of the measurement.
	NameConflict
	// TimeTag: a tag is called time.
	TimeTag
	// TimeField: the only field is called time. (Beside others, a field of
	// that name is ignored.)
	TimeField
)

// maxConflicts bounds the list of a batch: a client shows the first, and a
// body can hold as many kinds as lines.
const maxConflicts = 100

// Conflict describes rows that were dropped while the rest of the body
// stands.
type Conflict struct {
	Kind        ConflictKind
	Measurement string
	Name        string      // the field or tag
	Got, Have   column.Type // TypeConflict only
	Rows        int         // rows dropped
}

// String returns the reason in the words of InfluxDB where it has some.
func (c Conflict) String() string {
	switch c.Kind {
	case TypeConflict:
		return fmt.Sprintf("field type conflict: input field %q on measurement %q is type %s, already exists as type %s",
			c.Name, c.Measurement, c.Got, c.Have)
	case NameConflict:
		return fmt.Sprintf("name conflict: %q on measurement %q is both a tag and a field", c.Name, c.Measurement)
	case TimeTag:
		return fmt.Sprintf("invalid tag key: input tag %q on measurement %q is invalid", c.Name, c.Measurement)
	case TimeField:
		return fmt.Sprintf("invalid field name: input field %q on measurement %q is invalid", c.Name, c.Measurement)
	}
	return fmt.Sprintf("conflict(%d)", uint8(c.Kind))
}
