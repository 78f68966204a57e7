package export

import (
	"context"
	"errors"
	"io"
)

// Output is a Destination that is one stream, such as standard output. A
// second file is an error.
type Output struct {
	w    io.Writer
	used bool
}

// NewOutput returns a destination that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{w: w} }

// Check implements Destination.
func (*Output) Check(context.Context) error { return nil }

// Create implements Destination.
func (o *Output) Create(_ context.Context, name string) (File, error) {
	if name == successFile {
		return outputFile{io.Discard}, nil
	}
	if o.used {
		return nil, errors.New("export to standard output: there is more than one file to write: choose one measurement and no partition, or export to a folder")
	}
	o.used = true
	return outputFile{o.w}, nil
}

type outputFile struct{ io.Writer }

func (outputFile) Commit() error { return nil }

func (outputFile) Abort() {}
