package rule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// failure says for people why r could not be computed of what s has: what the
// record lacks, else the values that do not go together. What the library says is
// about types of Go.
func (r *Rule) failure(s *Scratch, err error) error {
	reads := evidence{scratch: s}
	var fe *file.Error
	if errors.As(err, &fe) {
		reads.at = fe.Location
		node := r.program.Node()
		ast.Walk(&node, &reads)
	}
	if !reads.found { // a node that the library has made of others
		for _, name := range r.names {
			reads.note(name, s.env[name])
		}
	}
	if len(reads.missing) > 0 {
		return fmt.Errorf("%s: %s", r.text, areMissing(reads.missing))
	}
	problem := "cannot be computed"
	switch {
	case fe == nil:
	case strings.Contains(fe.Message, "divide by zero"):
		problem = "would divide by zero"
	case strings.HasSuffix(fe.Message, ", not bool"), strings.Contains(fe.Message, "bool("):
		problem += ", because true or false is wanted"
	}
	return fmt.Errorf("%s: %s%s", r.text, problem, reads.where())
}

// where says what the names of r stand for.
func (r *Rule) where(s *Scratch) string {
	var reads evidence
	for _, name := range r.names {
		reads.note(name, s.env[name])
	}
	return reads.where()
}

// areMissing says what a record lacks.
func areMissing(names []string) string {
	if len(names) == 1 {
		return names[0] + " is missing"
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " are missing"
}

// evidence gathers what the part of an expression at a place reads: which of it
// the record lacks, and what the other values are.
type evidence struct {
	scratch *Scratch
	at      file.Location
	inside  bool
	found   bool // something is at the place
	missing []string
	values  []string
}

// Visit implements ast.Visitor.
func (g *evidence) Visit(n *ast.Node) {
	if !g.inside && (*n).Location() == g.at {
		g.found, g.inside = true, true
		ast.Walk(n, g)
		g.inside = false
	}
	if !g.inside {
		return
	}
	switch node := (*n).(type) {
	case *ast.IdentifierNode:
		if v, ok := g.scratch.env[node.Value]; ok {
			g.note(node.Value, v)
		}
	case *ast.MemberNode: // tags["my tag"]
		of, isName := node.Node.(*ast.IdentifierNode)
		key, isText := node.Property.(*ast.StringNode)
		if !isName || !isText {
			return
		}
		if all, ok := g.scratch.env[of.Value].(map[string]any); ok {
			g.note(fmt.Sprintf("%s[%q]", of.Value, key.Value), all[key.Value])
		}
	}
}

// note notes what a name stands for.
func (g *evidence) note(name string, v any) {
	if v == nil {
		if !slices.Contains(g.missing, name) {
			g.missing = append(g.missing, name)
		}
		return
	}
	if _, all := v.(map[string]any); all {
		return
	}
	if text := name + " is " + shown(v); !slices.Contains(g.values, text) {
		g.values = append(g.values, text)
	}
}

// where says what the names stand for that are not missing.
func (g *evidence) where() string {
	if len(g.values) == 0 {
		return ""
	}
	return ", where " + strings.Join(g.values, ", ")
}

// maxShown bounds what a refusal shows of a text, in characters.
const maxShown = 40

// shown writes a value for people.
func shown(v any) string {
	switch v := v.(type) {
	case string:
		if cut := []rune(v); len(cut) > maxShown {
			return "the text " + strconv.Quote(string(cut[:maxShown])+"…")
		}
		return "the text " + strconv.Quote(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// kindOf names for people what kind of value v is.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a length of time"
	case string, bool, int, int64, uint64, float64:
		return shown(v)
	}
	if strings.HasPrefix(fmt.Sprintf("%T", v), "map") {
		return "keys and values"
	}
	return "a list"
}

// What the compiler of the library says of types, and the types where it names
// them: a function may be called int, too.
var (
	mismatch  = regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types? (.+)\)$`)
	undefined = regexp.MustCompile(`^type (\S+)\[(\S+)\] is undefined$`)
	typed     = regexp.MustCompile(`\b(types? |got |and |use |from |with )([\w.\[\]*]+(?: ?\{\})?)`)
)

// plain puts the mistake of an expression in words for people.
func plain(message string) string {
	for _, w := range [][2]string{
		{"expected bool, but got ", "want true or false, got "},
		{"non-bool expression (type ", "a condition is true or false (got "},
		{") used as condition", ")"},
		{"predicate should return boolean", "a condition is true or false"},
		{"non-integer slice index", "a part of a text or list begins and ends at whole numbers, got"},
	} {
		message = strings.Replace(message, w[0], w[1], 1)
	}
	if m := undefined.FindStringSubmatch(message); m != nil {
		return "an element of " + typeWords(m[1]) + " cannot be named by " + typeWords(m[2])
	}
	if m := mismatch.FindStringSubmatch(message); m != nil {
		message = m[1] + " does not go with " + m[2]
	}
	return typed.ReplaceAllStringFunc(message, func(found string) string {
		m := typed.FindStringSubmatch(found)
		return m[1] + typeWords(m[2])
	})
}

// typeWords names a type of Go for people.
func typeWords(t string) string {
	switch strings.TrimLeft(t, "*") {
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	case "float64", "float32":
		return "a number"
	case "int", "int64", "int32", "uint", "uint64":
		return "a whole number"
	case "time.Time":
		return "a time"
	case "time.Duration":
		return "a length of time"
	case "interface {}", "interface{}", "any", "unknown":
		return "any value"
	case "[]interface {}", "[]interface{}", "[]any":
		return "a list"
	case "map[string]interface {}", "map[string]interface{}", "map[string]any":
		return "keys and values"
	}
	return t
}
