package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// peek is how many rows decide how wide columns are and which tags have one;
// later rows are fitted in, so that a long answer needs no memory.
const peek = 500

// rowTable draws rows of an answer in columns.
type rowTable struct {
	out    io.Writer
	rows   []answerRow
	tags   []string
	widths []int
	begun  bool
}

func (t *rowTable) add(r answerRow) error {
	if t.begun {
		return t.draw(t.cells(r))
	}
	t.rows = append(t.rows, r)
	if len(t.rows) < peek {
		return nil
	}
	return t.flush()
}

// flush draws the rows that were held back.
func (t *rowTable) flush() error {
	if t.begun {
		return nil
	}
	t.begun = true
	if len(t.rows) == 0 {
		return nil
	}
	for _, r := range t.rows {
		for k := range r.Tags {
			if !slices.Contains(t.tags, k) {
				t.tags = append(t.tags, k)
			}
		}
	}
	slices.Sort(t.tags)
	head := append(append([]string{"time"}, t.tags...), "field", "value")
	lines := [][]string{head}
	for _, r := range t.rows {
		lines = append(lines, t.cells(r))
	}
	t.widths = make([]int, len(head))
	for _, l := range lines {
		for i, c := range l {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, l := range lines {
		if err := t.draw(l); err != nil {
			return err
		}
	}
	t.rows = nil
	return nil
}

// end says how many values there were.
func (t *rowTable) end(count int64, explain string) error {
	if err := t.flush(); err != nil {
		return err
	}
	if explain != "" {
		explain = "\n" + explain + "\n"
	}
	_, err := fmt.Fprintf(t.out, "%d values\n%s", count, explain)
	return err
}

func (t *rowTable) cells(r answerRow) []string {
	cells := []string{r.Time}
	for _, k := range t.tags {
		cells = append(cells, printable(r.Tags[k]))
	}
	value := ""
	if r.Value != nil {
		value = printable(fmt.Sprint(r.Value))
	}
	if r.Overflow {
		value += " (overflow)"
	}
	return append(cells, printable(r.Field), value)
}

// printable quotes text that would move the cursor or change the terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}

func (t *rowTable) draw(cells []string) error {
	var b strings.Builder
	for i, c := range cells {
		if i == len(cells)-1 {
			b.WriteString(c)
			break
		}
		b.WriteString(c)
		b.WriteString(strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(c))+2))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(t.out, b.String())
	return err
}
