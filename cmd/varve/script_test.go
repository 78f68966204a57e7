package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/varvedb/varve/server"
)

// The scripts run the program as a process of its own, so that its output,
// exit status and signals are those that a user sees.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"varve": main})
}

// -rewrite makes the expected output in the scripts that of the program.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *rewrite,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await, "secretOf": secretOf, "idOf": idOf,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("COLUMNS", "72")
			return nil
		},
	})
}

// patience is how long a server may take to start on a machine that runs other
// tests at the same time.
const testPatience = time.Minute

// await DIR waits for the server on a data folder and sets HTTP and SERVICE to
// its addresses.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await data-folder")
	}
	for deadline := time.Now().Add(testPatience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if a, err := server.ReadAddresses(ts.MkAbs(args[0])); err == nil {
			ts.Setenv("HTTP", "http://"+a.HTTP)
			ts.Setenv("SERVICE", "http://"+a.Service)
			return
		}
	}
	log, _ := os.ReadFile(ts.MkAbs("serve.log"))
	ts.Fatalf("no server on %s after %s\n%s", args[0], testPatience, log)
}

// secretOf stdout NAME sets NAME to the only line of the last output.
func secretOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: secretOf stdout NAME")
	}
	text := strings.TrimSpace(ts.ReadFile(args[0]))
	if text == "" || strings.ContainsAny(text, " \n") {
		ts.Fatalf("want a secret alone, not %q", text)
	}
	ts.Setenv(args[1], text)
}

// idOf TEXT NAME sets NAME to the first word of the line of the last output
// that has TEXT in it.
func idOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: idOf TEXT NAME")
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if strings.Contains(line, args[0]) {
			ts.Setenv(args[1], strings.Fields(line)[0])
			return
		}
	}
	ts.Fatalf("no line with %q", args[0])
}
