package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/step"
	"github.com/varvedb/varve/server"
	"github.com/varvedb/varve/source"
)

func pipelineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "pipeline",
		Short: "Check, try and test pipelines",
		Long: `A pipeline takes messages from a source (Kafka, MQTT, HTTP and others), decodes
them, validates, transforms and tags their records by rules, stores them, and
passes them on. A file declares them; varve serve --pipelines-file FILE runs them,
and reads the file again when it changes. docs/INGESTION.md has all that can stand
in it.

The name builtin stands for the pipelines that come with the program.`,
	}
	c.AddCommand(pipelineCheckCommand(), pipelineRunCommand(), pipelineTestCommand(), pipelineBuiltinCommand(), pipelineStatusCommand())
	return c
}

// readPipelines reads and checks a file of pipelines.
func readPipelines(name string) (*pipeline.File, error) {
	text := pipeline.Builtin()
	if name != server.BuiltinPipelines {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	return pipeline.Parse(name, []byte(text), server.PipelineKinds(), declare.Environment)
}

func pipelineCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a file of pipelines",
		Long: `check reads a file of pipelines as the server would, and prints what is wrong with
line and column. Nothing is connected to.`,
		Example: "  varve pipeline check pipelines.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readPipelines(args[0])
			if err != nil {
				return err
			}
			for _, d := range f.Pipelines {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: source %s, %s, %s\n", d.Name, d.Kind,
					counted(len(d.Steps), "step"), strings.Join(d.Sinks(), ", "))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s, %s: no mistakes\n", counted(len(f.Pipelines), "pipeline"), counted(len(f.Cases), "test"))
			return nil
		},
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func pipelineTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE",
		Short: "Run the tests in a file of pipelines",
		Long: `test runs the section tests of a file: each gives messages to a pipeline and says
what becomes of them. Nothing is stored or passed on.`,
		Example: "  varve pipeline test pipelines.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readPipelines(args[0])
			if err != nil {
				return err
			}
			failed := 0
			for i := range f.Cases {
				c := &f.Cases[i]
				wrong := c.Run()
				if len(wrong) == 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "ok    %s\n", c.Name)
					continue
				}
				failed++
				fmt.Fprintf(cmd.OutOrStdout(), "FAIL  %s (%s:%d)\n", c.Name, args[0], c.Line)
				for _, w := range wrong {
					fmt.Fprintf(cmd.OutOrStdout(), "      %s\n", w)
				}
			}
			switch {
			case len(f.Cases) == 0:
				return errors.New("the file has no tests: write some below tests, see varve pipeline builtin")
			case failed > 0:
				return fmt.Errorf("%d of %s failed", failed, counted(len(f.Cases), "test"))
			}
			return nil
		},
	}
}

func pipelineBuiltinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "builtin",
		Short: "Print the pipelines that come with the program",
		Long: `builtin prints the file of pipelines that --pipelines-file builtin stands for, to be
read, and to begin a file of one's own with.`,
		Example: "  varve pipeline builtin > pipelines.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), pipeline.Builtin())
			return err
		},
	}
}

// maxSample is the longest message that is tried.
const maxSample = 64 << 20

