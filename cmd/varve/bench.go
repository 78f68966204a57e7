package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/varvedb/varve/bench"
	"github.com/varvedb/varve/bench/fleet"
	"github.com/varvedb/varve/config"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure servers: this one, and others that speak the same APIs",
	}
	cmd.AddCommand(benchWriteCommand(), benchRemoteWriteCommand(), benchMQTTCommand(), benchKafkaCommand(), benchBrokerCommand(), benchQueryCommand(), benchAnomalyCommand())
	return cmd
}

// fleetFlags are the flags of a simulated fleet. Its defaults depend on its
// kind, which is a flag itself; so what was given is laid over them later.
type fleetFlags struct {
	kind, start   string
	devices       int
	interval      time.Duration
	seed          uint64
	late          float64
	maxLateness   time.Duration
	missingRows   float64
	missingFields float64
}

func (ff *fleetFlags) add(f *pflag.FlagSet) {
	f.StringVar(&ff.kind, "fleet", string(fleet.Host), "host, truck or meter")
	f.IntVar(&ff.devices, "devices", 0, "number of devices (default: the fleet's own)")
	f.StringVar(&ff.start, "start", "", "time of the first rows, RFC 3339 (default 2024-01-01T00:00:00Z)")
	f.DurationVar(&ff.interval, "interval", 0, "time between two rows of a device (default 10s)")
	f.Uint64Var(&ff.seed, "seed", 0, "seed of the data")
}

func (ff *fleetFlags) addGaps(f *pflag.FlagSet) {
	f.Float64Var(&ff.late, "late", 0, "share of rows that come late, 0 to 1")
	f.DurationVar(&ff.maxLateness, "max-lateness", 0, "how late at most")
	f.Float64Var(&ff.missingRows, "missing-rows", 0, "share of rows that never come")
	f.Float64Var(&ff.missingFields, "missing-fields", 0, "share of fields that a row lacks")
}

func (ff *fleetFlags) config(f *pflag.FlagSet) (fleet.Config, error) {
	kind := fleet.Kind(ff.kind)
	switch kind {
	case fleet.Host, fleet.Truck, fleet.Meter:
	default:
		return fleet.Config{}, fmt.Errorf("--fleet %q: want host, truck or meter", ff.kind)
	}
	c := fleet.Default(kind)
	if f.Changed("devices") {
		c.Devices = ff.devices
	}
	if f.Changed("start") {
		at, err := time.Parse(time.RFC3339Nano, ff.start)
		if err != nil {
			return c, fmt.Errorf("--start %q: want RFC 3339, such as 2024-01-01T00:00:00Z", ff.start)
		}
		c.Start = at
	}
	if f.Changed("interval") {
		c.Interval = ff.interval
	}
	if f.Changed("seed") {
		c.Seed = ff.seed
	}
	if f.Changed("late") {
		c.LateFraction = ff.late
	}
	if f.Changed("max-lateness") {
		c.MaxLateness = ff.maxLateness
	}
	if f.Changed("missing-rows") {
		c.MissingRows = ff.missingRows
	}
	if f.Changed("missing-fields") {
		c.MissingFields = ff.missingFields
	}
	return c, nil
}

