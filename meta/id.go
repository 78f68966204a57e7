package meta

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

// ID names an organisation, bucket or token for ever. Zero is none.
type ID uint64

// String returns the 16 lower-case hexadecimal digits that clients know.
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseID reads what String returns. Nothing else is an ID: a name of 16
// upper-case digits is a name.
func ParseID(s string) (ID, error) {
	if len(s) != 16 {
		return 0, fmt.Errorf("parse id %q: want 16 hexadecimal digits", s)
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || n == 0 || ID(n).String() != s {
		return 0, fmt.Errorf("parse id %q: want 16 lower-case hexadecimal digits, not all zero", s)
	}
	return ID(n), nil
}

// MarshalText implements encoding.TextMarshaler; zero is empty.
func (id ID) MarshalText() ([]byte, error) {
	if id == 0 {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = 0
		return nil
	}
	n, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = n
	return nil
}

// newID draws an ID. That no other has it is seen when its record is made.
func newID(random io.Reader) (ID, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, fmt.Errorf("make id: %w", err)
		}
		if id := ID(binary.BigEndian.Uint64(b[:])); id != 0 {
			return id, nil
		}
	}
}
