package lineproto

import (
	"fmt"
	"strings"
)

// Reasons why a line is refused, in the words of InfluxDB: clients and their
// users search for them.
const (
	missingMeasurement = "missing measurement"
	missingTagKey      = "missing tag key"
	missingTagValue    = "missing tag value"
	invalidTag         = "invalid tag format"
	duplicateTags      = "duplicate tags"
	missingFields      = "missing fields"
	missingFieldKey    = "missing field key"
	missingFieldValue  = "missing field value"
	invalidField       = "invalid field format"
	invalidNumber      = "invalid number"
	invalidFloat       = "invalid float"
	invalidBoolean     = "invalid boolean"
	unbalancedQuotes   = "unbalanced quotes"
	badTimestamp       = "bad timestamp"
	invalidPoint       = "point is invalid"
)

// LineError says why one line is refused.
type LineError struct {
	Line   int    // of the body, from 1; newlines within strings count
	Text   []byte // the line, or its beginning
	Reason string
}

func (e *LineError) Error() string {
	return fmt.Sprintf("unable to parse '%s': %s", e.Text, e.Reason)
}

// ParseError lists the lines of a body that were refused.
type ParseError struct {
	Lines []LineError
	More  int // refused lines beyond those listed
}

func (e *ParseError) Error() string {
	var s strings.Builder
	for i := range e.Lines {
		if i > 0 {
			s.WriteByte('\n')
		}
		s.WriteString(e.Lines[i].Error())
	}
	if e.More > 0 {
		fmt.Fprintf(&s, "\nand %d more lines", e.More)
	}
	return s.String()
}
