package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// deviceInfo is one as /api/v1/devices has it; what follows Connection has the
// answer about a single one.
type deviceInfo struct {
	Device       string     `json:"device"`
	Measurements []string   `json:"measurements"`
	FirstSeen    *time.Time `json:"first_seen"`
	LastSeen     *time.Time `json:"last_seen"`
	Rate         float64    `json:"rate"`
	Online       bool       `json:"online"`
	Connection   *struct {
		Online bool      `json:"online"`
		Since  time.Time `json:"since"`
	} `json:"connection"`

	Points int64 `json:"points"`
	Series []struct {
		Measurement string            `json:"measurement"`
		Tags        map[string]string `json:"tags"`
		Fields      map[string]struct {
			Time  time.Time       `json:"time"`
			Value json.RawMessage `json:"value"`
		} `json:"fields"`
	} `json:"series"`
	More bool `json:"more"`
}

// deviceFlags are those of varve devices.
type deviceFlags struct {
	bucket, prefix, after, window string
	measurements, tags            []string
	online, offline, asJSON       bool
	limit                         int
}

// devicePage is how many devices are asked for at a time: the most that a
// server gives.
const devicePage = 1000

func devicesCommand() *cobra.Command {
	var c client
	var d deviceFlags
	cmd := &cobra.Command{
		Use:   "devices [NAME]",
		Short: "Show devices: when last heard of, how often, online or not",
		Long: `devices shows the devices of a bucket, by name: when each was first and last heard of,
how many points a minute it sends, whether it is online, and which measurements it
writes. With a name it shows that device, with the last value of each of its fields.

A device is a value of a tag; the setting devices.tags of the server says of which.`,
		Example: `  varve devices --data-dir data
  varve devices --data-dir data --offline
  varve devices --data-dir data --tag location=seoul --prefix press- --limit 1000
  varve devices --data-dir data device-17`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.limit < 0 {
				return fmt.Errorf("--limit %d: want a number of devices, or 0 for all", d.limit)
			}
			if err := c.resolve(pointsPort, server.Default().HTTPAddr); err != nil {
				return err
			}
			if len(args) == 1 {
				return d.one(cmd, &c, args[0])
			}
			return d.list(cmd, &c)
		},
	}
	f := cmd.Flags()
	c.flags(cmd, "points port of the server (default http://127.0.0.1:8086)")
	f.StringVar(&d.bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.StringArrayVarP(&d.measurements, "measurement", "m", nil, "only devices that write this measurement; may be repeated")
	f.StringArrayVar(&d.tags, "tag", nil, "tag=value that their points must have; of several for one tag, one must hold")
	f.StringVar(&d.prefix, "prefix", "", "only devices whose names begin so")
	f.BoolVar(&d.online, "online", false, "only those that are online")
	f.BoolVar(&d.offline, "offline", false, "only those that are not")
	f.StringVar(&d.after, "after", "", "begin behind this name")
	f.IntVar(&d.limit, "limit", 100, "most devices to show; 0: all")
	f.StringVar(&d.window, "window", "", "of the rate, such as 5m or 1h, up to now (default: 5m)")
	f.BoolVar(&d.asJSON, "json", false, "a JSON object on each line")
	cmd.MarkFlagsMutuallyExclusive("online", "offline")
	must(cmd.RegisterFlagCompletionFunc("bucket", ofServer(&c, bucketNames)))
	return cmd
}

