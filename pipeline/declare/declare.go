// Package declare reads a part of a YAML declaration strictly: every key has to
// be one that is known, and every error says at which line and column and under
// which keys it is. Steps, decoders, sources and sinks read their settings with
// it, so that they all refuse in the same words.
//
//	s := declare.Section(node, "source.kafka")
//	cfg.Topics = s.Strings("topics")
//	cfg.Group = s.Text("group", "varve")
//	return cfg, s.Err()
//
// A getter notes what is wrong and returns its default, so that one look tells
// all errors. Err, called last, adds the keys that nobody asked for.
package declare

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/spelling"
)

// Error is what is wrong at one place of a declaration.
type Error struct {
	Line, Column int    // from 1
	Path         string // the keys, joined by dots
	Problem      string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Problem)
	}
	return fmt.Sprintf("%d:%d: %s: %s", e.Line, e.Column, e.Path, e.Problem)
}

// At returns an *Error at a node.
func At(n *yaml.Node, path, format string, args ...any) error {
	return &Error{Line: n.Line, Column: n.Column, Path: path, Problem: fmt.Sprintf(format, args...)}
}

// Map is a mapping that is being read.
type Map struct {
	node     *yaml.Node
	path     string
	asked    []string
	problems []error
}

// Section begins to read n, which stands under path. An empty n has no keys.
func Section(n *yaml.Node, path string) *Map {
	m := &Map{node: n, path: path}
	n = m.resolved()
	switch {
	case n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		m.node = &yaml.Node{Kind: yaml.MappingNode, Line: lineOf(n), Column: columnOf(n)}
	case n.Kind != yaml.MappingNode:
		m.problems = append(m.problems, At(n, path, "want keys and values"))
		m.node = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column}
	default:
		m.node = n
		m.twice()
	}
	return m
}

func (m *Map) resolved() *yaml.Node { return Follow(m.node) }

// Follow returns the node that an alias stands for, else n.
func Follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func lineOf(n *yaml.Node) int {
	if n == nil {
		return 1
	}
	return n.Line
}

func columnOf(n *yaml.Node) int {
	if n == nil {
		return 1
	}
	return n.Column
}

func (m *Map) twice() {
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		key := m.node.Content[i]
		if seen[key.Value] {
			m.problems = append(m.problems, At(key, m.Path(key.Value), "is given already"))
		}
		seen[key.Value] = true
	}
}

// Path returns the path of a key of m.
func (m *Map) Path(key string) string {
	if m.path == "" {
		return key
	}
	return m.path + "." + key
}

// Node returns the value of a key, nil if it is not given.
func (m *Map) Node(key string) *yaml.Node {
	if !slices.Contains(m.asked, key) {
		m.asked = append(m.asked, key)
	}
	return m.Peek(key)
}

// Peek is Node for who does not decide whether there is such a key.
func (m *Map) Peek(key string) *yaml.Node {
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		if m.node.Content[i].Value == key {
			return Follow(m.node.Content[i+1])
		}
	}
	return nil
}

// Has reports whether a key is given.
func (m *Map) Has(key string) bool { return m.Node(key) != nil }

// Keys returns the keys in the order of the text. They count as asked for.
func (m *Map) Keys() []string {
	var keys []string
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		keys = append(keys, m.node.Content[i].Value)
	}
	m.asked = append(m.asked, keys...)
	return keys
}

// Fail notes that the value of a key is wrong; m itself if key is "".
func (m *Map) Fail(key, format string, args ...any) {
	n, path := m.node, m.path
	if key != "" {
		path = m.Path(key)
		if at := m.Node(key); at != nil {
			n = at
		}
	}
	m.problems = append(m.problems, At(n, path, format, args...))
}

// FailIn notes that a name is wrong which is an element of the list at key, or a key
// of the mapping there; at key itself if it is neither.
func (m *Map) FailIn(key, name, format string, args ...any) {
	n, path, step := m.Peek(key), m.Path(key), 1
	switch {
	case n == nil:
		n = m.node
	case n.Kind == yaml.MappingNode:
		step = 2
	}
	for i := 0; i < len(n.Content); i += step {
		if at := Follow(n.Content[i]); at.Kind == yaml.ScalarNode && at.Value == name {
			if n = at; step == 2 {
				path += "." + name
			}
			break
		}
	}
	m.problems = append(m.problems, At(n, path, format, args...))
}

// Add notes an error that has its place already, or none.
func (m *Map) Add(err error) {
	if err != nil {
		m.problems = append(m.problems, err)
	}
}

// Section begins to read the value of a key as a mapping, which may be absent.
// What is wrong in it is for the caller to Add.
func (m *Map) Section(key string) *Map {
	n := m.Node(key)
	if n == nil {
		n = &yaml.Node{Kind: yaml.MappingNode, Line: m.node.Line, Column: m.node.Column}
	}
	return Section(n, m.Path(key))
}

// scalar returns the text of a key and whether it is there.
func (m *Map) scalar(key, want string) (string, bool) {
	n := m.Node(key)
	switch {
	case n == nil:
		return "", false
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		m.Fail(key, "want %s", want)
		return "", false
	}
	return n.Value, true
}

// Text returns a text.
func (m *Map) Text(key, otherwise string) string {
	if s, ok := m.scalar(key, "a text"); ok {
		return s
	}
	return otherwise
}

// Required returns a text that has to be given and not empty.
func (m *Map) Required(key string) string {
	s := m.Text(key, "")
	if n := m.Node(key); s == "" && (n == nil || n.Kind == yaml.ScalarNode && n.Tag != "!!null") {
		m.Fail(key, "is missing")
	}
	return s
}