func pipelineRunCommand() *cobra.Command {
	var dry, whole bool
	var name, topic, client, key string
	cmd := &cobra.Command{
		Use:   "run FILE --dry-run [SAMPLE]",
		Short: "Try pipelines on a sample",
		Long: `run shows, record by record, what a pipeline makes of a sample: what each step does,
and what would be stored and passed on. Nothing is. The sample is a file, or
standard input, with a message in each line, or one message with --whole.

varve serve is what runs pipelines for good.`,
		Example: `  varve pipeline run pipelines.yaml --dry-run sample.ndjson
  echo '{"value": 300}' | varve pipeline run builtin --dry-run --pipeline sensor-data`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !dry {
				return &exitError{wrongUsage, errors.New("run tries a sample and needs --dry-run; varve serve runs pipelines")}
			}
			f, err := readPipelines(args[0])
			if err != nil {
				return err
			}
			d, err := choosePipeline(f, name)
			if err != nil {
				return err
			}
			in := cmd.InOrStdin()
			if len(args) == 2 && args[1] != "-" {
				file, err := os.Open(args[1])
				if err != nil {
					return err
				}
				defer file.Close()
				in = file
			}
			x := d.Explain(time.Now)
			n := 0
			return samples(in, whole, func(text []byte) {
				m := source.Message{Topic: topic, Client: client, Payload: text, Offset: -1}
				if key != "" {
					m.Key = []byte(key)
				}
				e := x.Message(&m, n)
				n++
				explain(cmd.OutOrStdout(), text, &e)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&dry, "dry-run", false, "store nothing and pass nothing on")
	flags.BoolVar(&whole, "whole", false, "the sample is one message")
	flags.StringVar(&name, "pipeline", "", "pipeline to try; needed if the file has several")
	flags.StringVar(&topic, "topic", "", "topic of the messages")
	flags.StringVar(&client, "client", "", "client of the messages")
	flags.StringVar(&key, "key", "", "key of the messages")
	return cmd
}

func choosePipeline(f *pipeline.File, name string) (*pipeline.Declaration, error) {
	var names []string
	for _, d := range f.Pipelines {
		if d.Name == name || name == "" && len(f.Pipelines) == 1 {
			return d, nil
		}
		names = append(names, d.Name)
	}
	if name == "" {
		return nil, fmt.Errorf("choose one with --pipeline: %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("there is no pipeline %q; there are %s", name, strings.Join(names, ", "))
}

// samples calls use for each message.
func samples(in io.Reader, whole bool, use func(text []byte)) error {
	if whole {
		text, err := io.ReadAll(io.LimitReader(in, maxSample))
		if err == nil {
			use(text)
		}
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxSample)
	for lines.Scan() {
		if len(lines.Bytes()) > 0 {
			use(lines.Bytes())
		}
	}
	return lines.Err()
}

// maxShown bounds what is shown of a message.
const maxShown = 200

// explain prints what a pipeline makes of a message.
func explain(out io.Writer, text []byte, e *pipeline.Explanation) {
	shown := text[:min(len(text), maxShown)]
	fmt.Fprintf(out, "message %d: %q\n", e.Message+1, shown)
	if e.Refused != nil {
		fmt.Fprintf(out, "  refused by decode: %s\n", e.Refused)
		return
	}
	for i := range e.Records {
		r := &e.Records[i]
		fmt.Fprintf(out, "  record %d: %s\n", i+1, r.Decoded)
		for _, s := range r.Steps {
			switch s.Outcome {
			case step.Changed:
				fmt.Fprintf(out, "    %-28s %s\n", s.Name, strings.Join(s.Changes, ", "))
			case step.Pass:
				fmt.Fprintf(out, "    %-28s passed\n", s.Name)
			}
		}
		switch {
		case r.Refused != nil:
			fmt.Fprintf(out, "    %-28s REFUSED %s\n", r.Refused.Place, r.Refused.Error())
			continue
		case r.Dropped != nil:
			fmt.Fprintf(out, "    %-28s dropped %s\n", r.Dropped.Place, r.Dropped.Error())
			continue
		}
		what := "stored"
		if r.Deleted {
			what = "deleted"
		}
		for _, line := range r.Stored {
			fmt.Fprintf(out, "    → %s %s\n", what, line)
		}
		for _, text := range r.Passed {
			fmt.Fprintf(out, "    → passed on %s\n", text)
		}
	}
}

func pipelineStatusCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the pipelines of a server fare",
		Long: `status shows, for each pipeline of a server, what came in and what became of it,
step by step. It takes an operator's token.`,
		Example: "  varve pipeline status --data-dir data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.resolve(servicePort, server.Default().ServiceAddr); err != nil {
				return err
			}
			answer, err := c.do(cmd.Context(), http.MethodGet, "/api/v1/pipelines", "", nil)
			if err != nil {
				return err
			}
			defer answer.Close()
			var a httpapi.PipelinesAnswer
			if err := json.NewDecoder(answer).Decode(&a); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			showPipelines(cmd.OutOrStdout(), &a)
			return nil
		},
	}
	c.flags(cmd, "service port of the server (default http://127.0.0.1:8000)")
	return cmd
}

func showPipelines(out io.Writer, a *httpapi.PipelinesAnswer) {
	switch {
	case a.File == "":
		fmt.Fprintln(out, "the server runs no pipelines: start it with --pipelines-file")
	case a.Trouble != "":
		fmt.Fprintf(out, "%s is not in force, the pipelines stay as they were:\n%s\n\n", a.File, a.Trouble)
	}
	for i := range a.Pipelines {
		p := &a.Pipelines[i]
		state := "connected"
		if !p.Connected {
			state = "not connected"
		}
		if p.Trouble != "" {
			state += ", " + p.Trouble
		}
		fmt.Fprintf(out, "%s from %s: %s\n", p.Name, p.Source, state)
		if p.Notice != "" {
			fmt.Fprintf(out, "  notice: %s\n", p.Notice)
		}
		fmt.Fprintf(out, "  messages %d, records %d, stored %d, dropped %d, refused %d, handed over again %d", p.Messages, p.Records, p.Stored, p.Dropped, p.Refused, p.Failures)
		if p.Lag >= 0 {
			fmt.Fprintf(out, ", waiting %d", p.Lag)
		}
		fmt.Fprintln(out)
		for k := range p.Steps {
			s := &p.Steps[k]
			fmt.Fprintf(out, "    %-32s passed %d, changed %d, dropped %d, refused %d\n", s.Name, s.Passed, s.Changed, s.Dropped, s.Refused)
			for _, reason := range slices.Sorted(maps.Keys(s.Reasons)) {
				fmt.Fprintf(out, "      %-30s %d\n", reason, s.Reasons[reason])
			}
		}
	}
}
