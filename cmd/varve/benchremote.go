package main

import (
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/bench"
)

func benchRemoteWriteCommand() *cobra.Command {
	c := bench.DefaultRemoteWrite()
	cmd := &cobra.Command{
		Use:   "remote-write",
		Short: "Write as Prometheus does, as fast as a server takes it",
		Long: `remote-write sends what a Prometheus would that scrapes many machines, by remote
write 1.0 or 2.0, and reports samples per second, latencies, failures by reason,
and its own use of the processor; with --server-pid that of the server too.`,
		Example: `  varve bench remote-write --token $(cat data/admin-token)
  varve bench remote-write --protocol 2 --series 1000000 --batch 2000 --workers 8 --duration 30s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Target.Token = tokenOr(c.Target.Token)
			if err := c.Validate(); err != nil {
				return err
			}
			_, err := bench.RunRemoteWrite(cmd.Context(), c, cmd.OutOrStdout())
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Target.URL, "url", "http://127.0.0.1:8086", "server to write to")
	f.StringVar(&c.Path, "path", c.Path, "path of its endpoint")
	f.StringVar(&c.Target.Org, "org", "", "organisation (default: the token's)")
	f.StringVar(&c.Target.Bucket, "bucket", "", "bucket (default: the token's)")
	f.StringVar(&c.Target.Token, "token", "", "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN")
	f.IntVar(&c.Target.PID, "server-pid", 0, "process of the server, if it is on this machine")
	f.IntVar(&c.Load.Version, "protocol", c.Load.Version, "version of remote write: 1 or 2")
	f.IntVar(&c.Load.Series, "series", c.Load.Series, "number of series")
	f.IntVar(&c.Load.Metrics, "metrics", c.Load.Metrics, "number of metrics; a machine has a series of each")
	f.IntVar(&c.Load.Batch, "batch", c.Load.Batch, "samples of a request, of as many series")
	f.DurationVar(&c.Load.Interval, "interval", c.Load.Interval, "time between two samples of a series")
	f.IntVar(&c.Workers, "workers", c.Workers, "connections, each with one request at a time")
	f.DurationVar(&c.Duration, "duration", c.Duration, "how long to send")
	f.DurationVar(&c.RequestTimeout, "request-timeout", c.RequestTimeout, "limit of one request")
	f.BoolVar(&c.JSON, "json", false, "report in JSON")
	return cmd
}
