package prompt

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// word is one that may stand at the cursor.
type word struct{ text, about string }

// completion is what may stand at the end of a text.
type completion struct {
	text  string // up to the cursor
	begun string // its part that the words begin with
	words []word
}

// keywords of the language, and literals.
func keywords() []string {
	return []string{"and", "else", "exists", "false", "if", "import", "not", "option", "or", "return", "then", "true"}
}

// stringAtEnd finds what a text is before an open string at its end: the name
// of an argument, or the word import.
func stringAtEnd() *regexp.Regexp { return regexp.MustCompile(`(\w+)\s*:?\s*"([^"]*)$`) }

// completionOf completes a text: names of buckets and packages within strings,
// arguments and functions elsewhere.
func completionOf(text string, functions []Function, buckets, variables []string) completion {
	c := completion{text: text}
	line := text[strings.LastIndexByte(text, '\n')+1:]
	if strings.Count(line, `"`)%2 == 1 {
		m := stringAtEnd().FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] == "bucket":
			c.begun = m[2]
			for _, b := range buckets {
				c.add(b+`"`, "bucket")
			}
		case m[1] == "import":
			c.begun = m[2]
			packages := make(map[string]bool)
			for _, f := range functions {
				if f.Import != "" {
					packages[f.Import] = true
				}
			}
			for _, p := range slices.Sorted(maps.Keys(packages)) {
				c.add(p+`"`, "package")
			}
		}
		return c
	}
	c.begun = text[strings.LastIndexFunc(text, func(r rune) bool {
		return r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})+1:]
	if call := openCall(text[:len(text)-len(c.begun)]); call != "" {
		for _, f := range functions {
			if f.Name != call {
				continue
			}
			for _, p := range slices.Sorted(maps.Keys(f.Params)) {
				c.add(p+": ", f.Params[p])
			}
		}
	}
	for _, v := range variables {
		c.add(v, "defined before")
	}
	about := func(f Function) string { return "(" + strings.Join(slices.Sorted(maps.Keys(f.Params)), ", ") + ")" }
	for _, f := range functions {
		if f.Import == "" {
			c.add(f.Name+"(", about(f))
		}
	}
	for _, k := range keywords() {
		c.add(k, "")
	}
	// Of the hundreds in packages only those that were begun.
	for _, f := range functions {
		if f.Import != "" && c.begun != "" {
			c.add(f.Name+"(", about(f)+`, import "`+f.Import+`"`)
		}
	}
	return c
}

// add adds a word if it begins as the text does.
func (c *completion) add(text, about string) {
	if strings.HasPrefix(text, c.begun) && text != c.begun {
		c.words = append(c.words, word{text, about})
	}
}

// openCall returns the function in whose brackets a text ends, at the begin of
// an argument.
func openCall(text string) string {
	before := strings.TrimRight(text, " \t\n")
	if !strings.HasSuffix(before, "(") && !strings.HasSuffix(before, ",") {
		return ""
	}
	depth, inString := 0, false
	for i := len(before) - 1; i >= 0; i-- {
		switch c := before[i]; {
		case c == '"' && (i == 0 || before[i-1] != '\\'):
			inString = !inString
		case inString:
		case c == ')' || c == ']' || c == '}':
			depth++
		case c == '[' || c == '{':
			if depth--; depth < 0 {
				return "" // within a list or record
			}
		case c == '(':
			if depth--; depth < 0 {
				name := strings.TrimRight(before[:i], " \t")
				return name[strings.LastIndexFunc(name, func(r rune) bool {
					return r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
				})+1:]
			}
		}
	}
	return ""
}
