package server

import (
	"os"
	"strings"
	"testing"

	"github.com/varvedb/varve/pipeline"
)

// documents are those whose examples are run.
var documents = []string{"../docs/INGESTION.md", "../docs/ANOMALIES.md"}

// examples returns the blocks of YAML of a document, with the line at which each
// begins.
func examples(t *testing.T, name string) (blocks []string, lines []int) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	open := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "```yaml":
			open = true
			blocks, lines = append(blocks, ""), append(lines, i+2)
		case line == "```":
			open = false
		case open:
			blocks[len(blocks)-1] += line + "\n"
		}
	}
	return blocks, lines
}

// TestDocuments: what the documents show as a file of pipelines is one, and does
// what the tests say that stand behind it.
func TestDocuments(t *testing.T) {
	environment := func(name string) (string, bool) { return "value of " + name, true }
	files, cases := 0, 0
	for _, name := range documents {
		blocks, lines := examples(t, name)
		file := ""
		for i, block := range blocks {
			switch {
			case strings.HasPrefix(block, "pipelines:"):
				files++
				if file == "" {
					file = block
				}
			case strings.HasPrefix(block, "tests:"): // of the first pipelines of the document
				block = file + block
			case strings.HasPrefix(block, "- "): // steps
				block = "pipelines:\n  steps:\n    source: write\n    sinks: [{store: {}}]\n    tag:\n      " + strings.ReplaceAll(block, "\n", "\n      ")
			default:
				continue // a part of a file
			}
			f, err := pipeline.Parse(name, []byte(block), PipelineKinds(), environment)
			if err != nil {
				t.Errorf("%s:%d: %v", name, lines[i], err)
				continue
			}
			for k := range f.Cases {
				cases++
				for _, wrong := range f.Cases[k].Run() {
					t.Errorf("%s:%d: %s: %s", name, lines[i], f.Cases[k].Name, wrong)
				}
			}
		}
	}
	if files < 3 || cases == 0 {
		t.Errorf("%d files with %d tests were found", files, cases)
	}
}
