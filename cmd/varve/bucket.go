package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/config"
	"github.com/varvedb/varve/server"
)

// bucket is one as /api/v2/buckets has it.
type bucket struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	RetentionRules []rule `json:"retentionRules"`
	Compression    string `json:"compression"`

	whole json.RawMessage // all that the server says about it
}

// UnmarshalJSON keeps what it does not know.
func (b *bucket) UnmarshalJSON(text []byte) error {
	type plain bucket
	err := json.Unmarshal(text, (*plain)(b))
	b.whole = append(json.RawMessage(nil), text...)
	return err
}

// MarshalJSON gives back what was read.
func (b *bucket) MarshalJSON() ([]byte, error) { return b.whole, nil }

type rule struct {
	Type             string `json:"type"`
	EverySeconds     int64  `json:"everySeconds"`
	PartitionSeconds int64  `json:"shardGroupDurationSeconds,omitempty"`
}

// settings returns what is in force, as people write it.
func (b *bucket) settings() (retention, partition string) {
	retention = "for ever"
	for _, r := range b.RetentionRules {
		if r.EverySeconds > 0 {
			retention = seconds(r.EverySeconds)
		}
		if r.PartitionSeconds > 0 {
			partition = seconds(r.PartitionSeconds)
		}
	}
	return retention, partition
}

func seconds(n int64) string { return config.FormatSpan(time.Duration(n) * time.Second) }

// bucketsPath is where buckets are kept.
const bucketsPath = "/api/v2/buckets"

// bucketCommands is what the commands below varve bucket share.
type bucketCommands struct {
	client client
	json   bool
}

func bucketCommand() *cobra.Command {
	var b bucketCommands
	cmd := &cobra.Command{
		Use:   "bucket",
		Short: "List, make, change and delete buckets",
		Long: `bucket manages the buckets of a server over its points port. A bucket holds
points and says how long they are kept. It is named by its name or its id.`,
		Example: `  varve bucket list --data-dir data
  varve bucket create --data-dir data sensors --retention 30d`,
	}
	cmd.AddCommand(b.listCommand(), b.createCommand(), b.getCommand(), b.configCommand(), b.updateCommand(), b.deleteCommand())
	for _, c := range cmd.Commands() {
		b.client.flags(c, "points port of the server (default http://127.0.0.1:8086)")
		if c.Name() != "list" && c.Name() != "create" {
			names := asked(&b.client, pointsPort, server.Default().HTTPAddr, bucketNames)
			c.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return names(cmd, args, begun)
			}
		}
		if c.Name() != "delete" {
			c.Flags().BoolVar(&b.json, "json", false, "print the server's JSON")
		}
	}
	return cmd
}

func (b *bucketCommands) resolve() error {
	return b.client.resolve(pointsPort, server.Default().HTTPAddr)
}

func (b *bucketCommands) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List buckets with what is in force for them",
		Example: `  varve bucket list --data-dir data
  varve bucket list --url http://127.0.0.1:8086 --token TOKEN --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.resolve(); err != nil {
				return err
			}
			all, err := allBuckets(cmd.Context(), &b.client)
			if err != nil {
				return err
			}
			return b.show(cmd.OutOrStdout(), all)
		},
	}
}

func (b *bucketCommands) createCommand() *cobra.Command {
	var s bucketFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a bucket",
		Example: `  varve bucket create --data-dir data sensors --retention 30d
  varve bucket create --data-dir data archive --compression best --partition 30d --description "from the old system"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := s.body(cmd)
			if err != nil {
				return err
			}
			body["name"] = args[0]
			if s.org != "" {
				body["org"] = s.org
			}
			if err := b.resolve(); err != nil {
				return err
			}
			var made bucket
			if err := b.client.call(cmd.Context(), http.MethodPost, bucketsPath, body, &made); err != nil {
				return err
			}
			return b.showOne(cmd.OutOrStdout(), &made)
		},
	}
	s.add(cmd)
	cmd.Flags().StringVar(&s.org, "org", "", "organisation (default: the token's)")
	return cmd
}

