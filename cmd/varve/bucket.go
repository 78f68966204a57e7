package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/config"
)

// bucket is one as /api/v2/buckets has it.
type bucket struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	RetentionRules []rule `json:"retentionRules"`
	Compression    string `json:"compression"`
}

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

// bucketKind is what the API says about all buckets.
func bucketKind() kind[bucket] {
	return kind[bucket]{
		noun: "bucket", path: "/api/v2/buckets", key: "buckets", paged: true,
		id:   func(b *bucket) string { return b.ID },
		name: func(b *bucket) string { return b.Name },
		head: []string{"name", "id", "retention", "partition", "compression", "description"},
	}
}

// bucketNames lists the buckets of a server.
func bucketNames(ctx context.Context, c *client, begun string) ([]string, error) {
	k := bucketKind()
	return k.completions(ctx, c, begun)
}

// findBucket finds a bucket of an organisation by name or id.
func findBucket(ctx context.Context, c *client, orgID, ref string) (bucket, error) {
	k := bucketKind()
	b, err := k.find(ctx, c, ref, url.Values{"orgID": {orgID}})
	if err != nil {
		return bucket{}, err
	}
	return b.known, nil
}

// bucketCommands is what the commands below varve bucket share.
type bucketCommands struct{ managed[bucket] }

func bucketCommand() *cobra.Command {
	b := &bucketCommands{managed[bucket]{kind: bucketKind(), rows: plain(bucketRow)}}
	return b.below(&cobra.Command{
		Use:   "bucket",
		Short: "List, make, change and delete buckets",
		Long: `bucket manages the buckets of a server over its points port. A bucket holds
points and says how long they are kept. It is named by its name or its id.`,
		Example: `  varve bucket list --data-dir data
  varve bucket create --data-dir data sensors --retention 30d`,
	}, b.listCommand(true, "List buckets with what is in force for them", `  varve bucket list --data-dir data
  varve bucket list --url http://127.0.0.1:8086 --token TOKEN --json`), b.createCommand(), b.getCommand(), b.configCommand(), b.updateCommand(),
		b.deleteCommand("BUCKET", "Delete a bucket with all its points", " with all its points", "  varve bucket delete --data-dir data --yes sensors"))
}

func bucketRow(b *bucket) []string {
	retention, partition := b.settings()
	return []string{b.Name, b.ID, retention, partition, b.Compression, b.Description}
}

func (b *bucketCommands) createCommand() *cobra.Command {
	var s bucketFlags
	var ref reference
	var org string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a bucket",
		Example: `  varve bucket create --data-dir data sensors --retention 30d
  varve bucket create --data-dir data archive --compression best --partition 30d --description "from the old system"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := s.body(cmd)
			if err != nil {
				return err
			}
			if body["name"], err = ref.of(cmd, "bucket", args); err != nil {
				return err
			}
			return b.make(cmd, org, body)
		},
	}
	s.flags(cmd)
	ref.nameFlag(cmd)
	b.orgFlag(cmd, &org)
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
			return b.showOne(cmd, one)
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
			if err := b.client.call(cmd.Context(), http.MethodGet, b.kind.path+"/"+one.known.ID+"/config", nil, &answer); err != nil {
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
	var ref reference
	cmd := &cobra.Command{
		Use:   "update BUCKET",
		Short: "Change a bucket",
		Long: `update changes what is given and leaves the rest as it is. A shorter retention
removes older points; a longer one does not bring them back.`,
		Example: `  varve bucket update --data-dir data sensors --retention 90d
  varve bucket update --data-dir data sensors --name probes --compression best`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := s.body(cmd)
			if err != nil {
				return err
			}
			return b.change(cmd, &ref, args, body)
		},
	}
	s.flags(cmd)
	ref.flags(cmd, false)
	cmd.Flags().StringVarP(&s.name, "name", "n", "", "new name")
	return cmd
}

// bucketFlags are the settings of a bucket.
type bucketFlags struct {
	retention, partition, compression, description, name string
}

// compressions are the levels that the server knows.
func compressions() []string { return []string{"none", "fast", "balanced", "best"} }

func (s *bucketFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&s.retention, "retention", "r", "0", "how long points are kept, such as 72h, 30d, 52w; 0: for ever")
	f.StringVar(&s.partition, "partition", "0", "length of new partitions, such as 1d; 0: derived from the retention")
	f.StringVar(&s.compression, "compression", "", "level of new segments: "+strings.Join(compressions(), ", "))
	f.StringVarP(&s.description, "description", "d", "", "a remark for people")
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
	if given("name") {
		body["name"] = s.name
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
