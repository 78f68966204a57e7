package meta

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/varvedb/varve/column"
)

// Kind says what a name of a measurement is: a field, by its type, or a tag.
// Zero is nothing.
type Kind uint8

// Tag is the kind of tags. The kind of a field has the number of its
// column.Type.
const Tag Kind = 128

// FieldKind returns the kind of fields of a type.
func FieldKind(t column.Type) Kind { return Kind(t) }

// Type returns the type of a field; ok is false for a tag.
func (k Kind) Type() (t column.Type, ok bool) {
	t = column.Type(k)
	return t, k != Tag && t.Known()
}

// String returns the name of the kind.
func (k Kind) String() string {
	if k == Tag {
		return "tag"
	}
	return column.Type(k).String()
}

// Column is a name of a measurement with its kind.
type Column struct {
	Measurement string
	Name        string
	Kind        Kind
}

const columnVersion = 1

// appendColumn appends the form of a column in the catalog; see FORMAT.md.
func appendColumn(dst []byte, c *Column) []byte {
	dst = append(dst, columnVersion, byte(c.Kind))
	dst = binary.AppendUvarint(dst, uint64(len(c.Measurement)))
	dst = append(dst, c.Measurement...)
	return append(dst, c.Name...)
}

func decodeColumn(b []byte) (Column, error) {
	if len(b) < 2 {
		return Column{}, errors.New("column is cut short")
	}
	if b[0] != columnVersion {
		return Column{}, fmt.Errorf("column has version %d, want %d", b[0], columnVersion)
	}
	c := Column{Kind: Kind(b[1])}
	if _, ok := c.Kind.Type(); !ok && c.Kind != Tag {
		return Column{}, fmt.Errorf("column has the unknown kind %d", b[1])
	}
	n, size := binary.Uvarint(b[2:])
	if size <= 0 || n > uint64(len(b)-2-size) {
		return Column{}, errors.New("column is cut short")
	}
	rest := string(b[2+size:])
	c.Measurement, c.Name = rest[:n], rest[n:]
	return c, nil
}
