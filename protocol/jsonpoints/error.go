package jsonpoints

import "fmt"

// Error says what is wrong with a body, of which nothing is stored then.
type Error struct {
	Point  int // of an array, from 1; 0 if the body is one point or none
	Offset int // byte of the body at which it was seen
	Reason string
}

func (e *Error) Error() string {
	if e.Point > 0 {
		return fmt.Sprintf("point %d (byte %d): %s", e.Point, e.Offset, e.Reason)
	}
	return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason)
}

// quote returns the beginning of s for a message.
func quote(s []byte) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q…", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}
