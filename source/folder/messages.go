package folder

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/source"
)

const (
	// batchBytes and batchMessages are how much is handed over at once: enough to
	// share the cost of making it durable.
	batchBytes    = 512 << 10
	batchMessages = 5000
)

// messages hands the file over as messages.
func (f *file) messages(ctx context.Context, intake source.Intake) error {
	b := &batch{f: f, intake: intake, at: f.start, text: make([]byte, 0, batchBytes)}
	var err error
	switch f.s.c.Format {
	case Lines:
		err = b.lines(ctx)
	case NDJSON:
		err = b.ndjson(ctx)
	case Whole:
		err = b.whole(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// What could be read is stored, with an error behind it too.
	return errors.Join(err, b.flush(ctx))
}

// batch gathers messages.
type batch struct {
	f        *file
	intake   source.Intake
	at       importer.Position // behind the last message
	text     []byte            // of the messages, which point into it
	messages []source.Message
}

// add adds a line with its newline, unless there is nothing in it.
func (b *batch) add(ctx context.Context, line []byte) error {
	if len(b.text)+len(line) > cap(b.text) || len(b.messages) == batchMessages {
		if err := b.flush(ctx); err != nil {
			return err
		}
		if len(line) > cap(b.text) {
			b.text = make([]byte, 0, len(line))
		}
	}
	from := len(b.text)
	payload := bytes.TrimRight(line, "\r\n")
	if len(bytes.TrimSpace(payload)) > 0 && !(b.f.s.c.Format == Lines && bytes.TrimLeft(payload, " \t")[0] == '#') {
		b.text = append(b.text, payload...)
		b.messages = append(b.messages, b.f.message(b.text[from:len(b.text):len(b.text)], b.at.Rows+1))
	}
	b.at.Offset += int64(len(line))
	b.at.Rows += int64(bytes.Count(line, []byte{'\n'}))
	return nil
}

// flush hands over what was gathered.
func (b *batch) flush(ctx context.Context) error {
	if len(b.messages) > 0 {
		s := b.f.s
		_, err := source.Persist(ctx, func(ctx context.Context) (source.Result, error) { return b.intake.Take(ctx, b.messages) },
			func(err error) { s.tell(&s.intake, err) })
		if err != nil {
			return err
		}
	}
	clear(b.messages)
	b.text, b.messages = b.text[:0], b.messages[:0]
	return b.f.reached(b.at)
}

// lines follows quotes: a string may have a newline.
func (b *batch) lines(ctx context.Context) error {
	in := lineproto.NewSplitter(b.f.text, batchBytes, b.f.s.c.MaxMessage)
	var buf []byte
	for {
		c, err := in.Next(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for rest := c.Data; len(rest) > 0; {
			n := lineproto.FirstLine(rest)
			if err := b.add(ctx, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		buf = c.Data
	}
}

func (b *batch) ndjson(ctx context.Context) error {
	in := bufio.NewScanner(b.f.text)
	most := b.f.s.c.MaxMessage + 1 // with the newline
	in.Buffer(make([]byte, 0, min(64<<10, most)), most)
	in.Split(func(data []byte, end bool) (int, []byte, error) {
		if n := bytes.IndexByte(data, '\n'); n >= 0 {
			return n + 1, data[:n+1], nil
		}
		if end && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	for in.Scan() {
		if err := b.add(ctx, in.Bytes()); err != nil {
			return err
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than max_message, which is %d bytes", b.at.Rows+1, b.f.s.c.MaxMessage)
	}
	return in.Err()
}

func (b *batch) whole(ctx context.Context) error {
	most := int64(b.f.s.c.MaxMessage)
	text, err := io.ReadAll(io.LimitReader(b.f.text, most+1))
	if err != nil {
		return err
	}
	if int64(len(text)) > most {
		return fmt.Errorf("the file is larger than max_message, which is %d bytes", most)
	}
	return b.add(ctx, text)
}
