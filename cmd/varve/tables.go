package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/varvedb/varve/lang/flux/anncsv"
	"github.com/varvedb/varve/lang/flux/table"
)

// piece is some rows of one table of an answer to a script.
type piece struct {
	*table.Table
	result, number string
	first          bool // the table begins with it
}

// tableSink takes the tables of an answer as they come.
type tableSink interface {
	add(piece) error
	// end is called once, behind the last piece.
	end() error
}

// readTables reads the answer to a script, however long it is.
func readTables(answer io.Reader, sink tableSink) error {
	d := anncsv.NewDecoder(answer, false)
	defer d.Close()
	var before *table.Key
	for {
		t, err := d.Next()
		var failure *anncsv.FailureError
		switch {
		case errors.As(err, &failure):
			// What came before it is shown.
			return errors.Join(sink.end(), errors.New("the answer ends early: "+failure.Text))
		case err != nil:
			return fmt.Errorf("read answer: %w", err)
		case t == nil:
			return sink.end()
		}
		p := piece{Table: t, first: t.Key != before} // pieces of a table share their key
		p.result, p.number = d.Result()
		if err := sink.add(p); err != nil {
			return err
		}
		before = t.Key
	}
}
