package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

func queryCommand() *cobra.Command {
	var c client
	var q struct {
		Bucket      string         `json:"bucket,omitempty"`
		Start       string         `json:"start,omitempty"`
		Stop        string         `json:"stop,omitempty"`
		Measurement string         `json:"measurement,omitempty"`
		Filters     map[string]any `json:"filters,omitempty"`
		Fields      []string       `json:"fields,omitempty"`
		Aggregation string         `json:"aggregation,omitempty"`
		Every       string         `json:"every,omitempty"`
		GroupBy     []string       `json:"group_by,omitempty"`
		Order       string         `json:"order,omitempty"`
		Limit       int            `json:"limit,omitempty"`
		Explain     bool           `json:"explain,omitempty"`
	}
	var tags []string
	var raw bool
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Ask a server and draw the answer as a table",
		Long: `query asks the service port of a server.

Times are RFC 3339 (2026-01-02T15:04:05Z), relative (-1h, -7d, now) or seconds
since 1970. A tag that is given several times may have any of those values.`,
		Example: `  varve query --data-dir data --measurement cpu --start -1h
  varve query --data-dir data -m cpu --start -1d --field usage_user --aggregation mean --every 1h --group-by host
  varve query --url http://127.0.0.1:8000 -m cpu --tag host=a --tag host=b --limit 10 --json
  varve query --data-dir data -m cpu --start -1h --aggregation max --explain`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Filters, err = parseTags(tags); err != nil {
				return err
			}
			if err := c.resolve(func(a server.Addresses) string { return a.Service }, server.Default().ServiceAddr); err != nil {
				return err
			}
			body, err := json.Marshal(q)
			if err != nil {
				return fmt.Errorf("make request: %w", err)
			}
			answer, err := c.post(cmd.Context(), "/query", "application/json", body)
			if err != nil {
				return err
			}
			defer answer.Close()
			out := cmd.OutOrStdout()
			if raw {
				_, err := io.Copy(out, answer)
				return err
			}
			return drawAnswer(out, answer)
		},
	}
	f := cmd.Flags()
	c.flags(cmd, "service port of the server (default http://127.0.0.1:8000)")
	f.StringVar(&q.Bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.StringVarP(&q.Measurement, "measurement", "m", "", "measurement")
	f.StringVar(&q.Start, "start", "-1h", "first time")
	f.StringVar(&q.Stop, "stop", "now", "time before which the answer ends")
	f.StringArrayVar(&tags, "tag", nil, "tag=value that rows must have")
	f.StringSliceVar(&q.Fields, "field", nil, "fields (default: all)")
	f.StringVar(&q.Aggregation, "aggregation", "", "count, sum, mean, min, max, first, last, spread, stddev, ...")
	f.StringVar(&q.Every, "every", "", "window of the aggregation, such as 1m, 1h, 1d, 1mo (default: one for all)")
	f.StringSliceVar(&q.GroupBy, "group-by", nil, "tags to aggregate by (default: each series)")
	f.StringVar(&q.Order, "order", "", "asc or desc, by time")
	f.IntVar(&q.Limit, "limit", 0, "most rows to return (default: all)")
	f.BoolVar(&q.Explain, "explain", false, "show what was pruned and read")
	f.BoolVar(&raw, "json", false, "print the server's JSON")
	if err := cmd.MarkFlagRequired("measurement"); err != nil {
		panic("BUG: " + err.Error())
	}
	return cmd
}

// parseTags makes a filter of tag=value arguments.
func parseTags(args []string) (map[string]any, error) {
	values := make(map[string][]string)
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("--tag %q: want tag=value", a)
		}
		values[k] = append(values[k], v)
	}
	filters := make(map[string]any, len(values))
	for k, v := range values {
		filters[k] = v
	}
	return filters, nil
}

// drawAnswer renders the answer of the service port as a table, as it comes.
func drawAnswer(out io.Writer, answer io.Reader) error {
	dec := json.NewDecoder(answer)
	dec.UseNumber()
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	t := table{out: out}
	done := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		switch key {
		case "data":
			if err := expect(dec, json.Delim('[')); err != nil {
				return err
			}
			for dec.More() {
				var row answerRow
				if err := dec.Decode(&row); err != nil {
					return fmt.Errorf("read answer: %w", err)
				}
				if err := t.add(row); err != nil {
					return err
				}
			}
			if err := expect(dec, json.Delim(']')); err != nil {
				return err
			}
			if err := t.flush(); err != nil {
				return err
			}
		case "count":
			var n int64
			if err := dec.Decode(&n); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
			done = true
			fmt.Fprintf(out, "%d values\n", n)
		case "explain":
			var text string
			if err := dec.Decode(&text); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
			fmt.Fprintf(out, "\n%s\n", strings.TrimRight(text, "\n"))
		default:
			var ignored json.RawMessage
			if err := dec.Decode(&ignored); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
		}
	}
	if !done {
		return fmt.Errorf("read answer: it has no end; the server's log may say why")
	}
	return nil
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if got != want {
		return fmt.Errorf("read answer: found %v instead of %v; is this the service port of a varve?", got, want)
	}
	return nil
}

type answerRow struct {
	Time        string
	Measurement string
	Field       string
	Value       any
	Overflow    bool // the true result has more than 64 bits
	Tags        map[string]string
}

// isTerminal reports whether f is a terminal, for output that people watch.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
