package main

import (
	"fmt"
	"io"
	"math"

	"github.com/varvedb/varve/lang/flux/value"
)

// tableChart plots the tables of a script: a panel for each field, or column of
// numbers, and in it a line for each table.
type tableChart struct{ *chart }

// add implements tableSink.
func (c tableChart) add(p piece) error {
	times := p.Col("_time")
	if times == nil || times.Kind != value.Time {
		return nil
	}
	tags := make(map[string]string)
	for i, l := range p.Key.Labels() {
		if !inSpan(l) && l != "_field" {
			tags[l] = cellText(p.Key.Value(i))
		}
	}
	if p.result != "_result" {
		tags["result"] = p.result
	}
	for i := range p.Cols {
		column := &p.Cols[i]
		if p.Key.Has(column.Label) || !column.Kind.Numeric() && column.Kind != value.Bool {
			continue
		}
		field := column.Label
		if f, ok := p.Key.Get("_field"); ok && field == "_value" {
			field = cellText(f)
		}
		panel := c.panel(field)
		line := panel.line(tags)
		for row := range p.Rows {
			if c.full() {
				return nil
			}
			if times.Null(row) {
				continue
			}
			v := math.NaN()
			switch {
			case column.Null(row):
			case column.Kind == value.Bool:
				v = float64(column.Word(row))
			default:
				v = column.Number(row)
			}
			c.put(panel, line, times.Int(row), v)
		}
	}
	return nil
}

// end implements tableSink.
func (c tableChart) end() error { return c.chart.end(0, "") }

// watchedTables shows an answer to someone at a terminal: tables that fit on
// the screen and a plot where there is something to plot, or, of what is
// longer, the plot alone.
type watchedTables struct {
	out    io.Writer
	blocks *blocks
	chart  tableChart
	rows   int
	held   []piece // until it shows whether they fit
	tables bool    // they are drawn as they come, since there is no plot
}

// add implements tableSink.
func (w *watchedTables) add(p piece) error {
	w.rows += p.Rows
	if w.tables {
		return w.blocks.add(p)
	}
	if err := w.chart.add(p); err != nil {
		return err
	}
	if w.long() && !w.chart.drawable() {
		w.held = append(w.held, p)
		return w.release()
	}
	if !w.long() {
		w.held = append(w.held, p)
	}
	return nil
}

func (w *watchedTables) long() bool { return w.rows > w.chart.screen.height }

// release draws the tables that were held back, and from now on all.
func (w *watchedTables) release() error {
	w.tables = true
	for _, p := range w.held {
		if err := w.blocks.add(p); err != nil {
			return err
		}
	}
	w.held = nil
	return nil
}

// end implements tableSink.
func (w *watchedTables) end() error {
	if w.long() && !w.tables {
		if err := w.chart.end(); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w.out, "%s; --format table shows them\n", number(w.rows, "row"))
		return err
	}
	if !w.tables {
		if err := w.release(); err != nil {
			return err
		}
	}
	if err := w.blocks.end(); err != nil || w.long() || !w.chart.drawable() {
		return err
	}
	fmt.Fprintln(w.out)
	return w.chart.end()
}
