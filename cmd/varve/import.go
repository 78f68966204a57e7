package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/server"
)

// importFlags are where an import goes to and how much may be wrong.
type importFlags struct {
	client  client
	org     string
	bucket  string
	offline string
	maxBad  int64
}

func importCommand() *cobra.Command {
	var im importFlags
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Bring files in: line protocol or CSV",
		Long: `import writes a file to a server, or straight into a data folder that no
server uses (--offline). Files that end in .gz or .zst are decompressed; - is
standard input. A row that cannot be read is reported with its number. An
import that was broken off can be repeated: points overwrite their like.`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&im.client.url, "url", "", "points port of the server (default http://127.0.0.1:8086)")
	f.StringVar(&im.client.token, "token", "", "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN, or the data folder's")
	f.StringVar(&im.client.dataDir, "data-dir", "", "data folder of a server on this machine, to learn its address and token from")
	f.StringVar(&im.offline, "offline", "", "data folder to write into without a server")
	f.StringVar(&im.org, "org", "", "organisation (default: the token's)")
	f.StringVar(&im.bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.Int64Var(&im.maxBad, "max-bad", 1000, "rows that may be wrong before the import stops; negative: any number")
	cmd.AddCommand(im.linesCommand(), im.csvCommand())
	return cmd
}

func (im *importFlags) linesCommand() *cobra.Command {
	unit := "ns"
	cmd := &cobra.Command{
		Use:   "lines FILE",
		Short: "Import line protocol",
		Example: `  varve import lines --data-dir data points.lp.gz
  zcat old.gz | varve import lines --offline data --precision s -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			precision, ok := map[string]lineproto.Precision{
				"ns": lineproto.Nanosecond, "us": lineproto.Microsecond, "ms": lineproto.Millisecond,
				"s": lineproto.Second, "m": lineproto.Minute, "h": lineproto.Hour,
			}[unit]
			if !ok {
				return fmt.Errorf("--precision %q: want ns, us, ms, s, m or h", unit)
			}
			return im.run(cmd, args[0], func(ctx context.Context, src io.Reader, dst importer.Destination, c importer.Config) (importer.Report, error) {
				return importer.Lines(ctx, src, dst, precision, c)
			})
		},
	}
	cmd.Flags().StringVar(&unit, "precision", unit, "unit of the timestamps: ns, us, ms, s, m or h")
	return cmd
}

func (im *importFlags) csvCommand() *cobra.Command {
	var m importer.Mapping
	var zone, comma, comment string
	var tags, fixed, fields []string
	cmd := &cobra.Command{
		Use:   "csv FILE",
		Short: "Import CSV, its columns mapped to time, tags and fields",
		Long: `csv imports a CSV file (RFC 4180) with a header, or with --names. --time names
the column of the timestamps, --tag and --field those of tags and fields, each
as column, column:name or (fields) column:name:type with the type auto, float,
int, uint, string or bool. Without --field every column that is not mentioned
is a field.`,
		Example: `  varve import csv --data-dir data --measurement transformer --time date ETTh1.csv
  varve import csv --data-dir data --measurement machine --time timestamp --field value:temperature:float --set plant=north m.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := completeMapping(&m, zone, comma, comment, tags, fixed, fields); err != nil {
				return err
			}
			return im.run(cmd, args[0], func(ctx context.Context, src io.Reader, dst importer.Destination, c importer.Config) (importer.Report, error) {
				return importer.CSV(ctx, src, dst, m, c)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&m.Measurement, "measurement", "", "measurement of all rows")
	f.StringVar(&m.MeasurementColumn, "measurement-column", "", "column that holds the measurement")
	f.StringVar(&m.Time, "time", "", "column of the timestamp")
	f.StringVar(&m.TimeFormat, "time-format", "auto", "auto, rfc3339, s, ms, us, ns, or a layout such as 02.01.2006 15:04")
	f.StringVar(&zone, "time-zone", "", "zone of times that name none, such as Europe/Kyiv (default UTC)")
	f.StringArrayVar(&tags, "tag", nil, "column, or column:name")
	f.StringArrayVar(&fields, "field", nil, "column, column:name, or column:name:type")
	f.StringArrayVar(&fixed, "set", nil, "tag=value for all rows")
	f.StringArrayVar(&m.Skip, "skip", nil, "column to leave out")
	f.StringArrayVar(&m.Names, "names", nil, "name of each column, for a file without a header")
	f.StringArrayVar(&m.Nulls, "null", nil, "cell that means no value, such as NaN")
	f.StringVar(&comma, "comma", ",", "what separates cells")
	f.StringVar(&comment, "comment", "", "what begins lines to skip")
	return cmd
}

func completeMapping(m *importer.Mapping, zone, comma, comment string, tags, fixed, fields []string) error {
	if zone != "" {
		l, err := time.LoadLocation(zone)
		if err != nil {
			return fmt.Errorf("--time-zone %q is not known", zone)
		}
		m.Zone = l
	}
	var err error
	if m.Comma, err = oneRune("--comma", comma); err != nil {
		return err
	}
	if m.Comment, err = oneRune("--comment", comment); err != nil {
		return err
	}
	for _, t := range tags {
		column, name, _ := strings.Cut(t, ":")
		m.Tags = append(m.Tags, importer.TagColumn{Column: column, Key: name})
	}
	for _, f := range fields {
		parts := strings.SplitN(f, ":", 3)
		parts = append(parts, "", "")
		m.Fields = append(m.Fields, importer.FieldColumn{Column: parts[0], Name: parts[1], Type: importer.FieldType(parts[2])})
	}
	for _, s := range fixed {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return fmt.Errorf("--set %q: want tag=value", s)
		}
		if m.FixedTags == nil {
			m.FixedTags = make(map[string]string)
		}
		m.FixedTags[k] = v
	}
	return nil
}

func oneRune(flag, s string) (rune, error) {
	if s == "" {
		return 0, nil
	}
	if s == `\t` {
		return '\t', nil
	}
	r, n := utf8.DecodeRuneInString(s)
	if n != len(s) {
		return 0, fmt.Errorf("%s %q: want one character", flag, s)
	}
	return r, nil
}

type importFunc func(ctx context.Context, src io.Reader, dst importer.Destination, c importer.Config) (importer.Report, error)

// run imports a file and tells how it went.
func (im *importFlags) run(cmd *cobra.Command, name string, read importFunc) (err error) {
	src, err := openInput(name, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer src.Close()
	ctx := cmd.Context()
	dst, finish, err := im.destination(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, finish()) }()
	c := importer.Default(runtime.GOMAXPROCS(0), time.Now)
	c.MaxBad = im.maxBad
	if errOut, ok := cmd.ErrOrStderr().(*os.File); ok && isTerminal(errOut) {
		c.Progress = func(p importer.Progress) {
			fmt.Fprintf(errOut, "\r%d MB read, %d points", p.Bytes/1e6, p.Points)
		}
		defer fmt.Fprintln(errOut)
	}
	began := time.Now()
	report, err := read(ctx, src, dst, c)
	took := time.Since(began)
	out := cmd.OutOrStdout()
	for _, p := range report.Problems {
		fmt.Fprintln(out, p)
	}
	fmt.Fprintf(out, "%d points with %d values in %s (%.0f points/s); %d rows could not be read, %d were left out, %d were empty\n",
		report.Points, report.Values, took.Round(time.Millisecond), float64(report.Points)/took.Seconds(), report.Bad, report.Dropped, report.Empty)
	return err
}

// destination returns where to import to and what to do at the end.
func (im *importFlags) destination(ctx context.Context, cmd *cobra.Command) (importer.Destination, func() error, error) {
	if im.offline != "" {
		c := server.Default()
		c.DataDir, c.LogLevel = im.offline, "warn"
		c.AdminToken = os.Getenv("VARVE_ADMIN_TOKEN")
		o, err := server.OpenOffline(ctx, c, cmd.OutOrStdout(), cmd.ErrOrStderr())
		if err != nil {
			return nil, nil, err
		}
		b, err := o.Bucket(im.bucket)
		if err != nil {
			return nil, nil, errors.Join(err, o.Close())
		}
		return b, o.Close, nil
	}
	if err := im.client.resolve(func(a server.Addresses) string { return a.HTTP }, server.Default().HTTPAddr); err != nil {
		return nil, nil, err
	}
	rc := importer.DefaultRemote(im.client.url, im.client.token)
	rc.Org, rc.Bucket = im.org, im.bucket
	r, err := importer.NewRemote(rc)
	return r, func() error { return nil }, err
}

// input is a file with the decompressor in front of it.
type input struct {
	io.Reader
	close []func() error
}

func (in *input) Close() error {
	var all []error
	for _, c := range in.close {
		all = append(all, c())
	}
	return errors.Join(all...)
}

func openInput(name string, standard io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(standard), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open input: %w", err)
	}
	in := &input{f, []func() error{f.Close}}
	switch {
	case strings.HasSuffix(name, ".gz"):
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), f.Close())
		}
		in.Reader = z
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), f.Close())
		}
		in.Reader = z
		in.close = append([]func() error{func() error { z.Close(); return nil }}, in.close...)
	}
	return in, nil
}
