package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/export"
	"github.com/varvedb/varve/export/stream"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/server"
	"github.com/varvedb/varve/vfs"
)

// exportFlags say what to export, from where, to where and how.
type exportFlags struct {
	client       client
	bucket       string
	offline      string
	measurements []string
	start, stop  string
	tags         []string
	partition    string
	format       string
	compression  string
	timeUnit     string
	groupRows    int
	s3           export.S3Config
	s3Endpoint   string
}

func exportCommand() *cobra.Command {
	e := exportFlags{s3: export.DefaultS3()}
	d := export.Default(export.Parquet)
	cmd := &cobra.Command{
		Use:   "export DESTINATION",
		Short: "Write a bucket to files: Parquet, CSV or line protocol",
		Long: `export writes what a bucket holds, as of one moment, to a folder, to s3://BUCKET/PREFIX
or, with -, to standard output. The rows come from a server, or from a data folder
that no server uses (--offline).

Files lie in folders as Hive names them, such as
measurement=cpu/date=2026-01-02/part-0.parquet, which DuckDB, pandas and Spark
read as columns. Parquet has a column time (UTC), a column for each tag and one
for each field with its type. Spark needs --time-unit us. A file has its name
when it is complete, and _SUCCESS comes last.

S3 takes its credentials from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
AWS_SESSION_TOKEN, and its region and endpoint from AWS_REGION and
AWS_ENDPOINT_URL unless flags name them.`,
		Example: `  varve export --data-dir data out
  varve export --data-dir data -m cpu --start 2026-01-01 --stop 2026-02-01 --partition month january
  varve export --offline data --format lines backup
  varve export --url http://127.0.0.1:8000 -m cpu --start -1h --format csv --compression none - | head
  varve export --data-dir data --s3-endpoint http://127.0.0.1:9000 s3://backups/varve/today`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return e.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	e.client.flags(cmd, "service port of the server (default http://127.0.0.1:8000)")
	f.StringVar(&e.offline, "offline", "", "data folder to read without a server")
	f.StringVar(&e.bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.StringArrayVarP(&e.measurements, "measurement", "m", nil, "measurement; may be repeated (default: all)")
	f.StringVar(&e.start, "start", "", "first time (default: the first row)")
	f.StringVar(&e.stop, "stop", "", "time before which the export ends (default: behind the last row)")
	f.StringArrayVar(&e.tags, "tag", nil, "tag=value that rows must have; a tag that is repeated may have any of its values")
	f.StringVar(&e.partition, "partition", "", "day, month or none: what a file holds (default: day for parquet, else none)")
	f.StringVar(&e.format, "format", string(d.Format), "parquet, csv or lines (line protocol)")
	f.StringVar(&e.compression, "compression", "", "zstd, gzip, none or, of parquet, snappy (default: zstd, to standard output none)")
	f.StringVar(&e.timeUnit, "time-unit", string(d.TimeUnit), "unit of times in parquet: ns, us or ms")
	f.IntVar(&e.groupRows, "row-group", d.RowGroupRows, "most rows of a row group of parquet")
	f.StringVar(&e.s3Endpoint, "s3-endpoint", "", "URL of the S3 service (default: AWS_ENDPOINT_URL, else Amazon's)")
	f.StringVar(&e.s3.Region, "s3-region", "", "region of the bucket (default: AWS_REGION, else "+e.s3.Region+")")
	return cmd
}

func (e *exportFlags) run(cmd *cobra.Command, to string) (err error) {
	r, err := e.request()
	if err != nil {
		return err
	}
	c := export.Default(export.Format(e.format))
	c.TimeUnit, c.RowGroupRows = export.TimeUnit(e.timeUnit), e.groupRows
	switch {
	case e.compression != "":
		c.Compression = export.Compression(e.compression)
	case to == "-":
		c.Compression = export.Plain
	}
	if err := c.Validate(); err != nil {
		return err
	}
	dst, err := e.destination(to, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	src, finish, err := e.source(cmd, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, finish()) }()

	began := time.Now()
	p := newProgressLine(cmd.ErrOrStderr(), time.Now)
	c.Progress = func(done export.Report) {
		p.show(func() string {
			return fmt.Sprintf("%d rows, %d files, %d MB written, %.0f rows/s", done.Rows, done.Files,
				done.Bytes/1e6, float64(done.Rows)/time.Since(began).Seconds())
		})
	}
	report, err := export.Run(cmd.Context(), src, r, dst, c)
	p.end()
	took := time.Since(began)
	fmt.Fprintf(cmd.ErrOrStderr(), "%d rows with %d values in %d files of %d bytes in %s (%.0f rows/s)\n",
		report.Rows, report.Values, report.Files, report.Bytes, took.Round(time.Millisecond), float64(report.Rows)/took.Seconds())
	if err != nil && to != "-" {
		return fmt.Errorf("the export to %s is not complete: %w", to, err)
	}
	return err
}

// request compiles the flags. Times are read here for an offline export; a
// server reads them itself.
func (e *exportFlags) request() (*stream.Request, error) {
	r := stream.Whole()
	var err error
	if e.start != "" {
		if r.Start, err = httpapi.ParseInstant(e.start, time.Now()); err != nil {
			return nil, fmt.Errorf("--start: %w", err)
		}
	}
	if e.stop != "" {
		if r.Stop, err = httpapi.ParseInstant(e.stop, time.Now()); err != nil {
			return nil, fmt.Errorf("--stop: %w", err)
		}
	}
	filters, err := parseTags(e.tags)
	if err != nil {
		return nil, err
	}
	for tag, values := range filters {
		r.Tags = predicate.All(r.Tags, predicate.OneOf(tag, values.([]string)...))
	}
	r.Measurements = e.measurements
	r.Partition = stream.Partition(e.partition)
	if r.Partition == "" {
		r.Partition = stream.None
		if e.format == string(export.Parquet) {
			r.Partition = stream.Day
		}
	}
	if err := r.Partition.Validate(); err != nil {
		return nil, fmt.Errorf("--partition: %w", err)
	}
	return &r, nil
}

// source returns where rows come from and what to do at the end.
func (e *exportFlags) source(cmd *cobra.Command, r *stream.Request) (export.Source, func() error, error) {
	if e.offline != "" {
		if err := server.HasStore(e.offline); err != nil {
			return nil, nil, fmt.Errorf("--offline: %w", err)
		}
		c := server.Default()
		c.DataDir, c.LogLevel = e.offline, "warn"
		c.AdminToken = os.Getenv("VARVE_ADMIN_TOKEN")
		o, err := server.OpenOffline(cmd.Context(), c, cmd.ErrOrStderr(), cmd.ErrOrStderr())
		if err != nil {
			return nil, nil, err
		}
		b, err := o.Bucket(e.bucket)
		if err != nil {
			return nil, nil, errors.Join(err, o.Close())
		}
		return b, o.Close, nil
	}
	if err := e.client.resolve(func(a server.Addresses) string { return a.Service }, server.Default().ServiceAddr); err != nil {
		return nil, nil, err
	}
	filters := make(map[string][]string)
	for _, t := range e.tags {
		k, v, _ := strings.Cut(t, "=") // request checked it
		filters[k] = append(filters[k], v)
	}
	return export.NewRemote(export.RemoteConfig{
		URL: e.client.url, Token: e.client.token, Client: e.client.http,
		Bucket: e.bucket, Start: e.start, Stop: e.stop, Filters: filters,
	}), func() error { return nil }, nil
}

// destination finds out what to means.
func (e *exportFlags) destination(to string, out io.Writer) (export.Destination, error) {
	if to == "-" {
		if e.format == string(export.Parquet) {
			return nil, fmt.Errorf("standard output takes --format csv or lines; parquet goes to a folder or s3://BUCKET/PREFIX")
		}
		return export.NewOutput(out), nil
	}
	rest, ok := strings.CutPrefix(to, "s3://")
	if !ok {
		return export.NewFolder(vfs.OS{}, to), nil
	}
	c := e.s3
	c.Bucket, c.Prefix, _ = strings.Cut(rest, "/")
	if c.Bucket == "" {
		return nil, fmt.Errorf("%s: want s3://BUCKET/PREFIX", to)
	}
	c.AccessKey, c.SecretKey, c.Session = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")
	if c.Region == "" {
		c.Region = os.Getenv("AWS_REGION")
	}
	if c.Region == "" {
		c.Region = export.DefaultS3().Region
	}
	endpoint := e.s3Endpoint
	if endpoint == "" {
		endpoint = os.Getenv("AWS_ENDPOINT_URL")
	}
	switch {
	case strings.HasPrefix(endpoint, "http://"):
		c.Endpoint, c.Insecure = strings.TrimPrefix(endpoint, "http://"), true
	case strings.HasPrefix(endpoint, "https://"):
		c.Endpoint = strings.TrimPrefix(endpoint, "https://")
	case endpoint != "":
		return nil, fmt.Errorf("--s3-endpoint %q: want a URL, as http://127.0.0.1:9000", endpoint)
	}
	c.Endpoint = strings.TrimRight(c.Endpoint, "/")
	return export.NewS3(c)
}
