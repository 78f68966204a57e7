package config

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/server"
)

// WriteYAML writes the configuration as a file that Load reads, each value
// with a comment that says where it comes from. In the place of a secret is a
// comment.
func (e *Effective) WriteYAML(w io.Writer) error {
	type line struct{ text, from string }
	var lines []line
	width := 0
	var open []string // the sections around the last line
	for _, s := range Table() {
		words := strings.Split(s.Key, ".")
		sections := words[:len(words)-1]
		common := 0
		for common < min(len(open), len(sections)) && open[common] == sections[common] {
			common++
		}
		for i, name := range sections[common:] {
			lines = append(lines, line{text: indent(common+i) + name + ":"})
		}
		open = sections
		from := e.origin[s.Key].String()
		text := indent(len(sections)) + words[len(words)-1] + ": "
		switch value := s.Get(&e.Config); {
		case s.Secret && value == "":
			text = indent(len(sections)) + "# " + words[len(words)-1] + " is not set"
		case s.Secret:
			text = indent(len(sections)) + "# " + words[len(words)-1] + " is set and not shown"
		default:
			quoted, err := scalar(value, s.Kind)
			if err != nil {
				return fmt.Errorf("render %s: %w", s.Key, err)
			}
			text += quoted
		}
		lines = append(lines, line{text, from})
		width = max(width, utf8.RuneCountInString(text))
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text)
		if l.from != "" {
			fmt.Fprintf(&b, "%s  # %s", strings.Repeat(" ", width-utf8.RuneCountInString(l.text)), l.from)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Shown returns the settings by key, without secrets.
func (e *Effective) Shown() map[string]string {
	all := map[string]string{}
	for _, s := range Table() {
		if !s.Secret {
			all[s.Key] = s.Get(&e.Config)
		}
	}
	return all
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// scalar renders a value so that YAML reads it back, on one line.
func scalar(text string, kind Kind) (string, error) {
	n := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if kind == Text {
		n.Tag = "!!str" // quoted where it would be something else, such as null
	}
	if text == "" || strings.ContainsAny(text, "\r\n") {
		n.Style = yaml.DoubleQuotedStyle
	}
	b, err := yaml.Marshal(&n)
	return strings.TrimSuffix(string(b), "\n"), err
}

// WriteReference writes a Markdown table of the settings.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	c := server.Default()
	b.WriteString("| Key | Flag | Variable | Kind | Default | |\n|---|---|---|---|---|---|\n")
	for _, s := range Table() {
		value := "`" + s.Get(&c) + "`"
		if s.Get(&c) == "" {
			value = ""
		}
		kind := string(s.Kind)
		if s.Kind == Choice {
			kind = "`" + strings.Join(s.Choices, "`, `") + "`"
		}
		if s.Secret {
			kind = "secret"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s | %s | %s |\n", s.Key, s.Flag(), s.Variable(), kind, value, s.Usage)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