func (b *bucketCommands) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "get BUCKET",
		Short:   "Show a bucket",
		Example: "  varve bucket get --data-dir data sensors",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			one, err := b.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return b.showOne(cmd.OutOrStdout(), one)
		},
	}
}

func (b *bucketCommands) configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config BUCKET",
		Short: "Show what is in force for a bucket, and why",
		Long: `config shows retention, partition length and compression level that are in force
for a bucket, and where each comes from: the bucket, the retention, or a default.`,
		Example: "  varve bucket config --data-dir data sensors",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			one, err := b.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var answer json.RawMessage
			if err := b.client.call(cmd.Context(), http.MethodGet, bucketsPath+"/"+one.ID+"/config", nil, &answer); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if b.json {
				return printJSON(out, answer)
			}
			type span struct {
				Seconds int64
				From    string
			}
			var c struct {
				Retention, Partition span
				Compression          struct{ Level, From string }
				KeepsFrom            *time.Time
			}
			if err := json.Unmarshal(answer, &c); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
			keeps := "for ever"
			if c.Retention.Seconds > 0 {
				keeps = seconds(c.Retention.Seconds)
			}
			t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintf(t, "retention\t%s\t# %s\n", keeps, c.Retention.From)
			fmt.Fprintf(t, "partition\t%s\t# %s\n", seconds(c.Partition.Seconds), c.Partition.From)
			fmt.Fprintf(t, "compression\t%s\t# %s\n", c.Compression.Level, c.Compression.From)
			if c.KeepsFrom != nil {
				fmt.Fprintf(t, "keeps from\t%s\n", c.KeepsFrom.Format(time.RFC3339))
			}
			return t.Flush()
		},
	}
}

func (b *bucketCommands) updateCommand() *cobra.Command {
	var s bucketFlags
	cmd := &cobra.Command{
		Use:   "update BUCKET",
		Short: "Change a bucket",
		Long: `update changes what is given and leaves the rest as it is. A shorter retention
removes older points; a longer one does not bring them back.`,
		Example: `  varve bucket update --data-dir data sensors --retention 90d
  varve bucket update --data-dir data sensors --name probes --compression best`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := s.body(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("name") {
				body["name"] = s.name
			}
			if len(body) == 0 {
				return &exitError{wrongUsage, errors.New("nothing to change is given; see varve bucket update --help")}
			}
			one, err := b.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var changed bucket
			if err := b.client.call(cmd.Context(), http.MethodPatch, bucketsPath+"/"+one.ID, body, &changed); err != nil {
				return err
			}
			return b.showOne(cmd.OutOrStdout(), &changed)
		},
	}
	s.add(cmd)
	cmd.Flags().StringVar(&s.name, "name", "", "new name")
	return cmd
}

func (b *bucketCommands) deleteCommand() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:     "delete BUCKET",
		Short:   "Delete a bucket with all its points",
		Example: "  varve bucket delete --data-dir data --yes sensors",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := confirm(cmd, args[0]); err != nil {
					return err
				}
			}
			one, err := b.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := b.client.call(cmd.Context(), http.MethodDelete, bucketsPath+"/"+one.ID, nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "bucket %s (%s) deleted\n", one.Name, one.ID)
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirm asks at a terminal whether a bucket shall go.
func confirm(cmd *cobra.Command, name string) error {
	if in, ok := cmd.InOrStdin().(*os.File); !ok || !isTerminal(in) {
		return &exitError{wrongUsage, fmt.Errorf("bucket %s would be deleted with all its points; say --yes", name)}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Delete bucket %s with all its points? Type its name: ", name)
	text, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil || strings.TrimSpace(text) != name {
		return errors.New("nothing was deleted")
	}
	return nil
}

// bucketFlags are the settings of a bucket.
type bucketFlags struct {
	retention, partition, compression, description string
	name, org                                      string
}

// compressions are the levels that the server knows.
func compressions() []string { return []string{"none", "fast", "balanced", "best"} }

func (s *bucketFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.retention, "retention", "0", "how long points are kept, such as 72h, 30d, 52w; 0: for ever")
	f.StringVar(&s.partition, "partition", "0", "length of new partitions, such as 1d; 0: derived from the retention")
	f.StringVar(&s.compression, "compression", "", "level of new segments: "+strings.Join(compressions(), ", "))
	f.StringVar(&s.description, "description", "", "a remark for people")
	must(cmd.RegisterFlagCompletionFunc("compression", words(compressions())))
}