func benchWriteCommand() *cobra.Command {
	c := bench.DefaultWrite(fleet.Host)
	var ff fleetFlags
	var urls, dirs []string
	var pids []int
	var t bench.Target
	var api, pool string
	cmd := &cobra.Command{
		Use:   "write",
		Short: "Write a simulated fleet as fast as servers take it",
		Long: `write renders a fleet beforehand, sends it, and reports rows, values and bytes
per second, latencies, failures by reason, and its own use of the processor.
With --server-pid and --server-dir it reports those servers' processor time,
memory and disk as well. Below the figures it says what limited them and what
would raise them; --try measures some of that.`,
		Example: `  varve bench write --token $(cat data/admin-token) --duration 30s
  varve bench write --token $(cat data/admin-token) --body-lines 100 --duration 10s --try 5s
  varve bench write --fleet truck --workers 4 --rows 5000000 --gzip
  varve bench write --url http://127.0.0.1:8428 --api v1 --server-pid $(pidof victoria-metrics)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Fleet, err = ff.config(cmd.Flags()); err != nil {
				return err
			}
			if c.PoolBytes, err = config.ParseSize(pool); err != nil {
				return fmt.Errorf("--pool: %w", err)
			}
			if cmd.Flags().Changed("rows") && !cmd.Flags().Changed("duration") {
				c.Duration = 0
			}
			t.API = bench.WriteAPI(api)
			t.Token = tokenOr(t.Token)
			for i, url := range urls {
				one := t
				one.URL = url
				if i < len(pids) {
					one.PID = pids[i]
				}
				if i < len(dirs) {
					one.DataDir = dirs[i]
				}
				c.Targets = append(c.Targets, one)
			}
			if err := c.Validate(); err != nil {
				return err
			}
			_, err = bench.RunWrite(cmd.Context(), c, cmd.OutOrStdout())
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&urls, "url", []string{"http://127.0.0.1:8086"}, "server to write to; may be repeated")
	f.StringVar(&api, "api", string(bench.V2), "v2, or v1 with a database")
	f.StringVar(&t.Org, "org", "", "organisation (v2; default: the token's)")
	f.StringVar(&t.Bucket, "bucket", "", "bucket (v2; default: the token's)")
	f.StringVar(&t.Database, "db", "bench", "database (v1)")
	f.StringVar(&t.Token, "token", "", "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN")
	f.IntSliceVar(&pids, "server-pid", nil, "process of each server on this machine, in the order of the URLs")
	f.StringArrayVar(&dirs, "server-dir", nil, "data folder of each server on this machine, in the order of the URLs")
	ff.add(f)
	ff.addGaps(f)
	f.IntVar(&c.Workers, "workers", c.Workers, "connections, each with one request at a time")
	f.IntVar(&c.BodyLines, "body-lines", c.BodyLines, "lines of a request")
	f.Int64Var(&c.Rows, "rows", c.Rows, "rows to send (default: as many as fit into --duration)")
	f.DurationVar(&c.Duration, "duration", c.Duration, "how long to send")
	f.BoolVar(&c.Gzip, "gzip", c.Gzip, "compress bodies")
	f.Float64Var(&c.RowsPerSecond, "rate", c.RowsPerSecond, "rows per second; 0: as fast as possible")
	f.StringVar(&pool, "pool", config.FormatSize(c.PoolBytes), "memory of bodies rendered beforehand")
	f.DurationVar(&c.RequestTimeout, "request-timeout", c.RequestTimeout, "limit of one request")
	f.IntVar(&c.MaxRetries, "max-retries", c.MaxRetries, "how often a body is sent again")
	f.DurationVar(&c.Trial, "try", 0, "then try, for so long each, more workers, longer bodies and the other choice of --gzip")
	f.BoolVar(&c.JSON, "json", false, "report in JSON")
	return cmd
}

func benchQueryCommand() *cobra.Command {
	c := bench.DefaultQuery()
	var ff fleetFlags
	var urls, apis, buckets, databases, tokens, shapes []string
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Ask servers the same questions about a fleet and compare the answers",
		Long: `query asks about a host fleet that "varve bench write" wrote with the same
--devices, --start, --interval and --seed, and reports latencies by shape of
question. With several --url the answers of all are compared with those of the
first. --api, --bucket, --db and --token go with the URLs by their order; the
last holds for the rest.`,
		Example: `  varve bench query --token $(cat data/admin-token) --rows 1000000
  varve bench query --url http://127.0.0.1:8000 --api varve --url http://127.0.0.1:8428 --api victoria --rows 1000000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Fleet, err = ff.config(cmd.Flags()); err != nil {
				return err
			}
			for i, url := range urls {
				c.Targets = append(c.Targets, bench.QueryTarget{
					URL: url, API: bench.QueryAPI(nth(apis, i)), Bucket: nth(buckets, i),
					Database: nth(databases, i), Token: tokenOr(nth(tokens, i)),
				})
			}
			if len(shapes) > 0 {
				c.Shapes = nil
				for _, s := range shapes {
					c.Shapes = append(c.Shapes, bench.Shape(s))
				}
			}
			if err := c.Validate(); err != nil {
				return err
			}
			_, err = bench.RunQuery(cmd.Context(), c, cmd.OutOrStdout())
			return err
		},
	}
	var names []string
	for _, s := range bench.Shapes() {
		names = append(names, string(s))
	}
	f := cmd.Flags()
	f.StringArrayVar(&urls, "url", []string{"http://127.0.0.1:8000"}, "server to ask; may be repeated")
	f.StringArrayVar(&apis, "api", []string{string(bench.Varve)}, "varve, victoria, influx or flux")
	f.StringArrayVar(&buckets, "bucket", nil, "bucket (varve, default: the token's; flux, default: \"default\")")
	f.StringArrayVar(&databases, "db", []string{"bench"}, "database (influx)")
	f.StringArrayVar(&tokens, "token", nil, "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN")
	ff.add(f)
	f.Int64Var(&c.Rows, "rows", c.Rows, "how many rows of the fleet were written")
	f.StringArrayVar(&shapes, "shape", nil, "question to ask: "+strings.Join(names, ", ")+" (default: all)")
	f.IntVar(&c.Repeat, "repeat", c.Repeat, "timed questions of each shape")
	f.IntVar(&c.Warm, "warm", c.Warm, "questions before those")
	f.DurationVar(&c.TimeLimit, "time-limit", c.TimeLimit, "end a shape after this time")
	f.IntVar(&c.Clients, "clients", c.Clients, "questions at a time")
	f.IntVar(&c.Check, "check", c.Check, "questions of each shape whose answers are compared")
	f.Float64Var(&c.Above, "above", c.Above, "bound of shape field-above")
	f.DurationVar(&c.RequestTimeout, "request-timeout", c.RequestTimeout, "limit of one question")
	f.BoolVar(&c.JSON, "json", false, "report in JSON")
	return cmd
}

// nth returns element i of list, or the last one, or nothing.
func nth(list []string, i int) string {
	if len(list) == 0 {
		return ""
	}
	return list[min(i, len(list)-1)]
}
