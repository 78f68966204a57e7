package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/prompt"
	"github.com/varvedb/varve/server"
	"github.com/varvedb/varve/spelling"
)

// question is the body of POST /query.
type question struct {
	Bucket      string           `json:"bucket,omitempty"`
	Start       string           `json:"start,omitempty"`
	Stop        string           `json:"stop,omitempty"`
	Measurement string           `json:"measurement,omitempty"`
	Filters     map[string]any   `json:"filters,omitempty"`
	Where       []fieldCondition `json:"where,omitempty"`
	Fields      []string         `json:"fields,omitempty"`
	Aggregation string           `json:"aggregation,omitempty"`
	Quantile    float64          `json:"quantile,omitempty"`
	Every       string           `json:"every,omitempty"`
	Zone        string           `json:"zone,omitempty"`
	GroupBy     *[]string        `json:"group_by,omitempty"` // a list without tags is not the same as none
	Order       string           `json:"order,omitempty"`
	Limit       int64            `json:"limit,omitempty"`
	Explain     bool             `json:"explain,omitempty"`
}

// formats are those of varve query, and aggregations those of POST /query.
func formats() []string { return []string{"table", "plot", "csv", "json", "jsonl"} }
func aggregations() []string {
	return []string{"count", "sum", "mean", "median", "min", "max", "first", "last", "spread", "stddev", "increase", "quantile"}
}

