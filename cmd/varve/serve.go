package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

func serveCommand() *cobra.Command {
	c := server.Default()
	retention, memory, body, future := "0", "0", byteSize(c.MaxBody), "0"
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `serve runs the server until it gets SIGINT or SIGTERM.

The first start makes an organisation, a bucket and an admin token. The token is
printed once, and kept in the file admin-token of the data folder, readable by
the owner alone. VARVE_ADMIN_TOKEN is taken instead if it is set, at a later start
too, and is not written to a file.

Writes are acknowledged when they are on disk. Both ports listen on loopback
unless told otherwise.`,
		Example: `  varve serve
  varve serve --data-dir ./data --init-org acme --init-bucket sensors --init-retention 30d
  varve serve --http-addr 0.0.0.0:8086 --memory-limit 2GiB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.InitRetention, err = parseSpan(retention); err != nil {
				return fmt.Errorf("--init-retention: %w", err)
			}
			if c.Memory, err = parseBytes(memory); err != nil {
				return fmt.Errorf("--memory-limit: %w", err)
			}
			if c.MaxBody, err = parseBytes(body); err != nil {
				return fmt.Errorf("--max-body: %w", err)
			}
			if c.MaxFuture, err = parseSpan(future); err != nil {
				return fmt.Errorf("--ingest-max-future: %w", err)
			}
			c.AdminToken = os.Getenv("VARVE_ADMIN_TOKEN")
			c.Version, c.Commit, _ = build()
			return server.Run(cmd.Context(), c, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.DataDir, "data-dir", c.DataDir, "folder that holds everything")
	f.StringVar(&c.HTTPAddr, "http-addr", c.HTTPAddr, "where InfluxDB clients write; port 0 takes any")
	f.StringVar(&c.ServiceAddr, "service-addr", c.ServiceAddr, "where questions are asked; port 0 takes any")
	f.StringVar(&c.InitOrg, "init-org", c.InitOrg, "organisation that the first start makes")
	f.StringVar(&c.InitBucket, "init-bucket", c.InitBucket, "bucket that the first start makes")
	f.StringVar(&retention, "init-retention", retention, "how long that bucket keeps data, such as 72h, 30d, 52w; 0: for ever")
	f.StringVar(&c.ServiceAuth, "service-auth", c.ServiceAuth, "token, or none (on loopback only)")
	f.StringVar(&memory, "memory-limit", memory, "target for the process, such as 512MiB or 4GiB; 0: half of the machine's")
	f.IntVar(&c.Shards, "shards", c.Shards, "shards of a new store; fixed once it is made")
	f.StringVar(&body, "max-body", body, "largest body of a write after decompression")
	f.StringVar(&future, "ingest-max-future", future, "how far ahead of the clock a point may be, such as 10m or 1d; 0: any distance")
	f.IntVar(&c.MaxColumns, "schema-max-columns", c.MaxColumns, "most tags and fields of a measurement")
	f.DurationVar(&c.StopTimeout, "stop-timeout", c.StopTimeout, "how long requests may take to end at a stop")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "text or json")
	return cmd
}

// parseBytes reads a size such as 1048576, 64KiB, 512MB or 2GiB.
func parseBytes(s string) (int64, error) {
	number := strings.TrimRight(s, "BKMGTibkmgt ")
	n, err := strconv.ParseFloat(number, 64)
	unit := strings.ToLower(strings.TrimSpace(s[len(number):]))
	factor, ok := map[string]float64{
		"": 1, "b": 1,
		"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}[unit]
	if err != nil || !ok || n < 0 || n*factor > 1<<62 {
		return 0, fmt.Errorf("%q is not a size such as 512MiB", s)
	}
	return int64(n * factor), nil
}

// byteSize renders a size so that parseBytes reads it.
func byteSize(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseSpan reads a duration that may have days and weeks besides Go's units.
func parseSpan(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	for suffix, day := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			if err == nil && n > 0 && n <= int64((1<<63-1)/day) {
				return time.Duration(n) * day, nil
			}
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 72h, 30d or 52w", s)
	}
	return d, nil
}
