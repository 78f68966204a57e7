package importer

import (
	"fmt"
	"io"
	"strings"
)

// RejectFile is what rows that were left out are written to.
type RejectFile interface {
	io.Writer
	Sync() error
}

// Rejects writes rows that were left out to a file, each as it was, under a
// comment with its number and the reason, so that the file can be mended and
// imported again.
type Rejects struct {
	file    RejectFile
	comment string
	header  []byte // of CSV, until it is written
	bytes   int64
}

// NewRejects returns what writes to file, which has so many bytes and stands
// at its end. comment begins a comment of the format.
func NewRejects(file RejectFile, bytes int64, comment rune) *Rejects {
	return &Rejects{file: file, comment: string(comment), bytes: bytes}
}

// Header takes the first row of a CSV file. It is written before the first row
// that is left out.
func (r *Rejects) Header(text []byte) {
	if r.bytes == 0 {
		r.header = withNewline(text)
	}
}

// Add writes a row.
func (r *Rejects) Add(row Reject) error {
	reason := strings.Join(strings.Fields(row.Reason), " ") // one line
	text := append([]byte(nil), r.header...)
	text = fmt.Appendf(text, "%s row %d: %s\n", r.comment, row.Row, reason)
	text = append(text, withNewline(row.Text)...)
	r.header = nil
	n, err := r.file.Write(text)
	r.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("write rejected row: %w", err)
	}
	return nil
}

func withNewline(text []byte) []byte {
	return append([]byte(strings.TrimRight(strings.TrimLeft(string(text), "\r\n"), "\r\n")), '\n')
}

// Sync makes what was written durable and returns how much that is.
func (r *Rejects) Sync() (int64, error) {
	if err := r.file.Sync(); err != nil {
		return 0, fmt.Errorf("keep rejected rows: %w", err)
	}
	return r.bytes, nil
}
