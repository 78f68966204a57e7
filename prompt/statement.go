package prompt

import (
	"errors"
	"strings"

	"github.com/varvedb/varve/lang/flux/syntax"
)

// complete reports whether text is run by Enter, or a line is added to it.
func complete(text string) bool {
	if strings.TrimSpace(text) == "" {
		return true
	}
	if last := text[strings.LastIndexByte(text, '\n')+1:]; strings.TrimSpace(last) == "" {
		return true
	}
	f, err := syntax.Parse(text)
	var all syntax.Errors
	if errors.As(err, &all) {
		for _, e := range all {
			if open(text, e) {
				return false
			}
		}
		return true // more lines do not mend it
	}
	return len(f.Body) == 0 || !onlyFrom(f.Body[len(f.Body)-1])
}

// open reports whether an error says that the text should go on: something is
// missing at its end, or a string has no end.
func open(text string, e *syntax.Error) bool {
	if e.Start == e.End {
		return true
	}
	from := offset(text, e.Start)
	return offset(text, e.End) >= len(strings.TrimRight(text, " \t\r\n")) && from < len(text) && text[from] == '"'
}

// offset returns the byte of a place.
func offset(text string, p syntax.Pos) int {
	at := 0
	for range p.Line - 1 {
		n := strings.IndexByte(text[at:], '\n')
		if n < 0 {
			return len(text)
		}
		at += n + 1
	}
	return min(at+p.Column-1, len(text))
}

// onlyFrom reports whether a statement is a from() alone, which cannot be read
// yet: the rest of the pipe is on the lines that follow.
func onlyFrom(s syntax.Statement) bool {
	var e syntax.Expression
	switch s := s.(type) {
	case *syntax.ExpressionStatement:
		e = s.Expression
	case *syntax.VariableAssignment:
		e = s.Init
	}
	call, ok := e.(*syntax.CallExpression)
	if !ok {
		return false
	}
	id, ok := call.Callee.(*syntax.Identifier)
	return ok && id.Name == "from"
}

// definition is a statement that gives a name something to mean.
type definition struct{ name, text string }

// parts are what a text consists of.
type parts struct {
	imports     []definition
	definitions []definition
	asks        bool   // there is more than definitions
	body        string // the text, with blanks in place of its imports
}

// split takes a text apart. It returns nil if the text is wrong: who is asked
// will say why.
func split(text string) *parts {
	f, err := syntax.Parse(text)
	if err != nil {
		return nil
	}
	source := func(n syntax.Node) string {
		return text[offset(text, n.Location().Start):offset(text, n.Location().End)]
	}
	p := &parts{body: text}
	for _, i := range f.Imports {
		name := i.Path
		if i.As != nil {
			name = i.As.Name + " " + name
		}
		p.imports = append(p.imports, definition{name, source(i)})
		from, to := offset(text, i.Start), offset(text, i.End)
		p.body = p.body[:from] + blanks(p.body[from:to]) + p.body[to:]
	}
	for _, s := range f.Body {
		switch s := s.(type) {
		case *syntax.VariableAssignment:
			p.definitions = append(p.definitions, definition{s.ID.Name, source(s)})
		case *syntax.OptionStatement:
			name := "option "
			switch a := s.Assignment.(type) {
			case *syntax.VariableAssignment:
				name += a.ID.Name
			case *syntax.MemberAssignment:
				name += source(a.Member)
			}
			p.definitions = append(p.definitions, definition{name, source(s)})
		default:
			p.asks = true
		}
	}
	return p
}

// blanks returns text of the same length and lines that says nothing.
func blanks(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c != '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}