// Choice returns one of a few words.
func (m *Map) Choice(key, otherwise string, words ...string) string {
	s, ok := m.scalar(key, "one of "+strings.Join(words, ", "))
	if !ok {
		return otherwise
	}
	if !slices.Contains(words, s) {
		m.Fail(key, "%q: want one of %s", s, strings.Join(words, ", "))
		return otherwise
	}
	return s
}

// Bool returns true or false.
func (m *Map) Bool(key string, otherwise bool) bool {
	s, ok := m.scalar(key, "true or false")
	if !ok {
		return otherwise
	}
	switch s {
	case "true", "false":
		return s == "true"
	}
	m.Fail(key, "%q: want true or false", s)
	return otherwise
}

// Int returns a whole number of at least least.
func (m *Map) Int(key string, otherwise, least int) int {
	s, ok := m.scalar(key, "a whole number")
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least {
		m.Fail(key, "%q: want a whole number of at least %d", s, least)
		return otherwise
	}
	return n
}

// Float returns a number; given says whether it is there.
func (m *Map) Float(key string) (f float64, given bool) {
	s, ok := m.scalar(key, "a number")
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f {
		m.Fail(key, "%q: want a number", s)
		return 0, false
	}
	return f, true
}

// Duration returns a length of time such as 500ms, 10s, 5m or 2h, more than 0.
func (m *Map) Duration(key string, otherwise time.Duration) time.Duration {
	s, ok := m.scalar(key, "a length of time such as 10s")
	if !ok {
		return otherwise
	}
	d, err := duration(s)
	if err != nil || d <= 0 {
		m.Fail(key, "%q: want a length of time above zero, such as 500ms, 10s, 5m, 2h, 7d", s)
		return otherwise
	}
	return d
}

func duration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// sizes are the units of bytes, longest first.
var sizes = []struct {
	unit  string
	bytes int
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// Size returns a number of bytes such as 64KiB or 1MB, more than 0.
func (m *Map) Size(key string, otherwise int) int {
	s, ok := m.scalar(key, "a size such as 64KiB")
	if !ok {
		return otherwise
	}
	text, unit := s, 1
	for _, u := range sizes {
		if t, found := strings.CutSuffix(s, u.unit); found {
			text, unit = strings.TrimSpace(t), u.bytes
			break
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 || n > (1<<40)/unit {
		m.Fail(key, "%q: want a size above zero, such as 64KiB or 1MB", s)
		return otherwise
	}
	return n * unit
}

// Strings returns a list of texts; a single text is a list of one.
func (m *Map) Strings(key string) []string {
	n := m.Node(key)
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return []string{n.Value}
	}
	if n.Kind != yaml.SequenceNode {
		m.Fail(key, "want a text or a list of texts")
		return nil
	}
	var all []string
	for _, e := range n.Content {
		if e = Follow(e); e.Kind != yaml.ScalarNode || e.Tag == "!!null" {
			m.problems = append(m.problems, At(e, m.Path(key), "want a text"))
			continue
		}
		all = append(all, e.Value)
	}
	return all
}

// Pair is a key and its text.
type Pair struct {
	Key, Value string
	Node       *yaml.Node // of the value
}

// Pairs returns the value of a key as a mapping of texts, in its order.
func (m *Map) Pairs(key string) []Pair {
	n := m.Node(key)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		m.Fail(key, "want keys and texts")
		return nil
	}
	var all []Pair
	s := Section(n, m.Path(key))
	for _, k := range s.Keys() {
		v := s.Node(k)
		if v.Kind != yaml.ScalarNode {
			s.Fail(k, "want a text")
			continue
		}
		all = append(all, Pair{Key: k, Value: v.Value, Node: v})
	}
	m.problems = append(m.problems, s.problems...)
	return all
}

// List returns the elements of a list.
func (m *Map) List(key string) []*yaml.Node {
	n := m.Node(key)
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		m.Fail(key, "want a list")
		return nil
	}
	all := make([]*yaml.Node, len(n.Content))
	for i, e := range n.Content {
		all[i] = Follow(e)
	}
	return all
}

// Err returns what was wrong, nil if nothing. Keys that nobody asked for are.
func (m *Map) Err() error {
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		key := m.node.Content[i]
		if slices.Contains(m.asked, key.Value) {
			continue
		}
		hint := "known are " + strings.Join(m.asked, ", ")
		if near := spelling.Nearest(key.Value, m.asked); near != "" {
			hint = "did you mean " + near + "?"
		}
		m.problems = append(m.problems, At(key, m.Path(key.Value), "there is no such key; %s", hint))
	}
	return errors.Join(m.problems...)
}

// Within returns an *Error at a place of the text of a scalar, whose line and
// column count from 1.
func Within(n *yaml.Node, path string, line, column int, problem string) error {
	e := &Error{Line: n.Line, Column: n.Column, Path: path, Problem: problem}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		e.Line += line // the text begins in the line behind its key
		e.Column = column
	case line > 1:
		e.Line += line - 1
		e.Column = column
	default:
		e.Column += column - 1
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			e.Column++
		}
	}
	return e
}

// Inherit gives m a value that it does not have itself.
func (m *Map) Inherit(key string, n *yaml.Node) {
	if m.Has(key) {
		return
	}
	node := *m.node
	node.Content = append(node.Content[:len(node.Content):len(node.Content)],
		&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: n.Line, Column: n.Column}, n)
	m.node = &node
}
