package prompt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// editor reads statements of one line or several. The terminal is in raw mode
// only while it reads, so that Ctrl-C is a key here and a signal elsewhere.
type editor struct {
	in      *os.File
	out     *os.File
	term    *term.Terminal
	keys    *keys
	history *history
	words   func(text string) completion

	before string // lines of the present statement that were read
	again  bool   // the last key was a Tab that did not complete anything
	search search
}

// search is a text that is looked for in the history, and the entry at which
// it was found last.
type search struct {
	text, found string
	at          int
}

func newEditor(in, out *os.File, history *history, words func(text string) completion) *editor {
	e := &editor{in: in, out: out, keys: &keys{in: in}, history: history, words: words}
	e.term = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{e.keys, out}, prompt)
	e.term.History = history
	e.term.AutoCompleteCallback = e.key
	return e
}

// statement reads a statement; it is empty if it was given up. The error is
// io.EOF when the user leaves.
func (e *editor) statement(signals <-chan os.Signal) (text string, err error) {
	state, err := term.MakeRaw(int(e.in.Fd()))
	if err != nil {
		return "", fmt.Errorf("set up terminal: %w", err)
	}
	e.term.SetBracketedPasteMode(true)
	defer func() {
		e.term.SetBracketedPasteMode(false)
		err = errors.Join(err, term.Restore(int(e.in.Fd()), state))
	}()
	e.resize()
	type result struct {
		text string
		err  error
	}
	// A read of a terminal cannot be ended from outside. On a signal, which
	// ends the process, the goroutine stays in it.
	done := make(chan result, 1)
	go func() {
		text, err := e.lines()
		done <- result{text, err}
	}()
	for {
		select {
		case r := <-done:
			return r.text, r.err
		case sig := <-signals:
			switch sig {
			case syscall.SIGWINCH:
				e.resize()
			case syscall.SIGTERM:
				return "", errTerminated
			}
		}
	}
}

// resize tells the line editor how wide the terminal is.
func (e *editor) resize() {
	if width, height, err := term.GetSize(int(e.out.Fd())); err == nil && width > 0 {
		_ = e.term.SetSize(width, height) // an error comes back when the next key is read
	}
}

// lines reads lines until they are a statement.
func (e *editor) lines() (string, error) {
	e.before = ""
	for {
		e.term.SetPrompt(prompt)
		if e.before != "" {
			e.term.SetPrompt(continuation)
		}
		e.search, e.again = search{}, false
		line, err := e.term.ReadLine()
		switch {
		case e.keys.interrupted:
			e.keys.interrupted = false
			return "", nil
		case errors.Is(err, term.ErrPasteIndicator):
			// What is pasted runs as a whole, by the next Enter.
			e.before += line + "\n"
			continue
		case err != nil:
			return "", err
		}
		text := e.before + line
		if complete(text) {
			return text, nil
		}
		e.before = text + "\n"
	}
}

const (
	keyTab    = '\t'
	keyCtrlR  = 'R' - '@'
	keyCtrlC  = 'C' - '@'
	lineStart = "\x05\x15\r" // to the end of the line, delete it, Enter
)

// key is called for each key that the terminal does not know.
func (e *editor) key(line string, pos int, key rune) (string, int, bool) {
	again := e.again
	e.again = false
	switch key {
	case keyTab:
		return e.tab(line, pos, again)
	case keyCtrlR:
		text, ok := e.older(line)
		return text, len(text), ok
	}
	return "", 0, false
}

// tab completes what is before the cursor as far as it is clear, and shows what
// is possible; if that is much, only when it is typed again.
func (e *editor) tab(line string, pos int, again bool) (string, int, bool) {
	c := e.words(e.before + line[:pos])
	if len(c.words) == 0 {
		return line, pos, true
	}
	shared := c.words[0].text
	for _, w := range c.words[1:] {
		for !strings.HasPrefix(w.text, shared) {
			shared = shared[:len(shared)-1]
		}
	}
	if len(shared) > len(c.begun) {
		rest := line[pos:]
		if strings.HasPrefix(rest, `"`) && strings.HasSuffix(shared, `"`) {
			rest = rest[1:]
		}
		whole := line[:pos-len(c.begun)] + shared
		return whole + rest, len(whole), true
	}
	if again || len(c.words) <= mostWords {
		e.show(c)
	}
	e.again = true
	return line, pos, true
}

// mostWords is how many words are shown at once: a screen of them.
const mostWords = 20

// show lists words above the line that is edited.
func (e *editor) show(c completion) {
	width := 0
	shown := c.words[:min(len(c.words), mostWords)]
	for _, w := range shown {
		width = max(width, len(w.text))
	}
	var b strings.Builder
	for _, w := range shown {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, w.text, w.about)
	}
	if n := len(c.words) - len(shown); n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	_, _ = e.term.Write([]byte(b.String())) // an error comes back when the next key is read
}

// older finds the newest entry of the history that has the text of the line in
// it and, when it is called again, older ones.
func (e *editor) older(line string) (string, bool) {
	if line != e.search.found || line == "" {
		e.search = search{text: line, at: -1}
	}
	for i := e.search.at + 1; i < e.history.Len(); i++ {
		if text := e.history.At(i); text != line && strings.Contains(text, e.search.text) {
			e.search.found, e.search.at = text, i
			return text, true
		}
	}
	return line, true
}

// keys reads the keys of a terminal. Ctrl-C, which would end the reading for
// good, becomes an empty line.
type keys struct {
	in          io.Reader
	rest        []byte
	interrupted bool
}

// Read implements io.Reader.
func (k *keys) Read(b []byte) (int, error) {
	if len(k.rest) == 0 {
		buf := make([]byte, len(b))
		n, err := k.in.Read(buf)
		if err != nil {
			return 0, err
		}
		k.rest = buf[:n]
	}
	part := k.rest
	if i := bytes.IndexByte(part, keyCtrlC); i > 0 {
		part = part[:i] // what was typed before it first
	} else if i == 0 {
		k.interrupted = true
		k.rest = k.rest[1:]
		return copy(b, lineStart), nil
	}
	n := copy(b, part)
	k.rest = k.rest[n:]
	return n, nil
}
