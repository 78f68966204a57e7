package value

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	// shortText is up to where a match is quick whatever the expression: the
	// largest that is compiled takes about a second for it.
	shortText = 4 << 10
	// matchSteps bounds the steps of one match, which cannot be stopped: an
	// expression takes one for each of its parts and each byte of the text, some
	// nanoseconds each.
	matchSteps = 1 << 26
)

// Matchable reports why a text is too long to be matched by an expression: a
// match is not interrupted, so that one that would take long is not begun.
func Matchable(r *regexp.Regexp, bytes int) error {
	if bytes <= shortText {
		return nil
	}
	tree, err := syntax.Parse(r.String(), syntax.Perl)
	if err != nil {
		return err
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return err
	}
	if parts := len(prog.Inst); bytes > matchSteps/parts {
		return fmt.Errorf("a text of %d bytes is too long for a regular expression of %d parts: shorten the text with strings.substring, or the expression", bytes, parts)
	}
	return nil
}
