package jsonrecord

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/varvedb/varve/protocol/jsontape"
)

// Path names a value within a document: keys joined by dots, with the number of
// an element in brackets, such as data.readings[0].value. The empty path is the
// document itself. A key that holds a dot or bracket is written in quotes:
// "a.b".c.
type Path struct {
	steps []step
	text  string
}

type step struct {
	key   string
	index int // of an element, if key is not meant
	array bool
}

// ParsePath reads a path.
func ParsePath(text string) (Path, error) {
	p := Path{text: text}
	rest := text
	for first := true; rest != ""; first = false {
		switch {
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return p, fmt.Errorf("path %q: a bracket is not closed", text)
			}
			n, err := strconv.ParseUint(rest[1:end], 10, 31)
			if err != nil {
				return p, fmt.Errorf("path %q: want the number of an element in brackets, found %q", text, rest[1:end])
			}
			p.steps = append(p.steps, step{index: int(n), array: true})
			rest = rest[end+1:]
			continue
		case !first && rest[0] == '.':
			rest = rest[1:]
		case !first:
			return p, fmt.Errorf("path %q: want a dot or a bracket before %q", text, rest)
		}
		var key string
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return p, fmt.Errorf("path %q: a quote is not closed", text)
			}
			key, rest = rest[1:1+end], rest[end+2:]
		} else {
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			key, rest = rest[:end], rest[end:]
			if key == "" {
				return p, fmt.Errorf("path %q: a key is empty", text)
			}
		}
		p.steps = append(p.steps, step{key: key})
	}
	return p, nil
}

func (p Path) String() string { return p.text }

// top returns the key if the path is one key.
func (p Path) top() (string, bool) {
	if len(p.steps) == 1 && !p.steps[0].array {
		return p.steps[0].key, true
	}
	return "", false
}

// find returns the value that p means below value at, None if there is none.
func (p *Path) find(t *jsontape.Tape, at int) int {
	for i := range p.steps {
		if s := &p.steps[i]; s.array {
			at = t.Element(at, s.index)
		} else {
			at = t.Get(at, s.key)
		}
	}
	return at
}