// list shows devices, page by page.
func (d *deviceFlags) list(cmd *cobra.Command, c *client) error {
	filters, err := parseTags(d.tags)
	if err != nil {
		return err
	}
	q := url.Values{"measurement": d.measurements}
	if len(filters) > 0 {
		text, err := json.Marshal(filters)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		q.Set("filters", string(text))
	}
	for name, text := range map[string]string{"bucket": d.bucket, "prefix": d.prefix, "after": d.after, "window": d.window} {
		if text != "" {
			q.Set(name, text)
		}
	}
	if d.online || d.offline {
		q.Set("online", strconv.FormatBool(d.online))
	}
	out := cmd.OutOrStdout()
	now := time.Now()
	shown := 0
	for {
		n := devicePage
		if d.limit > 0 {
			n = min(n, d.limit-shown)
		}
		q.Set("limit", strconv.Itoa(n))
		var answer struct {
			Data []deviceInfo
			Next string
		}
		if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/devices?"+q.Encode(), nil, &answer); err != nil {
			return err
		}
		if err := d.page(out, answer.Data, shown == 0, now); err != nil {
			return err
		}
		shown += len(answer.Data)
		switch {
		case answer.Next == "" && shown == 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "there are no such devices; the setting devices.tags of the server says which tags name devices")
			return nil
		case answer.Next == "":
			return nil
		case shown == d.limit:
			fmt.Fprintf(cmd.ErrOrStderr(), "there are more: --after %q goes on behind these, --limit 0 shows all\n", answer.Next)
			return nil
		}
		q.Set("after", answer.Next)
	}
}

// page shows some devices.
func (d *deviceFlags) page(out io.Writer, page []deviceInfo, first bool, now time.Time) error {
	if d.asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for i := range page {
			p := &page[i]
			if err := enc.Encode(map[string]any{"device": p.Device, "measurements": p.Measurements, "first_seen": p.FirstSeen, "last_seen": p.LastSeen,
				"rate": p.Rate, "online": p.Online, "connection": p.Connection}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(page) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if first {
		fmt.Fprintln(t, "device\tonline\tlast seen\ta minute\tfirst seen\tmeasurements")
	}
	for i := range page {
		p := &page[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(p.Device), yesNo(p.Online), ago(p.LastSeen, now), strconv.FormatFloat(p.Rate, 'g', 4, 64),
			moment(p.FirstSeen), printable(strings.Join(p.Measurements, ", ")))
	}
	return t.Flush()
}

// one shows a device.
func (d *deviceFlags) one(cmd *cobra.Command, c *client, name string) error {
	q := url.Values{}
	for name, text := range map[string]string{"bucket": d.bucket, "window": d.window} {
		if text != "" {
			q.Set(name, text)
		}
	}
	var answer struct{ Data json.RawMessage }
	if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/devices/"+url.PathEscape(name)+"?"+q.Encode(), nil, &answer); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if d.asJSON {
		_, err := fmt.Fprintln(out, string(answer.Data))
		return err
	}
	var p deviceInfo
	if err := json.Unmarshal(answer.Data, &p); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	now := time.Now()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "device\t%s\n", printable(p.Device))
	fmt.Fprintf(t, "online\t%s\n", yesNo(p.Online))
	if s := p.Connection; s != nil {
		fmt.Fprintf(t, "connected\t%s, since %s\n", yesNo(s.Online), moment(&s.Since))
	}
	fmt.Fprintf(t, "last seen\t%s, %s\n", moment(p.LastSeen), ago(p.LastSeen, now))
	fmt.Fprintf(t, "first seen\t%s\n", moment(p.FirstSeen))
	fmt.Fprintf(t, "points\t%d, %s a minute\n", p.Points, strconv.FormatFloat(p.Rate, 'g', 4, 64))
	if err := t.Flush(); err != nil {
		return err
	}
	t = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nmeasurement\ttags\tfield\tvalue\ttime")
	for i := range p.Series {
		s := &p.Series[i]
		var tags []string
		for _, k := range slices.Sorted(maps.Keys(s.Tags)) {
			tags = append(tags, k+"="+s.Tags[k])
		}
		for _, f := range slices.Sorted(maps.Keys(s.Fields)) {
			at := s.Fields[f].Time
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", printable(s.Measurement), printable(strings.Join(tags, " ")), printable(f), printable(string(s.Fields[f].Value)), moment(&at))
		}
	}
	if p.More {
		fmt.Fprintln(t, "…")
	}
	return t.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// moment writes a time in UTC; a device that only a broker knows has none.
func moment(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// ago writes how long ago a time was, in one unit.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	d, ahead := now.Sub(*t), ""
	if d < 0 {
		d, ahead = -d, "in "
	}
	text := ""
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		text = fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		text = fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h", d/time.Hour)
	default:
		text = fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	if ahead != "" {
		return ahead + text
	}
	return text + " ago"
}
