package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/server"
)

const (
	// readBytes is the most of standard input that goes into one request: a
	// pipe gives 64 KiB at most, a file what is asked for.
	readBytes = 512 << 10
	// writeAttempts and writePause are for a server that has no room for the
	// moment: it is asked again for some ten seconds.
	writeAttempts = 6
	writePause    = 2 * time.Second
)

func writeCommand() *cobra.Command {
	var c client
	w := writer{client: &c}
	cmd := &cobra.Command{
		Use:   "write [LINE]...",
		Short: "Write points, given as arguments or on standard input",
		Long: `write sends points in line protocol to the points port of a server:

  measurement,tag=value field=1.5,other=2i 1767366000000000000

A point without a timestamp gets the time of its arrival. Without arguments, or
with - for one, lines are read from standard input and sent as they come; so it
can stand at the end of a pipe that never ends. For files, varve import is faster
and can be resumed.

Exit status: 0 if everything is stored; 1 if something failed, with a line that
says how much was stored before; 3 if the server refused some points, such as
for the type of a field, and stored the others.`,
		Example: `  varve write --data-dir data 'weather,city=Kyiv temperature=21.5'
  varve write --data-dir data --bucket sensors --precision s 'door,id=7 open=true 1767366000'
  some-collector | varve write --url http://127.0.0.1:8086 --token TOKEN`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var ok bool
			if w.unit, ok = map[string]lineproto.Precision{
				"ns": lineproto.Nanosecond, "us": lineproto.Microsecond, "ms": lineproto.Millisecond, "s": lineproto.Second,
			}[w.precision]; !ok {
				return fmt.Errorf("--precision %q: want ns, us, ms or s", w.precision)
			}
			if err := c.resolve(pointsPort, server.Default().HTTPAddr); err != nil {
				return err
			}
			w.parser = lineproto.NewParser(lineproto.Default())
			var err error
			if len(args) == 0 || len(args) == 1 && args[0] == "-" {
				err = w.stream(cmd.Context(), cmd.InOrStdin())
			} else {
				err = w.write(cmd.Context(), []byte(strings.Join(args, "\n")))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d points stored\n", w.stored)
			if err == nil && w.refused > 0 {
				return &exitError{partlyRefused, fmt.Errorf("%d points were refused: %s", w.refused, w.why)}
			}
			return err
		},
	}
	c.flags(cmd, "points port of the server (default http://127.0.0.1:8086)")
	f := cmd.Flags()
	f.StringVar(&w.bucket, "bucket", "", "bucket by name or id (default: the token's)")
	f.StringVar(&w.org, "org", "", "organisation (default: the token's)")
	f.StringVar(&w.precision, "precision", "ns", "unit of the timestamps: ns, us, ms or s")
	must(cmd.RegisterFlagCompletionFunc("bucket", asked(&c, pointsPort, server.Default().HTTPAddr, bucketNames)))
	must(cmd.RegisterFlagCompletionFunc("precision", words([]string{"ns", "us", "ms", "s"})))
	return cmd
}

// writer sends lines to a server and counts what became of them.
type writer struct {
	client                 *client
	bucket, org, precision string
	unit                   lineproto.Precision
	parser                 *lineproto.Parser
	line                   int // lines before the present request

	stored, refused int
	why             string // the reason of the last refusal
}

// stream sends whole lines as soon as they are there.
func (w *writer) stream(ctx context.Context, src io.Reader) error {
	var buf []byte
	for {
		if cap(buf)-len(buf) < readBytes {
			buf = append(make([]byte, 0, 2*len(buf)+readBytes), buf...)
		}
		n, err := src.Read(buf[len(buf) : len(buf)+readBytes])
		buf = buf[:len(buf)+n]
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return fmt.Errorf("read standard input: %w", err)
		}
		whole := lineproto.WholeLines(buf)
		if end {
			whole = len(buf)
		} else if most := lineproto.Default().MaxLineBytes; whole == 0 && len(buf) > most {
			return fmt.Errorf("line %d is longer than %d bytes; is a quote left open?", w.line+1, most)
		}
		if whole > 0 {
			if err := w.write(ctx, buf[:whole]); err != nil {
				return err
			}
			buf = append(buf[:0], buf[whole:]...)
		}
		if end {
			return nil
		}
	}
}

// write sends some whole lines in one request.
func (w *writer) write(ctx context.Context, lines []byte) error {
	batch, err := w.parser.Parse(lines, w.unit, 0)
	var bad *lineproto.ParseError
	if errors.As(err, &bad) && len(bad.Lines) > 0 {
		return fmt.Errorf("line %d: %s", w.line+bad.Lines[0].Line, bad.Lines[0].Error())
	}
	if err != nil {
		return err
	}
	points := batch.Rows()
	for _, c := range w.parser.Conflicts() {
		points += c.Rows
	}
	w.line += strings.Count(string(lines), "\n")
	if points == 0 {
		return nil // comments and empty lines
	}
	path := "/api/v2/write?" + url.Values{"bucket": {w.bucket}, "org": {w.org}, "precision": {w.precision}}.Encode()
	for attempt := 1; ; attempt++ {
		answer, err := w.client.post(ctx, path, "text/plain; charset=utf-8", lines)
		var refusal *refusal
		switch {
		case err == nil:
			w.stored += points
			return answer.Close()
		case !errors.As(err, &refusal):
			return err
		case refusal.status == http.StatusUnprocessableEntity:
			n := droppedPoints(refusal.reason, points)
			w.refused += n
			w.stored += points - n
			w.why = refusal.reason
			return nil
		case refusal.status != http.StatusServiceUnavailable || attempt == writeAttempts:
			return err
		}
		select {
		case <-time.After(writePause):
		case <-ctx.Done():
			return err
		}
	}
}

// droppedPoints finds how many points a partial write left out.
func droppedPoints(reason string, all int) int {
	m := regexp.MustCompile(`dropped=(\d+)`).FindStringSubmatch(reason)
	if m == nil {
		return all
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return all
	}
	return min(n, all)
}
