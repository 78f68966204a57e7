package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// streamFlags are those of varve stream.
type streamFlags struct {
	bucket, since, duration string
	measurements, fields    []string
	tags, where             []string
	last, asJSON            bool
	limit                   int64
}

func streamCommand() *cobra.Command {
	var c client
	var s streamFlags
	cmd := &cobra.Command{
		Use:   "stream",
		Short: "Show points as they are stored",
		Long: `stream shows points as they are stored, each on a line, until it is interrupted: time
(UTC), measurement, tags and fields. With --last it begins with the last value of each
field of each series, with --since with the points from a time on.

Points that this end is too slow for are left out; it is said how many.`,
		Example: `  varve stream --data-dir data
  varve stream --data-dir data -m sensor_data --tag location=seoul --where 'value>35'
  varve stream --data-dir data -m sensor_data --last
  varve stream --url http://127.0.0.1:8086 --token TOKEN --json | jq .fields`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			parameters, err := s.parameters()
			if err != nil {
				return err
			}
			if err := c.resolve(pointsPort, server.Default().HTTPAddr); err != nil {
				return err
			}
			err = s.run(cmd.Context(), &c, parameters, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if cmd.Context().Err() != nil {
				return nil // interrupted, as meant
			}
			return err
		},
	}
	f := cmd.Flags()
	c.flags(cmd, "points port of the server (default http://127.0.0.1:8086)")
	f.StringVar(&s.bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.StringArrayVarP(&s.measurements, "measurement", "m", nil, "only this measurement; may be repeated")
	f.StringSliceVar(&s.fields, "field", nil, "only these fields")
	f.StringArrayVar(&s.tags, "tag", nil, "tag=value that points must have; of several for one tag, one must hold")
	f.StringArrayVar(&s.where, "where", nil, "condition on a field, such as temperature>20, state=~^err or 'note exists'; all must hold")
	f.BoolVar(&s.last, "last", false, "begin with the last value of each field of each series")
	f.StringVar(&s.since, "since", "", "begin with the points from here on, such as -10m; with --last: how far back to look")
	f.Int64Var(&s.limit, "limit", 0, "end after so many points (default: go on)")
	f.StringVar(&s.duration, "duration", "", "end after so long, such as 30s or 10m (default: go on)")
	f.BoolVar(&s.asJSON, "json", false, "the points as the server sends them, a JSON object on each line")
	must(cmd.RegisterFlagCompletionFunc("bucket", ofServer(&c, bucketNames)))
	return cmd
}

// parameters makes those of GET /api/v1/stream.
func (s *streamFlags) parameters() (url.Values, error) {
	q := url.Values{"measurement": s.measurements, "field": s.fields}
	filters, err := parseTags(s.tags)
	if err != nil {
		return nil, err
	}
	var where []fieldCondition
	for _, text := range s.where {
		one, err := parseWhere(text)
		if err != nil {
			return nil, err
		}
		where = append(where, one)
	}
	for name, v := range map[string]any{"filters": filters, "where": where} {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
		if string(text) != "{}" && string(text) != "null" {
			q.Set(name, string(text))
		}
	}
	for name, text := range map[string]string{"bucket": s.bucket, "since": s.since, "duration": s.duration} {
		if text != "" {
			q.Set(name, text)
		}
	}
	if s.last {
		q.Set("last", "true")
	}
	if s.limit != 0 {
		q.Set("limit", strconv.FormatInt(s.limit, 10))
	}
	return q, nil
}

// run shows a stream to its end.
func (s *streamFlags) run(ctx context.Context, c *client, parameters url.Values, out, errOut io.Writer) error {
	req, err := c.request(ctx, http.MethodGet, "/api/v1/stream?"+parameters.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &refusal{resp.StatusCode, reason(resp.Body), c.token != ""}
	}
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	w := bufio.NewWriter(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			w.Flush()
			return fmt.Errorf("the stream broke off: %w", err)
		}
		end, err := s.show(w, errOut, line)
		if err == nil && (end || lines.Buffered() == 0) {
			err = w.Flush()
		}
		if end || err != nil {
			return err
		}
	}
}

// streamPoint is a line of a stream.
type streamPoint struct {
	Time        *time.Time
	Measurement string
	Tags        map[string]string
	Fields      map[string]json.RawMessage

	Missed uint64
	End    *string
}

// show writes a line of a stream. It reports whether the stream ends with it.
func (s *streamFlags) show(out *bufio.Writer, errOut io.Writer, line []byte) (end bool, err error) {
	if len(line) == 1 {
		return false, nil // the server is there still
	}
	var p streamPoint
	if err := json.Unmarshal(line, &p); err != nil {
		return false, fmt.Errorf("read stream: %w: %.100s", err, line)
	}
	switch {
	case p.End != nil && (*p.End == "the limit is reached" || *p.End == "the duration is over"):
		return true, nil // as asked for
	case p.End != nil:
		return true, errors.New("the server ended the stream: " + *p.End)
	case p.Missed > 0:
		_, err := fmt.Fprintf(errOut, "(%d points were missed here: this end was too slow)\n", p.Missed)
		return false, err
	case s.asJSON:
		_, err := out.Write(line)
		return false, err
	case p.Time == nil:
		return false, fmt.Errorf("read stream: neither a point nor a known message: %.100s", line)
	}
	_, err = out.WriteString(p.text())
	return false, err
}

// text writes a point for people. Times are as wide as they are to a
// microsecond, so that columns mostly stand below each other.
func (p *streamPoint) text() string {
	var b strings.Builder
	b.WriteString(p.Time.UTC().Format("2006-01-02 15:04:05.000000") + "  " + printable(p.Measurement) + " ")
	for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
		b.WriteString(" " + printable(k) + "=" + printable(p.Tags[k]))
	}
	b.WriteString(" ")
	for _, k := range slices.Sorted(maps.Keys(p.Fields)) {
		b.WriteString(" " + printable(k) + "=" + printable(string(p.Fields[k])))
	}
	return b.String() + "\n"
}
