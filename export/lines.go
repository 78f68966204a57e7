package export

import (
	"fmt"
	"io"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

// linesEncoder writes line protocol with times in nanoseconds.
type linesEncoder struct {
	w     io.Writer
	buf   []byte
	batch column.Batch
}

func (e *linesEncoder) rows(a *aligned) error {
	e.batch.Tables = append(e.batch.Tables[:0], a.table)
	var err error
	if e.buf, err = lineproto.AppendLines(e.buf[:0], &e.batch); err != nil {
		return fmt.Errorf("%w: export it as parquet or csv", err)
	}
	_, err = e.w.Write(e.buf)
	return err
}

func (e *linesEncoder) close() error { return nil }
