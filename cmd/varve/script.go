package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/lang/flux/syntax"
)

// The languages of varve query.
const (
	langFlux  = "flux"  // a script
	langFlags = "flags" // a question that flags make
)

// script is what is run, and where it is from.
type script struct {
	name string // of a file; empty: an argument, a pipe or the prompt
	text string
}

// scriptFlags say what a script is and what it sees.
type scriptFlags struct {
	lang, file, org string
	params          []string
}

// questionFlags are those that make a question, and mean nothing to a script.
func questionFlags() []string {
	return []string{"measurement", "tag", "where", "field", "aggregation", "quantile", "group-by", "order", "limit"}
}

// given returns the first of some flags that a command was given, or "".
func given(cmd *cobra.Command, names []string) string {
	i := slices.IndexFunc(names, func(name string) bool { return cmd.Flags().Changed(name) })
	if i < 0 {
		return ""
	}
	return names[i]
}

// choose decides which language is asked, and returns the script if there is
// one; nil in Flux stands for the prompt.
//
// An argument, a file and what a pipe holds are scripts, and scripts are Flux.
// Without any of them flags that make a question do. With neither, a terminal
// gets the prompt.
func (s *scriptFlags) choose(cmd *cobra.Command, args []string) (lang string, sc *script, err error) {
	wrong := func(format string, of ...any) error { return &exitError{wrongUsage, fmt.Errorf(format, of...)} }
	if s.lang != "" && s.lang != langFlux && s.lang != langFlags {
		return "", nil, wrong("--lang %q: want %s or %s", s.lang, langFlux, langFlags)
	}
	from := s.file
	if len(args) > 0 && args[0] == "-" && from == "" {
		from, args = "-", nil
	}
	question := given(cmd, questionFlags())
	switch {
	case len(args) > 0 && from != "":
		return "", nil, wrong("there are two scripts, an argument and --file %s; leave out one", s.file)
	case (len(args) > 0 || from != "" || s.lang == langFlux) && s.lang == langFlags:
		return "", nil, wrong("with --lang %s flags such as --measurement make the question; leave out the script", langFlags)
	case (len(args) > 0 || from != "" || s.lang == langFlux) && question != "":
		return "", nil, wrong("--%s does not go with a script in Flux, which says itself what it asks; see varve query --help", question)
	case len(args) > 0:
		// Who names a measurement as an argument does not mean a script.
		if s.lang == "" && !strings.ContainsAny(args[0], "(|=") {
			return "", nil, wrong("%q is no script in Flux, which would begin with from(bucket: ...) or the like; to ask for a measurement: varve query --measurement %s", args[0], args[0])
		}
		return langFlux, &script{text: args[0]}, nil
	case from != "":
		sc, err := readScript(from, cmd.InOrStdin())
		return langFlux, sc, err
	case s.lang == langFlags || question != "":
		return langFlags, nil, nil
	case terminalIn(cmd) != nil && screenOf(cmd.OutOrStdout()).terminal:
		return langFlux, nil, nil
	case terminalIn(cmd) != nil && s.lang == "":
		return langFlags, nil, nil // which says what is missing
	}
	sc, err = readScript("-", cmd.InOrStdin())
	switch {
	case err != nil:
		return "", nil, err
	case strings.TrimSpace(sc.text) != "":
		return langFlux, sc, nil
	case s.lang == langFlux:
		return "", nil, wrong("there is no script: give it as an argument, by --file, or on standard input")
	}
	return langFlags, nil, nil
}

// readScript reads a script from a file, - for standard input.
func readScript(from string, in io.Reader) (*script, error) {
	if from == "-" {
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("read script: %w", err)
		}
		return &script{text: string(text)}, nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	return &script{from, string(text)}, nil
}

// scriptRequest is the body of POST /api/v2/query.
type scriptRequest struct {
	Query   string         `json:"query"`
	Type    string         `json:"type"`
	Dialect map[string]any `json:"dialect"`
	Extern  *syntax.File   `json:"extern,omitempty"`
	Params  map[string]any `json:"params,omitempty"`
	Explain bool           `json:"explain,omitempty"`
}

// request returns the request that asks a script.
func (s *scriptFlags) request(text string, q *question) (*scriptRequest, error) {
	req := &scriptRequest{
		Query: text, Type: "flux", Explain: q.Explain,
		Dialect: map[string]any{"header": true, "annotations": []string{"datatype", "group", "default"}},
	}
	var err error
	if req.Params, err = s.parameters(); err != nil {
		return nil, err
	}
	// Dashboards put the times that they show into v.
	if strings.Contains(text, "v.") {
		req.Extern, err = variables(q)
	}
	return req, err
}

// parameters reads what scripts see as params.name.
func (s *scriptFlags) parameters() (map[string]any, error) {
	if len(s.params) == 0 {
		return nil, nil
	}
	values := make(map[string]any, len(s.params))
	for _, text := range s.params {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, &exitError{wrongUsage, fmt.Errorf("--param %q: want name=value", text)}
		}
		d := json.NewDecoder(strings.NewReader(value))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil || d.More() {
			v = value // no JSON, so it is a text
		}
		values[name] = v
	}
	return values, nil
}

// isTime reports whether a text can be a time or length of time in a script. It
// keeps out what would be an error at a place that is none of the script.
func isTime(text string) bool {
	f, err := syntax.Parse(text)
	if err != nil || len(f.Body) != 1 {
		return false
	}
	s, ok := f.Body[0].(*syntax.ExpressionStatement)
	if !ok {
		return false
	}
	switch s.Expression.(type) {
	case *syntax.DateTimeLiteral, *syntax.DurationLiteral, *syntax.UnaryExpression, *syntax.IntegerLiteral:
		return true
	}
	return text == "now()"
}

// usualWindow is v.windowPeriod where --every says nothing.
const usualWindow = "1m"

// variables returns the option v with the flags that say when and where.
func variables(q *question) (*syntax.File, error) {
	instant := func(text string) string {
		if text == "now" {
			return "now()"
		}
		return text
	}
	every := q.Every
	if every == "" {
		every = usualWindow
	}
	bucket, err := json.Marshal(q.Bucket)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for _, one := range [][2]string{{"start", instant(q.Start)}, {"stop", instant(q.Stop)}, {"every", every}} {
		if !isTime(one[1]) {
			return nil, &exitError{wrongUsage, fmt.Errorf("--%s %q: in a script want a time such as 2026-01-02T15:04:05Z, or a length such as -1h", one[0], one[1])}
		}
	}
	f, err := syntax.Parse(fmt.Sprintf("option v = {timeRangeStart: %s, timeRangeStop: %s, windowPeriod: %s, bucket: %s, defaultBucket: %s}",
		instant(q.Start), instant(q.Stop), every, bucket, bucket))
	if err != nil {
		return nil, errors.New("BUG: the option v cannot be read: " + err.Error())
	}
	return f, nil
}
