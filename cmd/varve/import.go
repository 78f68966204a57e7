package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/server"
	"github.com/varvedb/varve/spelling"
	"github.com/varvedb/varve/vfs"
)

// importFlags are where an import goes to and how much may be wrong.
type importFlags struct {
	client  client
	org     string
	bucket  string
	offline string
	maxBad  int64
	state   string
	rejects string
}

func importCommand() *cobra.Command {
	var im importFlags
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Bring files in: line protocol or CSV",
		Long: `import writes a file to a server, or straight into a data folder that no
server uses (--offline). What is compressed with gzip or zstd is decompressed; - is
standard input.

With --state an import that was broken off goes on where it was when it is started
again in the same way; without, it can be repeated from the start, since points
overwrite their like. --rejects keeps the rows that are not taken, each as it was
under a comment with its number and the reason: mend the file and import it.`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&im.client.url, "url", "", "points port of the server (default http://127.0.0.1:8086)")
	f.StringVar(&im.client.token, "token", "", "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN, or the data folder's")
	f.StringVar(&im.client.dataDir, "data-dir", "", "data folder of a server on this machine, to learn its address and token from")
	f.StringVar(&im.offline, "offline", "", "data folder to write into without a server")
	f.StringVar(&im.org, "org", "", "organisation (default: the token's)")
	f.StringVar(&im.bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.Int64Var(&im.maxBad, "max-bad", 1000, "rows that may be wrong before the import stops; negative: any number")
	f.StringVar(&im.state, "state", "", "file that keeps how far the import is, to resume it from")
	f.StringVar(&im.rejects, "rejects", "", "file for the rows that are not taken, with reasons")
	cmd.AddCommand(im.linesCommand(), im.csvCommand())
	return cmd
}

