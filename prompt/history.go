package prompt

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxHistory is how many entries are kept: years of questions by hand, in a
// file that is read in milliseconds.
const maxHistory = 5000

// history is what was typed, in a file with a quoted line for each entry. It
// is a term.History.
type history struct {
	entries []string
	file    string // empty: none
}

// openHistory reads a history and makes its folder, for the user alone: a
// script may hold what others should not see. The history that it returns with
// an error can be used, and is kept nowhere.
func openHistory(file string) (*history, error) {
	h := &history{}
	if file == "" {
		return h, nil
	}
	failed := func(err error) (*history, error) {
		return h, fmt.Errorf("what is typed is not kept: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return failed(err)
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		h.file = file
		return h, nil
	}
	if err != nil {
		return failed(err)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20) // a script with data in it is a line
	for lines.Scan() {
		if text, err := strconv.Unquote(lines.Text()); err == nil { // others are torn or not ours
			h.entries = append(h.entries, text)
		}
	}
	if err := errors.Join(lines.Err(), f.Close()); err != nil {
		return failed(err)
	}
	h.file = file
	// Twice as much, so that not every start writes the whole file.
	if len(h.entries) > 2*maxHistory {
		h.entries = h.entries[len(h.entries)-maxHistory:]
		if err := h.rewrite(); err != nil {
			return failed(err)
		}
	}
	return h, nil
}

// rewrite makes the file anew with what is kept.
func (h *history) rewrite() error {
	var b strings.Builder
	for _, e := range h.entries {
		b.WriteString(strconv.Quote(e) + "\n")
	}
	fresh := h.file + ".new"
	if err := os.WriteFile(fresh, []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, h.file)
}

// keep keeps a statement.
func (h *history) keep(text string) error {
	text = strings.TrimSpace(text)
	if n := len(h.entries); n > 0 && h.entries[n-1] == text {
		return nil
	}
	h.entries = append(h.entries, text)
	if h.file == "" {
		return nil
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Quote(text) + "\n")
	return errors.Join(err, f.Close())
}

// Add implements term.History: lines are not kept, statements are.
func (h *history) Add(string) {}

// Len implements term.History.
func (h *history) Len() int { return len(h.entries) }

// At implements term.History: the newest is 0. The editor has one line, so a
// statement of several comes back as one.
func (h *history) At(i int) string { return oneLine(h.entries[len(h.entries)-1-i]) }

// oneLine puts a statement into one line: comments go, and lines are joined by
// spaces. A string that has several lines keeps them as \n.
func oneLine(text string) string {
	var b strings.Builder
	inString, space := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inString && c == '\n':
			b.WriteString(`\n`)
			continue
		case inString && c == '\\' && i+1 < len(text):
			b.WriteByte(c)
			i++
			c = text[i]
		case c == '"':
			inString = !inString
		case inString:
		case strings.HasPrefix(text[i:], "//"):
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				i += n - 1
			} else {
				i = len(text)
			}
			continue
		case c == '\n' || c == '\r' || c == '\t' || c == ' ':
			space = true
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteByte(c)
	}
	return b.String()
}
