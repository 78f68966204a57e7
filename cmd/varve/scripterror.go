package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// scriptError is what is wrong with a script, told with the lines of it.
type scriptError struct {
	script *script
	reason string // as the server puts it
	// before is how many lines the server had of the script before those that
	// are shown.
	before int
}

// placed finds the place in an error of Flux: error @3:5-3:10: text. Line and
// column count from 1, the column in bytes.
func placed() *regexp.Regexp {
	return regexp.MustCompile(`^(.*?)error @(\d+):(\d+)-(\d+):(\d+): (.*)$`)
}

func (e *scriptError) Error() string {
	pattern := placed()
	lines := strings.Split(e.script.text, "\n")
	var out []string
	for line := range strings.Lines(e.reason) {
		line = strings.TrimRight(line, "\r\n")
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			out = append(out, line)
			continue
		}
		var at [4]int // line and column, to line and column
		for i := range at {
			at[i], _ = strconv.Atoi(m[i+2]) // digits; what overflows is no line of the script
		}
		if at[0], at[2] = at[0]-e.before, at[2]-e.before; at[0] < 1 { // in what was defined before
			out = append(out, m[1]+m[6])
			continue
		}
		where := fmt.Sprintf("%d:%d: ", at[0], at[1])
		if e.script.name != "" {
			where = e.script.name + ":" + where
		} else {
			where = "script:" + where
		}
		out = append(out, where+m[1]+m[6])
		if at[0] <= len(lines) {
			out = append(out, underlined(strings.TrimRight(lines[at[0]-1], "\r"), at)...)
		}
	}
	return strings.Join(out, "\n")
}

// underlined returns a line of a script and carets below the part that is
// wrong.
func underlined(text string, at [4]int) []string {
	margin := fmt.Sprintf("%5d | ", at[0])
	from := min(max(at[1]-1, 0), len(text))
	to := len(text)
	if at[2] == at[0] {
		to = min(max(at[3]-1, from), len(text))
	}
	// What is before the carets keeps its tabs, so that they stand below it in
	// any terminal.
	space := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, text[:from])
	carets := strings.Repeat("^", max(1, utf8.RuneCountInString(text[from:to])))
	return []string{margin + text, strings.Repeat(" ", len(margin)-2) + "| " + space + carets}
}

// explainRefusal turns an error of a request that asked a script into one that
// shows the script, if it is the script's.
func explainRefusal(err error, sc *script, before int) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	switch {
	case r.status == http.StatusBadRequest:
		return &scriptError{sc, r.reason, before}
	case r.status == http.StatusNotFound && !strings.Contains(r.reason, "bucket") || r.status == http.StatusMethodNotAllowed:
		return fmt.Errorf("%w (scripts go to the points port of a server, 8086 mostly)", err)
	}
	return err
}
