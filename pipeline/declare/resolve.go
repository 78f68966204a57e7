package declare

import (
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxNodes bounds what aliases of aliases can make of a small file.
const maxNodes = 1 << 16

// Resolver makes of a document what it stands for: aliases and merges are
// replaced by what they mean, and ${NAME} or ${NAME:-otherwise} in a text by the
// value that Lookup has.
type Resolver struct {
	Lookup func(name string) (string, bool)

	// Secrets has what ${NAME} stood for, which no error may show.
	Secrets []string

	nodes    int
	problems []error
}

// Environment looks names up among the environment variables.
func Environment(name string) (string, bool) { return os.LookupEnv(name) }

// Resolve returns a copy of n that shares nothing with it, and what is wrong.
func (r *Resolver) Resolve(n *yaml.Node) (*yaml.Node, []error) {
	out := r.copy(n, 0)
	return out, r.problems
}

func (r *Resolver) fail(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, At(n, "", format, args...))
}

func (r *Resolver) copy(n *yaml.Node, depth int) *yaml.Node {
	if r.nodes++; r.nodes > maxNodes || depth > 100 {
		if r.nodes == maxNodes+1 || depth == 101 {
			r.fail(n, "the file stands for more than %d values, or is nested too deep", maxNodes)
			r.nodes = maxNodes + 2
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.copy(n.Alias, depth+1)
	case yaml.ScalarNode:
		out := *n
		out.Anchor = ""
		if strings.Contains(out.Value, "${") {
			out.Value = r.expand(n)
		}
		return &out
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	out := *n
	out.Anchor, out.Content = "", nil
	for _, c := range n.Content {
		out.Content = append(out.Content, r.copy(c, depth+1))
	}
	return &out
}

// mapping copies a mapping; the keys of << are those that it does not have.
func (r *Resolver) mapping(n *yaml.Node, depth int) *yaml.Node {
	out := *n
	out.Anchor, out.Content = "", nil
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Value != "<<" || key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			out.Content = append(out.Content, r.copy(key, depth+1), r.copy(value, depth+1))
			continue
		}
		from := r.copy(value, depth+1)
		switch from.Kind {
		case yaml.MappingNode:
			merged = append(merged, from)
		case yaml.SequenceNode:
			merged = append(merged, from.Content...)
		default:
			r.fail(value, "<< wants a mapping, or a list of them")
		}
	}
	for _, from := range merged {
		for i := 0; i+1 < len(from.Content); i += 2 {
			if !hasKey(&out, from.Content[i].Value) {
				out.Content = append(out.Content, from.Content[i], from.Content[i+1])
			}
		}
	}
	return &out
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// expand replaces ${NAME} in the text of n; $${ stands for ${ itself.
func (r *Resolver) expand(n *yaml.Node) string {
	var b strings.Builder
	rest := n.Value
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		if i > 0 && rest[i-1] == '$' {
			b.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			r.fail(n, "${ is not closed; write $${ for the text ${")
			break
		}
		name, otherwise, has := strings.Cut(rest[i+2:i+end], ":-")
		value, ok := r.Lookup(name)
		if !ok && !has {
			r.fail(n, "there is no environment variable %s; ${%s:-value} gives a value for that case", name, name)
		}
		if !ok {
			value = otherwise
		} else if value != "" {
			r.Secrets = append(r.Secrets, value)
		}
		b.WriteString(rest[:i] + value)
		rest = rest[i+end+1:]
	}
	b.WriteString(rest)
	return b.String()
}

// Text writes a node so that equal declarations are equal texts.
func Text(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	write(&b, n)
	return b.String()
}

func write(b *strings.Builder, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			write(b, n.Content[i])
			b.WriteByte(':')
			write(b, n.Content[i+1])
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for _, c := range n.Content {
			write(b, c)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	default:
		fmt.Fprintf(b, "%s%q", n.Tag, n.Value)
	}
}