// body makes a request of what was given.
func (s *bucketFlags) body(cmd *cobra.Command) (map[string]any, error) {
	body := make(map[string]any)
	given := cmd.Flags().Changed
	if given("retention") {
		n, err := wholeSeconds("--retention", s.retention)
		if err != nil {
			return nil, err
		}
		body["retentionRules"] = []rule{{Type: "expire", EverySeconds: n}}
	}
	if given("partition") {
		n, err := wholeSeconds("--partition", s.partition)
		if err != nil {
			return nil, err
		}
		body["partitionSeconds"] = n
	}
	if given("compression") {
		body["compression"] = s.compression
	}
	if given("description") {
		body["description"] = s.description
	}
	return body, nil
}

func wholeSeconds(flag, text string) (int64, error) {
	d, err := config.ParseSpan(text)
	if err != nil {
		return 0, &exitError{wrongUsage, fmt.Errorf("%s %w", flag, err)}
	}
	if d%time.Second != 0 {
		return 0, &exitError{wrongUsage, fmt.Errorf("%s %q: want whole seconds", flag, text)}
	}
	return int64(d / time.Second), nil
}

// find finds the bucket that ref, a name or an id, means.
func (b *bucketCommands) find(ctx context.Context, ref string) (*bucket, error) {
	if err := b.resolve(); err != nil {
		return nil, err
	}
	all, err := allBuckets(ctx, &b.client)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.ID == ref {
			return one, nil
		}
	}
	var names []string
	for _, one := range all {
		if one.Name == ref {
			return one, nil
		}
		names = append(names, one.Name)
	}
	if near := config.Nearest(ref, names); near != "" {
		return nil, fmt.Errorf("bucket %s not found; did you mean %s?", ref, near)
	}
	return nil, fmt.Errorf("bucket %s not found; there are: %s", ref, enumerate(names))
}

// bucketPage is how many buckets are asked for at once, the most that the API
// gives.
const bucketPage = 100

// allBuckets returns the buckets that the token may read.
func allBuckets(ctx context.Context, c *client) ([]*bucket, error) {
	all := []*bucket{}
	for {
		var page struct{ Buckets []*bucket }
		q := url.Values{"limit": {strconv.Itoa(bucketPage)}}
		if len(all) > 0 {
			q.Set("after", all[len(all)-1].ID)
		}
		if err := c.call(ctx, http.MethodGet, bucketsPath+"?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Buckets...)
		if len(page.Buckets) < bucketPage {
			return all, nil
		}
	}
}

// showOne shows the bucket that the server answered with.
func (b *bucketCommands) showOne(out io.Writer, one *bucket) error {
	if b.json {
		return printJSON(out, one)
	}
	return b.show(out, []*bucket{one})
}

// show prints buckets as a table, or what the server says.
func (b *bucketCommands) show(out io.Writer, buckets []*bucket) error {
	if b.json {
		return printJSON(out, buckets)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "name\tid\tretention\tpartition\tcompression\tdescription")
	for _, one := range buckets {
		retention, partition := one.settings()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(one.Name), one.ID, retention, partition, one.Compression, printable(one.Description))
	}
	return t.Flush()
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
