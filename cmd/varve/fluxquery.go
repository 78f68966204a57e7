package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/varvedb/varve/prompt"
	"github.com/varvedb/varve/server"
)

// fluxQuery asks scripts and shows their answers.
type fluxQuery struct {
	client   *client
	flags    *scriptFlags
	question *question
	format   string
	out      io.Writer
}

func (f *fluxQuery) resolve() error {
	return f.client.resolve(pointsPort, server.Default().HTTPAddr)
}

// ask puts what a script stands for at the prompt, or the script itself, and
// shows the answer. Errors are told by the lines of the script.
func (f *fluxQuery) ask(ctx context.Context, sc *script, p prompt.Script) error {
	req, err := f.flags.request(p.Whole, f.question)
	if err != nil {
		return err
	}
	sink, err := f.sink()
	if err != nil {
		return err
	}
	answer, err := f.put(ctx, sc, p.Before, req)
	if err != nil {
		return err
	}
	defer answer.Close()
	switch {
	case req.Explain:
		_, err := io.Copy(f.out, answer)
		return err
	case sink == nil:
		watch := &failureWatch{out: f.out}
		if _, err := io.Copy(watch, answer); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		return watch.err()
	}
	return readTables(answer, sink)
}

// put puts a request for a script, of which the server gets so many lines
// before. The caller closes the answer.
func (f *fluxQuery) put(ctx context.Context, sc *script, before int, req *scriptRequest) (io.ReadCloser, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	path := "/api/v2/query"
	if f.flags.org != "" {
		path += "?" + url.Values{"org": {f.flags.org}}.Encode()
	}
	answer, err := f.client.post(ctx, path, "application/json", body)
	if err != nil {
		return nil, explainRefusal(err, sc, before)
	}
	return answer, nil
}

// sink returns what shows an answer; nil stands for the answer as it comes.
func (f *fluxQuery) sink() (tableSink, error) {
	zone := time.UTC
	if f.question.Zone != "" {
		z, err := time.LoadLocation(f.question.Zone)
		if err != nil {
			return nil, fmt.Errorf("--zone %q is not known; zones are called as Europe/Kyiv", f.question.Zone)
		}
		zone = z
	}
	ch := tableChart{&chart{out: f.out, screen: screenOf(f.out), zone: zone, advice: fluxAdvice()}}
	switch f.format {
	case "csv":
		return nil, nil
	case "json", "jsonl":
		return newTableLines(f.out, f.format == "json"), nil
	case "plot":
		return ch, nil
	case "":
		if ch.screen.terminal {
			return &watchedTables{out: f.out, blocks: newBlocks(f.out), chart: ch}, nil
		}
	}
	return newBlocks(f.out), nil
}

// failureWatch passes CSV on and looks for the table of an error, by which an
// answer ends of which a part had been sent.
type failureWatch struct {
	out    io.Writer
	quoted bool   // within quotation marks
	line   []byte // the present one, as much as matters
	failed bool   // the header of an error has been seen
}

// failureHeader is the header of the table of an error.
const failureHeader = ",error,reference"

// maxFailure bounds what is kept of the text of an error.
const maxFailure = 64 << 10

// Write implements io.Writer.
func (w *failureWatch) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		part := rest
		if end >= 0 {
			part = rest[:end+1]
		}
		rest = rest[len(part):]
		most := len(failureHeader) + len("\r\n")
		if w.failed {
			most = maxFailure
		}
		w.line = append(w.line, part[:min(len(part), max(0, most-len(w.line)))]...)
		if bytes.Count(part, []byte{'"'})%2 == 1 {
			w.quoted = !w.quoted
		}
		if end < 0 || w.quoted || w.failed {
			continue
		}
		w.failed = string(bytes.TrimRight(w.line, "\r\n")) == failureHeader
		w.line = w.line[:0]
	}
	return w.out.Write(b)
}

// err returns the error that was seen, if there was one.
func (w *failureWatch) err() error {
	if !w.failed {
		return nil
	}
	r := csv.NewReader(bytes.NewReader(w.line))
	r.FieldsPerRecord = -1
	cells, err := r.Read()
	if err != nil || len(cells) < 2 {
		return errors.New("the answer ends early, by an error that cannot be read")
	}
	return errors.New("the answer ends early: " + cells[1])
}
