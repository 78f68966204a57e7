package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// blocks draws the tables of a script's answer one below the other: what is
// the same in all rows of a table stands once above them, the rest in columns
// with their types. Tables of one row each, as last() and mean() give for many
// series, are drawn as one with all columns.
type blocks struct {
	out *bufio.Writer

	result, span string // of the last block
	tables, rows int

	held   []piece // tables of one row with the same columns
	labels []int   // places of the columns that are drawn
	widths []int
	rights []bool // numbers stand at the right
	text   []byte // of a line
	open   bool   // something was drawn
}

func newBlocks(out io.Writer) *blocks { return &blocks{out: bufio.NewWriter(out)} }

// add implements tableSink.
func (b *blocks) add(p piece) error {
	if err := b.take(p); err != nil {
		return err
	}
	return b.out.Flush() // what is there is shown before more is waited for
}

func (b *blocks) take(p piece) error {
	b.rows += p.Rows
	if p.first {
		b.tables++
	}
	single := p.first && p.Rows == 1
	if len(b.held) > 0 && (!single || !alike(b.held[0], p) || len(b.held) == peek) {
		if err := b.release(); err != nil {
			return err
		}
	}
	switch {
	case single:
		b.held = append(b.held, p)
		return nil
	case p.first:
		if err := b.heading(p, b.keyText(p)); err != nil {
			return err
		}
		b.layout([]piece{p}, func(label string) bool { return !p.Key.Has(label) })
		if err := b.titles(p); err != nil {
			return err
		}
	}
	return b.draw(p)
}

// alike reports whether two tables of one row can stand in one block.
func alike(a, b piece) bool {
	return a.result == b.result && slices.Equal(a.Key.Labels(), b.Key.Labels()) && spanOf(a) == spanOf(b) &&
		slices.EqualFunc(a.Cols, b.Cols, func(x, y table.Column) bool { return x.Label == y.Label && x.Kind == y.Kind })
}

// release draws the tables that were held back: one as others, several with
// their keys as columns.
func (b *blocks) release() error {
	held := b.held
	b.held = nil
	one := held[0]
	if len(held) == 1 {
		if err := b.heading(one, b.keyText(one)); err != nil {
			return err
		}
		b.layout(held, func(label string) bool { return !one.Key.Has(label) })
	} else {
		var by []string
		for _, l := range one.Key.Labels() {
			if !inSpan(l) {
				by = append(by, printable(l))
			}
		}
		text := fmt.Sprintf("%d tables of one row", len(held))
		if len(by) > 0 {
			text += ", by " + strings.Join(by, ", ")
		}
		if err := b.heading(one, text); err != nil {
			return err
		}
		b.layout(held, func(label string) bool { return !inSpan(label) || !one.Key.Has(label) })
	}
	if err := b.titles(one); err != nil {
		return err
	}
	for _, p := range held {
		if err := b.draw(p); err != nil {
			return err
		}
	}
	return nil
}

// inSpan reports whether a column is an end of the times that a table is of.
func inSpan(label string) bool { return label == "_start" || label == "_stop" }

// spanOf tells the times that a table is of, if its key has them.
func spanOf(p piece) string {
	start, ok := p.Key.Get("_start")
	stop, both := p.Key.Get("_stop")
	if !ok || !both {
		return ""
	}
	return "from " + cellText(start) + " to " + cellText(stop)
}

// keyText tells a group key, without the times.
func (b *blocks) keyText(p piece) string {
	var parts []string
	for _, c := range p.Cols { // in the order of the answer
		if v, ok := p.Key.Get(c.Label); ok && (!inSpan(c.Label) || spanOf(p) == "") {
			parts = append(parts, printable(c.Label+"="+cellText(v)))
		}
	}
	if len(parts) == 0 {
		return "all rows"
	}
	return strings.Join(parts, " ")
}

// heading says what the rows below it have in common: result and times only
// where they are others than before.
func (b *blocks) heading(p piece, text string) error {
	var s strings.Builder
	if b.open {
		s.WriteByte('\n')
	}
	if p.result != b.result && (b.open || p.result != "_result") {
		fmt.Fprintf(&s, "result %s\n", printable(p.result))
	}
	if span := spanOf(p); span != b.span {
		if span == "" {
			span = "of any time"
		}
		s.WriteString(span + "\n")
	}
	b.result, b.span, b.open = p.result, spanOf(p), true
	s.WriteString(text + "\n")
	_, err := b.out.WriteString(s.String())
	return err
}

// layout decides which columns are drawn and how wide they are; rows beyond
// those that it looks at are fitted in, so that a long answer needs no memory.
func (b *blocks) layout(pieces []piece, shown func(label string) bool) {
	b.labels, b.widths, b.rights = b.labels[:0], b.widths[:0], b.rights[:0]
	for i, c := range pieces[0].Cols {
		if !shown(c.Label) {
			continue
		}
		width := utf8.RuneCountInString(title(&pieces[0].Cols[i]))
		for _, p := range pieces {
			for row := range min(p.Rows, peek) {
				width = max(width, utf8.RuneCountInString(cellOf(&p.Cols[i], row)))
			}
		}
		b.labels, b.widths, b.rights = append(b.labels, i), append(b.widths, width), append(b.rights, c.Kind.Numeric())
	}
}

func title(c *table.Column) string { return printable(c.Label) + ":" + c.Kind.String() }

func (b *blocks) titles(p piece) error {
	return b.line(func(i int) string { return title(&p.Cols[i]) })
}

func (b *blocks) draw(p piece) error {
	for row := range p.Rows {
		if err := b.line(func(i int) string { return cellOf(&p.Cols[i], row) }); err != nil {
			return err
		}
	}
	return nil
}

// line writes the cells of a row.
func (b *blocks) line(cell func(column int) string) error {
	s := b.text[:0]
	for i, column := range b.labels {
		text := cell(column)
		space := max(0, b.widths[i]-utf8.RuneCountInString(text))
		s = append(s, "  "...)
		if b.rights[i] {
			s = append(s, strings.Repeat(" ", space)...)
			space = 0
		}
		s = append(s, text...)
		if i < len(b.labels)-1 {
			s = append(s, strings.Repeat(" ", space)...)
		}
	}
	b.text = append(s, '\n')
	_, err := b.out.Write(b.text)
	return err
}

// end implements tableSink.
func (b *blocks) end() error {
	if len(b.held) > 0 {
		if err := b.release(); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("%s in %s\n", number(b.rows, "row"), number(b.tables, "table"))
	if b.open {
		text = "\n" + text
	}
	if _, err := b.out.WriteString(text); err != nil {
		return err
	}
	return b.out.Flush()
}

func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// cellOf renders a cell; a null is empty, as in CSV.
func cellOf(c *table.Column, row int) string { return printable(cellText(c.Value(row))) }

func cellText(v value.Value) string {
	if v.IsNull() {
		return ""
	}
	return v.Text()
}
