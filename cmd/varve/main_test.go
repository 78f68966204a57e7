package main

import (
	"io"
	"strings"
	"testing"
)

// A word that is no command is wrong usage, wherever it stands, and not a
// question for help.
func TestUnknownCommand(t *testing.T) {
	for line, want := range map[string]string{
		"qurey":            `there is no command "qurey" (did you mean query?); see varve --help`,
		"bucket lst":       `there is no command "lst" (did you mean list?); see varve bucket --help`,
		"org members lost": `there is no command "lost" (did you mean list?); see varve org members --help`,
		"bench everything": `there is no command "everything"; see varve bench --help`,
		"bucket":           "",
		"":                 "",
	} {
		c := root(nil)
		c.SetArgs(strings.Fields(line))
		var out strings.Builder
		c.SetOut(&out)
		c.SetErr(io.Discard)
		err := c.Execute()
		switch {
		case want == "" && (err != nil || !strings.Contains(out.String(), "[command]") || strings.Contains(out.String(), "[flags]\n")):
			t.Errorf("%q: error %v, want help of a group\n%s", line, err, out.String())
		case want != "" && (err == nil || err.Error() != want || exitStatus(err) != wrongUsage):
			t.Errorf("%q: %v with status %d, want %s with %d", line, err, exitStatus(err), want, wrongUsage)
		}
	}
}