func (im *importFlags) linesCommand() *cobra.Command {
	unit := "ns"
	cmd := &cobra.Command{
		Use:   "lines FILE",
		Short: "Import line protocol",
		Example: `  varve import lines --data-dir data points.lp.gz
  varve import lines --data-dir data --state points.state --rejects rejected.lp points.lp.zst
  cat old.gz | varve import lines --offline data --precision s -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			precision, ok := map[string]lineproto.Precision{
				"ns": lineproto.Nanosecond, "us": lineproto.Microsecond, "ms": lineproto.Millisecond,
				"s": lineproto.Second, "m": lineproto.Minute, "h": lineproto.Hour,
			}[unit]
			if !ok {
				return fmt.Errorf("--precision %q: want ns, us, ms, s, m or h", unit)
			}
			return im.run(cmd, &importRun{
				name: args[0], comment: '#', options: "lines in " + unit, skips: true,
				read: func(ctx context.Context, src io.Reader, dst importer.Destination, c importer.Config) (importer.Report, error) {
					return importer.Lines(ctx, src, dst, precision, c)
				},
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
			mark := m.Comment
			if mark == 0 {
				mark = '#'
			}
			return im.run(cmd, &importRun{
				name: args[0], comment: mark, options: mappingText(m),
				read: func(ctx context.Context, src io.Reader, dst importer.Destination, c importer.Config) (importer.Report, error) {
					report, err := importer.CSV(ctx, src, dst, m, c)
					return report, suggestColumn(err)
				},
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

// mappingText renders a mapping, so that two can be compared.
func mappingText(m importer.Mapping) string {
	zone := "UTC"
	if m.Zone != nil {
		zone, m.Zone = m.Zone.String(), nil
	}
	return fmt.Sprintf("csv %+v in %s", m, zone)
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

// suggestColumn adds to an error about a column the one that was probably
// meant.
func suggestColumn(err error) error {
	var missing *importer.MissingColumnError
	if errors.As(err, &missing) {
		if near := spelling.Nearest(missing.Missing[0], missing.Have); near != "" {
			return fmt.Errorf("%w; did you mean %q?", err, near)
		}
	}
	return err
}

// importRun is one import of one file.
type importRun struct {
	name    string
	comment rune   // begins a comment of the format
	options string // what makes rows of the text
	skips   bool   // to resume means to begin behind what is stored
	read    func(ctx context.Context, src io.Reader, dst importer.Destination, c importer.Config) (importer.Report, error)
}

// run imports a file and tells how it went.
func (im *importFlags) run(cmd *cobra.Command, r *importRun) (err error) {
	raw, size, err := openInput(r.name, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	src, err := importer.NewSource(raw)
	if err != nil {
		return fmt.Errorf("import %s: %w", r.name, err)
	}
	defer src.Close()
	ctx := cmd.Context()
	dst, where, finish, err := im.destination(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, finish()) }()
	c := importer.Default(runtime.GOMAXPROCS(0), time.Now)
	c.MaxBad = im.maxBad

	state, err := im.openState(r, src, where, &c)
	if err != nil {
		return err
	}
	var kept int64
	if state != nil {
		_, kept = state.Start()
	}
	rejects, closeRejects, err := im.openRejects(r, kept)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeRejects()) }()
	if rejects != nil {
		c.Reject, c.Header = rejects.Add, rejects.Header
	}
	if state != nil {
		c.Reached = func(p importer.Position, _ importer.Progress) error { return state.Reached(p, rejects) }
		if c.Start.Offset > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "resuming behind row %d\n", c.Start.Rows)
		}
	}

	began, skipped := time.Now(), src.RawBytes()
	line := newProgressLine(cmd.ErrOrStderr(), time.Now)
	c.Progress = func(p importer.Progress) {
		line.show(func() string { return importProgress(p, skipped, src.RawBytes(), size, time.Since(began)) })
	}
	report, err := r.read(ctx, src, dst, c)
	line.end()
	if state != nil {
		if err == nil {
			err = state.Done()
		} else {
			err = errors.Join(err, state.Keep(rejects))
		}
	}
	im.tell(cmd, &report, time.Since(began))
	return err
}

// tell says what an import did.
func (im *importFlags) tell(cmd *cobra.Command, report *importer.Report, took time.Duration) {
	out := cmd.OutOrStdout()
	for _, p := range report.Problems {
		fmt.Fprintln(out, p)
	}
	points := fmt.Sprintf("%d points", report.Points)
	if report.Values > 0 {
		points += fmt.Sprintf(" with %d values", report.Values)
	}
	fmt.Fprintf(out, "%s in %s (%.0f points/s); %d rows could not be read, %d were left out, %d were empty\n",
		points, took.Round(time.Millisecond), float64(report.Points)/took.Seconds(), report.Bad, report.Dropped, report.Empty)
	if im.rejects != "" && report.Bad+report.Dropped > 0 {
		fmt.Fprintf(out, "the rows that were not taken are in %s\n", im.rejects)
	}
}

// openState returns the state of the import, nil if none is kept, and sets
// where it begins.
func (im *importFlags) openState(r *importRun, src *importer.Source, where string, c *importer.Config) (*importer.State, error) {
	if im.state == "" {
		return nil, nil
	}
	head, err := src.Head()
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", r.name, err)
	}
	state, err := importer.OpenState(vfs.OS{}, im.state, importer.Import{Source: r.name, Head: head, Destination: where, Options: r.options}, time.Now)
	if err != nil {
		return nil, err
	}
	c.Start, _ = state.Start()
	if r.skips {
		if err := src.Skip(c.Start.Offset); err != nil {
			return nil, fmt.Errorf("import %s: %w", r.name, err)
		}
	}
	return state, nil
}

// openRejects returns what takes rows that are left out, nil if nothing does.
// Of a file that is there, the first bytes are kept.
func (im *importFlags) openRejects(r *importRun, kept int64) (*importer.Rejects, func() error, error) {
	if im.rejects == "" {
		return nil, func() error { return nil }, nil
	}
	if same, err := sameFile(im.rejects, r.name); err != nil || same {
		return nil, nil, errors.Join(err, errors.New("--rejects is the file that is imported: name another one"))
	}
	f, err := os.OpenFile(im.rejects, os.O_RDWR|os.O_CREATE, vfs.FilePerm)
	if err != nil {
		return nil, nil, fmt.Errorf("open file of rejects: %w", err)
	}
	if err := f.Truncate(kept); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open file of rejects: %w", err), f.Close())
	}
	if _, err := f.Seek(kept, io.SeekStart); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open file of rejects: %w", err), f.Close())
	}
	return importer.NewRejects(f, kept, r.comment), f.Close, nil
}

// sameFile reports whether two names are of one file.
func sameFile(a, b string) (bool, error) {
	ia, err := os.Stat(a)
	if errors.Is(err, fs.ErrNotExist) || b == "-" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ib, err := os.Stat(b)
	return err == nil && os.SameFile(ia, ib), err
}

// importProgress says how far an import is; size is 0 if it is not known.
func importProgress(p importer.Progress, skipped, read, size int64, took time.Duration) string {
	s := fmt.Sprintf("%d points, %.0f points/s", p.Points, float64(p.Points)/took.Seconds())
	if p.Bad+p.Dropped > 0 {
		s += fmt.Sprintf(", %d rows not taken", p.Bad+p.Dropped)
	}
	if size <= 0 || read <= skipped {
		return fmt.Sprintf("%d MB read, %s", p.Bytes/1e6, s)
	}
	const width = 20
	part := min(float64(read)/float64(size), 1)
	full := int(part * width)
	bar := strings.Repeat("#", full) + strings.Repeat(".", width-full)
	left := time.Duration(float64(took) * float64(max(size-read, 0)) / float64(read-skipped)).Round(time.Second)
	return fmt.Sprintf("[%s] %3.0f %%, %s, %s left", bar, part*100, s, left)
}

// destination returns where to import to, the name of that, and what to do at
// the end.
func (im *importFlags) destination(ctx context.Context, cmd *cobra.Command) (_ importer.Destination, where string, finish func() error, _ error) {
	if im.offline != "" {
		c := server.Default()
		c.DataDir, c.LogLevel = im.offline, "warn"
		c.AdminToken = os.Getenv("VARVE_ADMIN_TOKEN")
		o, err := server.OpenOffline(ctx, c, cmd.OutOrStdout(), cmd.ErrOrStderr())
		if err != nil {
			return nil, "", nil, err
		}
		b, err := o.Bucket(im.bucket)
		if err != nil {
			return nil, "", nil, errors.Join(err, o.Close())
		}
		return b, fmt.Sprintf("folder %s, bucket %q", im.offline, im.bucket), o.Close, nil
	}
	if err := im.client.resolve(func(a server.Addresses) string { return a.HTTP }, server.Default().HTTPAddr); err != nil {
		return nil, "", nil, err
	}
	rc := importer.DefaultRemote(im.client.url, im.client.token)
	rc.Org, rc.Bucket = im.org, im.bucket
	rc.Client.Transport = im.client.http.Transport
	r, err := importer.NewRemote(rc)
	where = im.client.url
	if im.client.dataDir != "" {
		where = "the server on " + im.client.dataDir // whose port may be another one the next time
	}
	return r, fmt.Sprintf("%s, organisation %q, bucket %q", where, im.org, im.bucket), func() error { return nil }, err
}

// openInput opens a file and returns its size, 0 if it is not known.
func openInput(name string, standard io.Reader) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(standard), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("open input: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open input: %w", err), f.Close())
	}
	if info.IsDir() {
		return nil, 0, errors.Join(fmt.Errorf("open input: %s is a folder: name a file in it", name), f.Close())
	}
	return f, info.Size(), nil
}