func queryCommand() *cobra.Command {
	var c client
	var q question
	var s scriptFlags
	var tags, where, groupBy []string
	var format string
	var asJSON, asPlot bool
	cmd := &cobra.Command{
		Use:   "query [SCRIPT]",
		Short: "Ask a server, in Flux or by flags; draw the answer as a table or a plot",
		Long: `query asks a server, in one of two languages:

  flux   a script in Flux, for the points port: the argument, --file, standard
         input (- or a pipe) or, at a terminal with nothing given, a prompt
  flags  a question that --measurement and other flags make, for the service port

--lang chooses. Without it a script means flux, and flags that make a question
(--measurement, --tag, --where, --field, --aggregation, --quantile, --group-by,
--order, --limit) mean flags. In scripts --start, --stop, --every and --bucket are
v.timeRangeStart, v.timeRangeStop, v.windowPeriod and v.bucket, as dashboards
have them, and --param name=value is params.name.

Times are RFC 3339 (2026-01-02T15:04:05Z), relative (-1h, -7d, now) or seconds
since 1970. A tag that is given several times may have any of those values;
conditions on fields (--where) must all hold.

At a terminal the answer is a table, and a plot where there is something to plot:
a panel for each field and in it a line for each series. --format table, plot,
csv (of scripts annotated, as the server sends it), json or jsonl (a JSON object
on each line) chooses. To get data out as line protocol or Parquet, use varve
export.`,
		Example: `  varve query --data-dir data --measurement cpu --start -1h
  varve query --data-dir data -m cpu --start -1d --field usage_user --aggregation mean --every 1h --group-by host
  varve query --data-dir data -m cpu --start -1d --field usage_user --aggregation max --every 10m --group-by "" --plot
  varve query --url http://127.0.0.1:8000 -m cpu --tag host=a --tag host=b --where 'usage_user>90' --format csv
  varve query --data-dir data -m cpu --start -30d --aggregation quantile --quantile 0.99 --every 1d --zone Europe/Kyiv
  varve query --data-dir data -m cpu --start -1h --aggregation max --explain
  varve query --data-dir data 'from(bucket: "default") |> range(start: -1h) |> last()'
  varve query --data-dir data --file report.flux --format csv
  varve query --data-dir data`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case asJSON:
				format = "json"
			case asPlot:
				format = "plot"
			}
			if format != "" && !slices.Contains(formats(), format) {
				return fmt.Errorf("--format %q: want %s", format, strings.Join(formats(), ", "))
			}
			lang, sc, err := s.choose(cmd, args)
			if err != nil {
				return err
			}
			if lang == langFlux {
				f := fluxQuery{&c, &s, &q, format, cmd.OutOrStdout()}
				if err := f.resolve(); err != nil {
					return err
				}
				if sc == nil {
					return f.talk(cmd.Context(), terminalIn(cmd), os.Stdout)
				}
				return f.ask(cmd.Context(), sc, prompt.Script{Whole: sc.text})
			}
			if name := given(cmd, []string{"org", "param"}); name != "" {
				return &exitError{wrongUsage, fmt.Errorf("--%s goes with a script in Flux; see varve query --help", name)}
			}
			if q.Filters, err = parseTags(tags); err != nil {
				return err
			}
			for _, text := range where {
				condition, err := parseWhere(text)
				if err != nil {
					return err
				}
				q.Where = append(q.Where, condition)
			}
			if cmd.Flags().Changed("group-by") {
				q.GroupBy = &groupBy
			}
			if err := c.resolve(servicePort, server.Default().ServiceAddr); err != nil {
				return err
			}
			return ask(cmd.Context(), &c, &q, format, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	c.flags(cmd, "for flags: service port of the server (default http://127.0.0.1:8000); for flux: its points port (default http://127.0.0.1:8086)")
	f.StringVar(&s.lang, "lang", "", "flux or flags (default: flux for a script, flags for flags that make a question)")
	f.StringVarP(&s.file, "file", "f", "", "file with a script in Flux, - for standard input")
	f.StringVarP(&s.org, "org", "o", "", "organisation that a script runs in, by name or id (default: the token's)")
	f.StringArrayVar(&s.params, "param", nil, "name=value, which a script sees as params.name; the value is JSON or else a text")
	f.StringVar(&q.Bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.StringVarP(&q.Measurement, "measurement", "m", "", "measurement")
	f.StringVar(&q.Start, "start", "-1h", "first time")
	f.StringVar(&q.Stop, "stop", "now", "time before which the answer ends")
	f.StringArrayVar(&tags, "tag", nil, "tag=value that rows must have")
	f.StringArrayVar(&where, "where", nil, "condition on a field, such as temperature>20, state=~^err or 'note exists'")
	f.StringSliceVar(&q.Fields, "field", nil, "fields (default: all)")
	f.StringVar(&q.Aggregation, "aggregation", "", strings.Join(aggregations(), ", "))
	f.Float64Var(&q.Quantile, "quantile", 0, "which quantile of the aggregation quantile, such as 0.95")
	f.StringVar(&q.Every, "every", "", "window of the aggregation, such as 1m, 1h, 1d, 1mo (default: one for all)")
	f.StringVar(&q.Zone, "zone", "", "time zone in which windows begin and plots are labelled, such as Europe/Kyiv (default UTC)")
	f.StringSliceVar(&groupBy, "group-by", nil, `tags to aggregate by; "": all together (default: each series)`)
	f.StringVar(&q.Order, "order", "", "asc or desc, by time")
	f.Int64Var(&q.Limit, "limit", 0, "most values to return (default: all)")
	f.BoolVar(&q.Explain, "explain", false, "show what was pruned and read")
	f.StringVar(&format, "format", "", strings.Join(formats(), ", ")+" (default: table, at a terminal with a plot)")
	f.BoolVar(&asJSON, "json", false, "the same as --format json")
	f.BoolVar(&asPlot, "plot", false, "the same as --format plot")
	cmd.MarkFlagsMutuallyExclusive("format", "json", "plot")
	completeQuery(cmd, &c, &q)
	return cmd
}

// must is for errors that only a mistake in this program can cause.
func must(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

// ask puts a question and shows the answer.
func ask(ctx context.Context, c *client, q *question, format string, out, errOut io.Writer) error {
	body, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if q.Measurement == "" {
		return missingMeasurement(ctx, c, q)
	}
	sink, err := sinkFor(ctx, c, q, format, out, errOut)
	if err != nil {
		return err
	}
	counted := &counter{rowSink: sink}
	answer, err := c.post(ctx, "/query", "application/json", body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if sink == nil {
		_, err := io.Copy(out, answer)
		return err
	}
	if err := readAnswer(answer, counted); err != nil || counted.count > 0 {
		return err
	}
	fmt.Fprintln(errOut, whyNothing(ctx, c, q))
	return nil
}

// counter keeps how many values an answer had.
type counter struct {
	rowSink
	count int64
}

func (c *counter) end(count int64, explain string) error {
	c.count = count
	return c.rowSink.end(count, explain)
}

// missingMeasurement says which measurements there are.
func missingMeasurement(ctx context.Context, c *client, q *question) error {
	text := "name a measurement by --measurement"
	names, err := c.names(ctx, "/measurements", url.Values{"bucket": {q.Bucket}})
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		text += "; there is none yet, varve write --help says how to write points"
	default:
		text += "; there are: " + enumerate(names)
	}
	return &exitError{wrongUsage, errors.New(text)}
}

// whyNothing finds the likely cause of an answer without values.
func whyNothing(ctx context.Context, c *client, q *question) string {
	// If the server fails now, the hint is worth no error.
	names, err := c.names(ctx, "/measurements", url.Values{"bucket": {q.Bucket}})
	if err == nil && !slices.Contains(names, q.Measurement) {
		if near := spelling.Nearest(q.Measurement, names); near != "" {
			return fmt.Sprintf("there is no measurement %s; did you mean %s?", q.Measurement, near)
		}
		if len(names) == 0 {
			return "nothing is stored in this bucket yet"
		}
		return fmt.Sprintf("there is no measurement %s; there are: %s", q.Measurement, enumerate(names))
	}
	return fmt.Sprintf("%s has no such values between %s and %s; --start and --stop choose other times", q.Measurement, q.Start, q.Stop)
}

// enumerate lists names, not all if they are many.
func enumerate(names []string) string {
	const most = 20 // a few lines of a terminal
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// sinkFor returns what shows an answer in a format; nil stands for the answer
// as it comes.
func sinkFor(ctx context.Context, c *client, q *question, format string, out, errOut io.Writer) (rowSink, error) {
	zone := time.UTC
	if q.Zone != "" {
		z, err := time.LoadLocation(q.Zone)
		if err != nil {
			return nil, fmt.Errorf("--zone %q is not known; zones are called as Europe/Kyiv", q.Zone)
		}
		zone = z
	}
	ch := &chart{out: out, screen: screenOf(out), zone: zone, advice: flagsAdvice()}
	if q.Aggregation != "" {
		ch.title, ch.step = q.Aggregation+" of ", everyNanos(q.Every)
	}
	switch format {
	case "json":
		return nil, nil
	case "jsonl":
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return &jsonLines{enc, errOut}, nil
	case "csv":
		tags, err := answerTags(ctx, c, q)
		return &csvRows{out: csv.NewWriter(out), tags: tags, note: errOut}, err
	case "plot":
		return ch, nil
	case "":
		if ch.screen.terminal {
			return &watched{out: out, table: &rowTable{out: out}, chart: ch, windows: q.Every != ""}, nil
		}
	}
	return &rowTable{out: out}, nil
}

// answerTags returns the tags that an answer can have.
func answerTags(ctx context.Context, c *client, q *question) ([]string, error) {
	if q.Aggregation != "" && q.GroupBy != nil {
		return slices.Sorted(slices.Values(*q.GroupBy)), nil
	}
	return c.names(ctx, "/measurements/"+url.PathEscape(q.Measurement)+"/tags", url.Values{"bucket": {q.Bucket}})
}

// names asks for a list of names.
func (c *client) names(ctx context.Context, path string, parameters url.Values) ([]string, error) {
	var answer struct{ Data []string }
	err := c.call(ctx, http.MethodGet, path+"?"+parameters.Encode(), nil, &answer)
	return answer.Data, err
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
