package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A look at the file that falls between two writes of it changes nothing, whatever
// the file says at that moment; nor does one at an empty file.
func TestPipelineFileThatIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipelines.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	const first, second = "pipelines:\n  p: {source: data, sinks: [{store: {}}]}\n", "pipelines:\n  q: {source: data, sinks: [{store: {}}]}\n"
	write(first)
	c := Default()
	c.PipelinesFile = file
	b := openTrial(t, t.TempDir(), c)
	defer b.shut()
	b.preparePipelines()
	defer b.pipelines.set.Close()
	runs := func(want string) {
		t.Helper()
		if all := b.pipelines.set.Status(); len(all) != 1 || all[0].Name != want {
			t.Errorf("%d pipelines run, want %s alone", len(all), want)
		}
	}
	if err := b.pipelines.load(true); err != nil {
		t.Fatal(err)
	}
	runs("p")
	write("pipelines:\n") // what there is of it so far
	rest := time.AfterFunc(fileSettles/4, func() { write(second) })
	defer rest.Stop()
	if err := b.pipelines.load(false); err != nil {
		t.Error(err)
	}
	runs("p")
	if err := b.pipelines.load(false); err != nil {
		t.Error(err)
	}
	runs("q")
	write(" \n")
	for _, force := range []bool{false, true} {
		if err := b.pipelines.load(force); err == nil || !strings.Contains(err.Error(), "is empty") {
			t.Errorf("an empty file: error %v", err)
		}
	}
	runs("q")
	write("pipelines: {}\n")
	if err := b.pipelines.load(false); err != nil || len(b.pipelines.set.Status()) != 0 {
		t.Errorf("a file of none: %d run, error %v", len(b.pipelines.set.Status()), err)
	}
}
